"""What workers over HTTP are told: steps with their leases, and how it stands with a lease."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from eventstore.passwords import masked
from openagents_json.components.errors import LONGEST_MS, MAX_MESSAGE
from openagents_json.workflow.types import Json

_LONGEST_TRACE: Final = 10_000


@dataclass(frozen=True, slots=True)
class LeasedStep:
    """A step to be run: call `component` with `inputs`, extend the lease in time, and say what came of it.

    `lease` is its token. `attempt` counts the executions of the step, `idempotency_key` is equal for all of them.
    `deadline_ms` is when its time is over, in ms since 1970, 0 for never. `effect` says what may be done with it.
    """

    lease: str
    lease_ms: int
    run: str
    step: str
    attempt: int
    workflow: str
    component: str
    version: str
    inputs: Mapping[str, Json]
    idempotency_key: str
    deadline_ms: int
    effect: str


@dataclass(frozen=True, slots=True)
class LeaseState:
    """How it stands with a lease that is held: `cancel` asks its worker to stop, `paused` says that the run is."""

    lease_ms: int
    cancel: bool
    paused: bool


@dataclass(frozen=True, slots=True)
class ClaimedSteps:
    """The steps that a claim was given; `is_replayed` tells that it was given them before, under the same key."""

    steps: tuple[LeasedStep, ...]
    is_replayed: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """What an attempt has used of a model."""

    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | str = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a step failed, and whether another attempt may help; `retry_after_ms` says when, at the earliest."""

    message: str
    type: str = "Error"
    retryable: bool = True
    retry_after_ms: int = 0
    traceback: str = ""

    def described(self) -> dict[str, Json]:
        """Return it as it stands on the log."""
        described: dict[str, Json] = {
            "type": self.type,
            "message": masked(self.message)[:MAX_MESSAGE],
            "retryable": self.retryable,
        }
        if self.retry_after_ms > 0:
            described["retry_after_ms"] = min(self.retry_after_ms, LONGEST_MS)
        if self.traceback:
            described["traceback"] = masked(self.traceback)[:_LONGEST_TRACE]
        return described
