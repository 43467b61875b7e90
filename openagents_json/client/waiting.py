"""Waiting for the end of a run: in slices, because what stands between cuts long requests."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from time import monotonic
from typing import Final

from openagents_json.client.calls import runs
from openagents_json.client.calls.call import Call
from openagents_json.engine.answers.runs import Result
from openagents_json.engine.errors import WaitTimeout

SLICE_SECONDS: Final = 20


@dataclass(slots=True)
class Wait:
    """One caller that waits for one run, `timeout` in seconds."""

    run: str
    timeout: float | None
    _began_at: float = 0.0

    def __post_init__(self) -> None:
        self._began_at = monotonic()

    def call(self) -> Call[Result | str]:
        """Return the call that waits as long as the caller would, or a slice of it."""
        return runs.result(self.run, min(SLICE_SECONDS, ceil(self._left())))

    def ended(self, answer: Result | str) -> Result | None:
        """Return how the run ended, None while it goes on.

        Raises WaitTimeout.
        """
        if isinstance(answer, Result):
            return answer
        if self._left() <= 0:
            raise WaitTimeout(self.run, self.timeout or 0, answer)
        return None

    def _left(self) -> float:
        if self.timeout is None:
            return float(SLICE_SECONDS)
        return max(0.0, self._began_at + self.timeout - monotonic())
