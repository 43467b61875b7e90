"""What happened to a run: the closed union of events, past tense, each with all that there is to know about its type.

`event_traits` says what the words above each class mean, `event_types` gives the types that have a trait and the JSON
form of an event. A new event is declared here and put into `Event`; the tests then name what else has to know it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from openagents_json.workflow.core.event_traits import (
    Attempt,
    Effect,
    Origin,
    Phase,
    Timed,
    run_event,
    step_event,
)
from openagents_json.workflow.types import Json

# -- the run as a whole -------------------------------------------------------------------------------------


@run_event(
    origin=Origin.FACT,
    phase=Phase.OPENS,
    status="running",
    effects=Effect.DUE,
    payloads=("inputs",),
)
class RunStarted(Struct, frozen=True, gc=False):
    """A run began, pinned to one definition; `budget` is how much it may use, where its start said so.

    `name` is what its business key is in the store: that of another store knows by it which key the run has.
    """

    run: str
    workflow: str
    version: str
    definition: str
    inputs: Mapping[str, Json]
    labels: Mapping[str, str] | None = None
    parent: Mapping[str, Json] | None = None
    budget: Mapping[str, Json] | None = None
    name: str = ""


@run_event(
    origin=Origin.FACT,
    phase=Phase.OPEN,
    status="queued",
    effects=Effect.DUE,
    payloads=(),
)
class RunQueued(Struct, frozen=True, gc=False):
    """The run waits for its turn: `gates` are [kind, key, limit, policy] each; `delay_ms` is waited for first."""

    gates: Sequence[Json] = ()
    delay_ms: int = 0


@run_event(
    origin=Origin.FACT,
    phase=Phase.OPEN,
    status="running",
    effects=Effect.DUE,
    payloads=(),
)
class RunAdmitted(Struct, frozen=True, gc=False):
    """A queued run begins."""

    fences: Mapping[str, int] | None = None


@run_event(
    origin=Origin.DECISION,
    phase=Phase.CLOSES,
    status="completed",
    effects=Effect.DUE,
    payloads=("output",),
)
class RunCompleted(Struct, frozen=True, gc=False):
    """Every step is resolved; `output` is the result."""

    output: Json = None


@run_event(
    origin=Origin.FORCED,
    phase=Phase.CLOSES,
    status="failed",
    effects=Effect.DUE,
    payloads=("error",),
)
class RunFailed(Struct, frozen=True, gc=False):
    """The run ended without a result; `step` is where, when a step was the cause."""

    error: Mapping[str, Json]
    step: str | None = None


@run_event(
    origin=Origin.FORCED,
    phase=Phase.OPEN,
    status="failing",
    effects=Effect.SETTLES | Effect.WAITS,
    payloads=("error",),
)
class RunFailing(Struct, frozen=True, gc=False):
    """The run will end as failed, after compensations and what the document does on failure."""

    error: Mapping[str, Json]
    step: str | None = None


@run_event(
    origin=Origin.FACT,
    phase=Phase.OPENS,
    status="running",
    effects=Effect.DUE,
    payloads=("inputs",),
)
class RunReopened(Struct, frozen=True, gc=False):
    """A closed run goes on.

    The steps in `forgotten` are done again, those in `resumed` hold some of them and go on; all other results are kept.
    With a `definition`, the run goes on by that one, which is `version` of its workflow. The results of the steps in
    `kept` are used again where their inputs turn out the same; those in `changed` have another definition or component.
    The steps in `anew` had completed: what they do from here on is another life, with an idempotency key of its own.
    """

    forgotten: Sequence[str]
    resumed: Sequence[str] = ()
    inputs: Mapping[str, Json] | None = None
    step: str = ""
    reason: str = ""
    definition: str = ""
    version: str = ""
    kept: Sequence[str] = ()
    changed: Sequence[str] = ()
    anew: Sequence[str] = ()


@run_event(
    origin=Origin.FACT,
    phase=Phase.OPENS,
    status="running",
    effects=Effect.NOTHING,
    payloads=("inputs",),
)
class RunForked(Struct, frozen=True, gc=False):
    """The events before are those of another run, `source`, up to its version `at`; from here on this run goes its way.

    What somebody was doing for the other run then is `forgotten` and done anew; the rest is as in RunReopened.
    """

    source: str
    at: int
    forgotten: Sequence[str]
    resumed: Sequence[str] = ()
    inputs: Mapping[str, Json] | None = None
    reason: str = ""


@run_event(
    origin=Origin.FACT,
    phase=Phase.ANY,
    status=None,
    effects=Effect.NOTHING,
    payloads=(),
)
class RunImported(Struct, frozen=True, gc=False):
    """The events before, up to version `at`, were written in another store, `source`; from here on it goes on here.

    The steps in `lost` were under way there and are done again; those in `gated` held locks there and ask for them
    anew. With `paused`, the run goes on only when it is resumed. Behind the end of a run, it says where the run comes
    from and changes nothing. `how` is import, promote or restore, and `sha256` the hash of the file, "" for no file.
    """

    source: str
    at: int
    lost: Sequence[str] = ()
    gated: Sequence[str] = ()
    paused: bool = False
    reason: str = ""
    how: str = ""
    sha256: str = ""


@run_event(
    origin=Origin.FACT,
    phase=Phase.OPEN,
    status="paused",
    effects=Effect.DUE,
    payloads=(),
)
class RunPaused(Struct, frozen=True, gc=False):
    """No further step is scheduled or started; those under way finish.

    `budget` says that the run has used more than it may: `pause` or `ask`, as its budget wants it.
    """

    reason: str = ""
    budget: str = ""


@run_event(
    origin=Origin.FACT,
    phase=Phase.OPEN,
    status="running",
    effects=Effect.DUE,
    payloads=(),
)
class RunResumed(Struct, frozen=True, gc=False):
    """A paused run goes on."""

    reason: str = ""


@run_event(
    origin=Origin.FACT,
    phase=Phase.OPEN,
    status="cancelling",
    effects=Effect.SETTLES | Effect.DUE,
    payloads=(),
)
class RunCancelRequested(Struct, frozen=True, gc=False):
    """Somebody wants the run to end; steps under way get a grace period, completed ones are compensated if asked."""

    reason: str = ""
    compensate: bool = True


@run_event(
    origin=Origin.FORCED,
    phase=Phase.CLOSES,
    status="cancelled",
    effects=Effect.DUE,
    payloads=(),
)
class RunCancelled(Struct, frozen=True, gc=False):
    """The run ended because it was asked to."""

    reason: str = ""


@run_event(
    origin=Origin.NOTE,
    phase=Phase.ANY,
    status=None,
    effects=Effect.NOTHING,
    payloads=(),
)
class RunRedacted(Struct, frozen=True, gc=False):
    """What the closed run worked with is no more: payloads were erased, or the key that reads them was destroyed.

    `erased` are [version, SHA-256 of the data that stands there now, commitment to what the ledger had sealed, or ""]
    each; `metadata` has the SHA-256 of the metadata of those that have any, by version (None: the record is of a time
    when it was not kept). `failures` name the failures whose messages are gone, with what lists show of them.
    """

    how: str
    erased: Sequence[Json] = ()
    failures: Sequence[Json] = ()
    labels: bool = False
    reason: str = ""
    metadata: Mapping[str, str] | None = None


@run_event(
    origin=Origin.NOTE,
    phase=Phase.ANY,
    status=None,
    effects=Effect.NOTHING,
    payloads=(),
)
class RunHeld(Struct, frozen=True, gc=False):
    """Nothing of the run may be erased, archived or deleted until the hold is released."""

    reason: str = ""


@run_event(
    origin=Origin.NOTE,
    phase=Phase.ANY,
    status=None,
    effects=Effect.NOTHING,
    payloads=(),
)
class RunHoldReleased(Struct, frozen=True, gc=False):
    """The run is held no more."""

    reason: str = ""


# -- steps, and what they wait for ----------------------------------------------------------------------------


@step_event(
    origin=Origin.DECISION,
    attempt=None,
    effects=Effect.SCHEDULES | Effect.READIES | Effect.SETTLES | Effect.DUE,
    payloads=("inputs",),
)
class StepScheduled(Struct, frozen=True, gc=False):
    """A step begins; its inputs are resolved.

    Without a `kind` it may be claimed by a worker, if there are no `gates`, [kind, key, limit, period in ms] each;
    otherwise the engine itself carries it out: foreach, loop, block, sleep, wait, workflow. `secrets` says where in the
    inputs secrets are put in, [path, offset, name] each; None when the document names none. `fairness` is the key by
    which it gets its part of the queue, and its weight; empty when the document says none.
    """

    step: str
    inputs: Mapping[str, Json]
    kind: str = ""
    gates: Sequence[Json] = ()
    secrets: Sequence[Json] | None = None
    fairness: Sequence[Json] = ()


@step_event(
    origin=Origin.FACT, attempt=None, effects=Effect.READIES | Effect.DUE, payloads=()
)
class StepAdmitted(Struct, frozen=True, gc=False):
    """A step that waited at gates may be claimed; `fences` are those of its locks, by key."""

    step: str
    fences: Mapping[str, int] | None = None


@step_event(
    origin=Origin.FACT, attempt=Attempt.BEGUN, effects=Effect.NOTHING, payloads=()
)
class StepStarted(Timed, frozen=True, gc=False):
    """A worker claimed an attempt; written by the claim itself. `time_ms` is when it was stored, 0 if nobody knows.

    `build` says which build of its component the worker has, "" if nobody knows.
    """

    step: str
    attempt: int
    fence: str
    worker: str
    build: str = ""
    time_ms: int = 0


@step_event(
    origin=Origin.FACT,
    attempt=Attempt.COMPLETED,
    effects=Effect.DUE,
    payloads=("output", "outputs", "sets"),
)
class StepCompleted(Struct, frozen=True, gc=False):
    """An attempt returned; `sets` are the workflow outputs that it wrote.

    `usage`, here and in the other outcomes, is what the attempt reported to have used: by model `input_tokens`,
    `output_tokens` and `cost_nanos`, billionths of a unit of money.
    """

    step: str
    attempt: int
    output: Json = None
    outputs: Mapping[str, Json] | None = None
    sets: Mapping[str, Json] | None = None
    usage: Mapping[str, Mapping[str, int]] | None = None


@step_event(
    origin=Origin.FACT,
    attempt=Attempt.FAILED,
    effects=Effect.DUE,
    payloads=("output", "error"),
)
class StepFailed(Struct, frozen=True, gc=False):
    """An attempt failed; `retry_ms` is the wait before the next one, None when this was the last.

    `then` says how the document handles a last failure: fail, continue (with `output`) or goto (`goto`). `reason` says
    why it was the last where that is not to be seen from the error and the count: `max_elapsed`.
    """

    step: str
    attempt: int
    error: Mapping[str, Json]
    retry_ms: int | None = None
    then: str = "fail"
    goto: str | None = None
    output: Json = None
    reason: str = ""
    usage: Mapping[str, Mapping[str, int]] | None = None


@step_event(
    origin=Origin.FACT,
    attempt=Attempt.TIMED_OUT,
    effects=Effect.DUE,
    payloads=("output",),
)
class StepTimedOut(Struct, frozen=True, gc=False):
    """A time limit of the step ran out; `kind` names it; the rest is as in StepFailed."""

    step: str
    attempt: int
    kind: str
    error: Mapping[str, Json]
    retry_ms: int | None = None
    then: str = "fail"
    goto: str | None = None
    output: Json = None
    reason: str = ""
    usage: Mapping[str, Mapping[str, int]] | None = None


@step_event(
    origin=Origin.FACT, attempt=Attempt.LOST, effects=Effect.READIES, payloads=()
)
class StepLeaseLost(Struct, frozen=True, gc=False):
    """The worker of an attempt went silent; the step may be claimed again."""

    step: str
    attempt: int
    worker: str


@step_event(
    origin=Origin.FACT, attempt=Attempt.GIVEN_BACK, effects=Effect.NOTHING, payloads=()
)
class StepReleased(Struct, frozen=True, gc=False):
    """A worker gave an attempt back unstarted; it does not count against any limit but its own."""

    step: str
    attempt: int
    reason: str = ""
    delay_ms: int = 0
    usage: Mapping[str, Mapping[str, int]] | None = None


@step_event(
    origin=Origin.DECISION,
    attempt=None,
    effects=Effect.READIES | Effect.SETTLES | Effect.DUE | Effect.WAITS,
    payloads=(),
)
class StepRetryScheduled(Struct, frozen=True, gc=False):
    """The next attempt may be claimed after `delay_ms`, once it has passed its rate limit if it is `gated`."""

    step: str
    delay_ms: int
    gated: bool = False


@step_event(origin=Origin.DECISION, attempt=None, effects=Effect.SETTLES, payloads=())
class StepSkipped(Struct, frozen=True, gc=False):
    """The step does not run: its condition was false, or no edge into it is alive."""

    step: str
    reason: str


@step_event(
    origin=Origin.FORCED,
    attempt=Attempt.CANCELLED,
    effects=Effect.SETTLES | Effect.DUE,
    payloads=(),
)
class StepCancelled(Struct, frozen=True, gc=False):
    """The step was withdrawn before its outcome; a late outcome is refused."""

    step: str
    reason: str


@step_event(origin=Origin.DECISION, attempt=None, effects=Effect.NOTHING, payloads=())
class StepResultReused(Struct, frozen=True, gc=False):
    """A step that is done again has the inputs that it had: its result stands, and nobody runs it."""

    step: str


@step_event(
    origin=Origin.FACT,
    attempt=Attempt.OVERRIDDEN,
    effects=Effect.SETTLES | Effect.DUE,
    payloads=("output",),
)
class StepOverridden(Struct, frozen=True, gc=False):
    """Somebody said how a step ended: completed, with an output, or skipped."""

    step: str
    status: str
    output: Json = None
    reason: str = ""


@step_event(
    origin=Origin.FORCED,
    attempt=None,
    effects=Effect.SCHEDULES | Effect.READIES | Effect.SETTLES,
    payloads=("inputs",),
)
class CompensationScheduled(Struct, frozen=True, gc=False):
    """What undoes a completed step may be claimed, as step `compensation`; its inputs are as in StepScheduled."""

    step: str
    compensation: str
    inputs: Mapping[str, Json]
    secrets: Sequence[Json] | None = None


@step_event(
    origin=Origin.DECISION, attempt=None, effects=Effect.DUE | Effect.WAITS, payloads=()
)
class TimerSet(Struct, frozen=True, gc=False):
    """A step waits until a time, `at_ms` by the server's clock, or for `delay_ms`; timers of a step count from 1."""

    step: str
    timer: int
    delay_ms: int = 0
    at_ms: int = 0


@step_event(origin=Origin.FACT, attempt=None, effects=Effect.DUE, payloads=())
class TimerFired(Struct, frozen=True, gc=False):
    """The time of a timer has come."""

    step: str
    timer: int


@step_event(
    origin=Origin.FACT, attempt=None, effects=Effect.NOTHING, payloads=("payload",)
)
class SignalReceived(Struct, frozen=True, gc=False):
    """Somebody sent a signal to the run; it is kept until a step takes it."""

    signal: str
    name: str
    key: str | None = None
    payload: Json = None
    by: str = ""
    reason: str = ""
    at_ms: int = 0


@step_event(origin=Origin.DECISION, attempt=None, effects=Effect.NOTHING, payloads=())
class SignalTaken(Struct, frozen=True, gc=False):
    """A step that waits for it took a signal."""

    step: str
    signal: str


@step_event(
    origin=Origin.DECISION,
    attempt=None,
    effects=Effect.SETTLES | Effect.DUE | Effect.WAITS,
    payloads=(),
)
class ChildStarted(Timed, frozen=True, gc=False):
    """A step handed its work to a run of another workflow, in a log of its own; `time_ms` is as in StepStarted."""

    step: str
    child: str
    workflow: str
    time_ms: int = 0


@step_event(origin=Origin.FACT, attempt=None, effects=Effect.DUE, payloads=())
class ChildClosed(Struct, frozen=True, gc=False):
    """The child run of a step ended; `usage` is what it has used, with its own children."""

    step: str
    child: str
    status: str
    usage: Mapping[str, int] | None = None


@step_event(
    origin=Origin.FACT, attempt=Attempt.LATE, effects=Effect.NOTHING, payloads=()
)
class StepOutcomeIgnored(Struct, frozen=True, gc=False):
    """An outcome came after its attempt had lost the lease; kept for the record, never applied."""

    step: str
    attempt: int
    worker: str
    outcome: str
    usage: Mapping[str, Mapping[str, int]] | None = None


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
