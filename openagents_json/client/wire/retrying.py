"""What is tried again, and when: only what does the same when it arrives twice, or has surely not arrived."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import httpx
from tenacity import RetryCallState, stop_after_delay, wait_random_exponential

from openagents_json.client.calls.call import Call
from openagents_json.client.errors import ServiceTimedOut, ServiceUnreachable
from openagents_json.client.wire.messages import problem_of

PASSING: Final = frozenset({502, 503, 504})
"""What a service, or what stands before it, answers while it cannot work."""

CONFLICT: Final = 409
UNDER_WAY: Final = "request_under_way"
FIRST_SECONDS: Final = 0.1
LATEST_SECONDS: Final = 5.0

_backoff = wait_random_exponential(multiplier=FIRST_SECONDS, max=LATEST_SECONDS)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a request is tried again; 0 for never."""

    seconds: float

    def arguments(self, call: Call[Any]) -> dict[str, Any]:
        """Return what tenacity is told."""
        return {
            "retry": lambda state: self.is_passing(call, state),
            "wait": pause_of,
            "stop": stop_after_delay(self.seconds),
            # The last response is answered as it is, and the last error raised.
            "retry_error_callback": lambda state: state.outcome.result(),
        }

    def is_passing(self, call: Call[Any], state: RetryCallState) -> bool:
        """Tell whether the same request may be sent again, and may succeed."""
        outcome = state.outcome
        if outcome is None or self.seconds <= 0:
            return False
        error = outcome.exception()
        if error is None:
            return _passes(call, outcome.result())
        if isinstance(error, ServiceUnreachable):
            return call.repeatable or not error.sent
        return isinstance(error, ServiceTimedOut) and call.repeatable


def _passes(call: Call[Any], response: httpx.Response) -> bool:
    if not call.repeatable:
        return False
    return response.status_code in PASSING or _is_under_way(response)


def _is_under_way(response: httpx.Response) -> bool:
    """Tell whether the service is still at the request that was sent before, whose answer was lost."""
    if response.status_code != CONFLICT:
        return False
    return problem_of(response).code == UNDER_WAY


def pause_of(state: RetryCallState) -> float:
    """Return how long to wait: as the service asks for, and longer each time, so that many do not come at once."""
    asked = 0.0
    outcome = state.outcome
    if outcome is not None and outcome.exception() is None:
        asked = retry_after(outcome.result())
    return max(asked, float(_backoff(state)))


def retry_after(response: httpx.Response) -> float:
    """Return the seconds that a response asks to wait, 0 where it asks for none; a date is not read."""
    text = response.headers.get("Retry-After", "")
    return min(float(text), LATEST_SECONDS) if text.isdecimal() else 0.0
