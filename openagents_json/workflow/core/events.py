"""What happened to a run: the closed union of events, past tense, and their JSON form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any

from openagents_json.workflow.core.run_events import (
    RunAdmitted as RunAdmitted,
)
from openagents_json.workflow.core.run_events import (
    RunCancelled as RunCancelled,
)
from openagents_json.workflow.core.run_events import (
    RunCancelRequested as RunCancelRequested,
)
from openagents_json.workflow.core.run_events import (
    RunCompleted as RunCompleted,
)
from openagents_json.workflow.core.run_events import (
    RunFailed as RunFailed,
)
from openagents_json.workflow.core.run_events import (
    RunFailing as RunFailing,
)
from openagents_json.workflow.core.run_events import (
    RunForked as RunForked,
)
from openagents_json.workflow.core.run_events import (
    RunHeld as RunHeld,
)
from openagents_json.workflow.core.run_events import (
    RunHoldReleased as RunHoldReleased,
)
from openagents_json.workflow.core.run_events import (
    RunImported as RunImported,
)
from openagents_json.workflow.core.run_events import (
    RunPaused as RunPaused,
)
from openagents_json.workflow.core.run_events import (
    RunQueued as RunQueued,
)
from openagents_json.workflow.core.run_events import (
    RunRedacted as RunRedacted,
)
from openagents_json.workflow.core.run_events import (
    RunReopened as RunReopened,
)
from openagents_json.workflow.core.run_events import (
    RunResumed as RunResumed,
)
from openagents_json.workflow.core.run_events import (
    RunStarted as RunStarted,
)
from openagents_json.workflow.types import Json


@dataclass(frozen=True, slots=True)
class StepScheduled:
    """A step begins; its inputs are resolved.

    Without a `kind` it may be claimed by a worker, if there are no `gates`, [kind, key, limit, period in ms] each;
    otherwise the engine itself carries it out: foreach, loop, block, sleep, wait, workflow. `secrets` says where in the
    inputs secrets are put in, [path, offset, name] each; None when the document names none.
    """

    step: str
    inputs: Mapping[str, Json]
    kind: str = ""
    gates: Sequence[Json] = ()
    secrets: Sequence[Json] | None = None


@dataclass(frozen=True, slots=True)
class StepAdmitted:
    """A step that waited at gates may be claimed; `fences` are those of its locks, by key."""

    step: str
    fences: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A worker claimed an attempt; written by the claim itself."""

    step: str
    attempt: int
    fence: str
    worker: str


@dataclass(frozen=True, slots=True)
class StepCompleted:
    """An attempt returned; `sets` are the workflow outputs that it wrote."""

    step: str
    attempt: int
    output: Json = None
    outputs: Mapping[str, Json] | None = None
    sets: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True)
class StepFailed:
    """An attempt failed; `retry_ms` is the wait before the next one, None when this was the last.

    `then` says how the document handles a last failure: fail, continue (with `output`) or goto (`goto`).
    """

    step: str
    attempt: int
    error: Mapping[str, Json]
    retry_ms: int | None = None
    then: str = "fail"
    goto: str | None = None
    output: Json = None


@dataclass(frozen=True, slots=True)
class StepTimedOut:
    """A time limit of the step ran out; `kind` names it; the rest is as in StepFailed."""

    step: str
    attempt: int
    kind: str
    error: Mapping[str, Json]
    retry_ms: int | None = None
    then: str = "fail"
    goto: str | None = None
    output: Json = None


@dataclass(frozen=True, slots=True)
class StepLeaseLost:
    """The worker of an attempt went silent; the step may be claimed again."""

    step: str
    attempt: int
    worker: str


@dataclass(frozen=True, slots=True)
class StepReleased:
    """A worker gave an attempt back unstarted; it does not count against any limit but its own."""

    step: str
    attempt: int
    reason: str = ""
    delay_ms: int = 0


@dataclass(frozen=True, slots=True)
class StepRetryScheduled:
    """The next attempt may be claimed after `delay_ms`, once it has passed its rate limit if it is `gated`."""

    step: str
    delay_ms: int
    gated: bool = False


@dataclass(frozen=True, slots=True)
class StepSkipped:
    """The step does not run: its condition was false, or no edge into it is alive."""

    step: str
    reason: str


@dataclass(frozen=True, slots=True)
class StepCancelled:
    """The step was withdrawn before its outcome; a late outcome is refused."""

    step: str
    reason: str


@dataclass(frozen=True, slots=True)
class StepResultReused:
    """A step that is done again has the inputs that it had: its result stands, and nobody runs it."""

    step: str


@dataclass(frozen=True, slots=True)
class StepOverridden:
    """Somebody said how a step ended: completed, with an output, or skipped."""

    step: str
    status: str
    output: Json = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CompensationScheduled:
    """What undoes a completed step may be claimed, as step `compensation`; its inputs are as in StepScheduled."""

    step: str
    compensation: str
    inputs: Mapping[str, Json]
    secrets: Sequence[Json] | None = None


@dataclass(frozen=True, slots=True)
class TimerSet:
    """A step waits until a time, `at_ms` by the server's clock, or for `delay_ms`; timers of a step count from 1."""

    step: str
    timer: int
    delay_ms: int = 0
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class TimerFired:
    """The time of a timer has come."""

    step: str
    timer: int


@dataclass(frozen=True, slots=True)
class SignalReceived:
    """Somebody sent a signal to the run; it is kept until a step takes it."""

    signal: str
    name: str
    key: str | None = None
    payload: Json = None
    by: str = ""
    reason: str = ""
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class SignalTaken:
    """A step that waits for it took a signal."""

    step: str
    signal: str


@dataclass(frozen=True, slots=True)
class ChildStarted:
    """A step handed its work to a run of another workflow, in a log of its own."""

    step: str
    child: str
    workflow: str


@dataclass(frozen=True, slots=True)
class ChildClosed:
    """The child run of a step ended."""

    step: str
    child: str
    status: str


@dataclass(frozen=True, slots=True)
class StepOutcomeIgnored:
    """An outcome came after its attempt had lost the lease; kept for the record, never applied."""

    step: str
    attempt: int
    worker: str
    outcome: str


Event = (
    RunStarted
    | RunCompleted
    | RunFailed
    | RunPaused
    | RunResumed
    | RunCancelRequested
    | RunCancelled
    | StepScheduled
    | StepStarted
    | StepCompleted
    | StepFailed
    | StepTimedOut
    | StepLeaseLost
    | StepReleased
    | StepRetryScheduled
    | StepSkipped
    | StepCancelled
    | StepAdmitted
    | CompensationScheduled
    | TimerSet
    | TimerFired
    | SignalReceived
    | SignalTaken
    | ChildStarted
    | ChildClosed
    | RunQueued
    | RunAdmitted
    | RunFailing
    | RunReopened
    | RunForked
    | RunImported
    | StepOverridden
    | StepResultReused
    | StepOutcomeIgnored
    | RunRedacted
    | RunHeld
    | RunHoldReleased
)

CLOSING = (RunCompleted, RunFailed, RunCancelled)
"""Event types that end a run."""

_TYPES: dict[str, type[Event]] = {cls.__name__: cls for cls in Event.__args__}
_FIELDS = {
    name: tuple((f.name, f.default, f.default is not MISSING) for f in fields(cls)) for name, cls in _TYPES.items()
}


class UnknownEvent(ValueError):
    """A stored event has a type or a shape that this version does not know."""

    def __init__(self, event_type: str, reason: str) -> None:
        self.event_type = event_type
        super().__init__(f"event {event_type!r} cannot be read: {reason}; a newer version of the engine wrote it?")


def type_name(event: Event) -> str:
    """Give the stored name of an event's type."""
    return type(event).__name__


def to_data(event: Event) -> dict[str, Any]:
    """Give the JSON object that is stored; fields that hold their default are left out."""
    data = {}
    for name, default, optional in _FIELDS[type(event).__name__]:
        value = getattr(event, name)
        if not (optional and value == default and type(value) is type(default)):
            data[name] = value
    return data


def from_data(event_type: str, data: Mapping[str, Any]) -> Event:
    """Read a stored event back; fields of a newer version are dropped.

    Raises UnknownEvent.
    """
    known = _FIELDS.get(event_type)
    if known is None:
        raise UnknownEvent(event_type, "unknown type")
    values = {name: data[name] for name, _, _ in known if name in data}
    try:
        return _TYPES[event_type](**values)
    except TypeError as error:
        raise UnknownEvent(event_type, str(error)) from error
