"""What somebody asks of a run: imperative, decided by `decide`, refused with `Rejected`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from openagents_json.workflow.core.usage import ByModel
from openagents_json.workflow.errors import Rejected as Rejected
from openagents_json.workflow.types import Json


class StartRun(Struct, frozen=True, gc=False):
    """Begin a run; `inputs` are checked and defaulted already.

    `cancelled` is why it ends before it does anything: its id is taken, so that nobody begins it later. `budget` is
    what its caller says of how much it may use, by the fields of `usage.Budget`. A `signal` comes with it. `name` is
    what its business key is in the store. It is `debounced` by a key for so many ms, beside what its document says.
    """

    run: str
    inputs: Mapping[str, Json]
    labels: Mapping[str, str] | None = None
    parent: Mapping[str, Json] | None = None
    cancelled: str = ""
    budget: Mapping[str, Json] | None = None
    signal: SendSignal | None = None
    name: str = ""
    debounced: tuple[str, int] | None = None


class Completed(Struct, frozen=True, gc=False):
    """The outcome of an attempt that returned; `usage`, here and below, is what it reported to have used by model."""

    step: str
    attempt: int
    output: Json
    usage: ByModel | None = None


class Failed(Struct, frozen=True, gc=False):
    """The outcome of an attempt that raised; `error` has type, message, retryable and may have retry_after_ms."""

    step: str
    attempt: int
    error: Mapping[str, Json]
    usage: ByModel | None = None


class Expired(Struct, frozen=True, gc=False):
    """The outcome of an attempt that its own worker stopped at a limit (start_to_close or heartbeat)."""

    step: str
    attempt: int
    kind: str
    limit_ms: int
    usage: ByModel | None = None


class Released(Struct, frozen=True, gc=False):
    """An attempt that its worker gives back unstarted."""

    step: str
    attempt: int
    reason: str
    usage: ByModel | None = None


Outcome = Completed | Failed | Expired | Released


class RecordOutcomes(Struct, frozen=True, gc=False):
    """Record what a worker found out about attempts whose fences it holds."""

    outcomes: tuple[Outcome, ...]


class Advance(Struct, frozen=True, gc=False):
    """Decide whatever the state already implies; the answer to a lost or late decision."""


class LoseLease(Struct, frozen=True, gc=False):
    """The lease of an attempt ran out by the server's clock; `begun` tells whether its worker may have begun."""

    step: str
    fence: str
    begun: bool = True


class TimeOutStep(Struct, frozen=True, gc=False):
    """A limit of a step ran out by the server's clock: start_to_close, schedule_to_start or total."""

    step: str
    kind: str
    fence: str = ""


class TimeOutRun(Struct, frozen=True, gc=False):
    """The time limit of the whole run is over."""


class PauseRun(Struct, frozen=True, gc=False):
    """Start nothing more until resumed."""

    reason: str = ""


class ResumeRun(Struct, frozen=True, gc=False):
    """Go on."""

    reason: str = ""


class CancelRun(Struct, frozen=True, gc=False):
    """End the run; `force` does not wait for steps under way, `compensate` undoes completed steps that say how."""

    reason: str = ""
    force: bool = False
    compensate: bool = True


class FireTimer(Struct, frozen=True, gc=False):
    """The time of a step's timer has come, by the server's clock."""

    step: str
    timer: int


class SendSignal(Struct, frozen=True, gc=False):
    """Return the run a signal; one with an id that was heard before changes nothing."""

    name: str
    payload: Json = None
    key: str | None = None
    id: str = ""
    by: str = ""
    reason: str = ""
    at_ms: int = 0


class CloseChild(Struct, frozen=True, gc=False):
    """Tell a step how the run that it waits for ended, and what it has used."""

    step: str
    child: str
    status: str
    output: Json = None
    error: Mapping[str, Json] | None = None
    usage: Mapping[str, int] | None = None


class Admit(Struct, frozen=True, gc=False):
    """Let a step (or the run, "") that waited at gates begin; `fences` are those of its locks, by key."""

    step: str
    fences: Mapping[str, int] | None = None


class RefuseRun(Struct, frozen=True, gc=False):
    """End a queued run that its workflow's limit does not let in."""

    error: Mapping[str, Json]


class ReopenRun(Struct, frozen=True, gc=False):
    """Let a closed run go on: from what failed, or from a step; `inputs` replace some of those of the run.

    `migrate` says that the plan it is decided with is another one than the run had. With `replay`, all of it is done
    again, but for steps whose inputs turn out the same and that are not in `changed` (static paths).
    """

    step: str = ""
    inputs: Mapping[str, Json] | None = None
    reason: str = ""
    migrate: bool = False
    replay: bool = False
    changed: frozenset[str] = frozenset()


class OverrideStep(Struct, frozen=True, gc=False):
    """Say how a step ended, completed or skipped, and go on from there; a closed run is opened again for it."""

    step: str
    status: str
    output: Json = None
    reason: str = ""


class ForkRun(Struct, frozen=True, gc=False):
    """Begin to go another way than the run whose events have been folded so far."""

    source: str
    at: int
    inputs: Mapping[str, Json] | None = None
    reason: str = ""


class RedactRun(Struct, frozen=True, gc=False):
    """Keep on record that payloads of a closed run are no more; the fields are those of RunRedacted."""

    how: str
    erased: Sequence[Json] = ()
    failures: Sequence[Json] = ()
    labels: bool = False
    reason: str = ""
    metadata: Mapping[str, str] | None = None


class HoldRun(Struct, frozen=True, gc=False):
    """Hold a run, so that nothing of it is erased, archived or deleted; or release it."""

    on: bool
    reason: str = ""


class ImportRun(Struct, frozen=True, gc=False):
    """Take over the run whose events have been folded so far, from another store, `source`; an open one goes on."""

    source: str
    at: int
    paused: bool = False
    reason: str = ""
    how: str = ""
    sha256: str = ""


class NoteIgnored(Struct, frozen=True, gc=False):
    """Keep on record that a late outcome was refused."""

    step: str
    attempt: int
    worker: str
    outcome: str
    usage: ByModel | None = None


Command = (
    StartRun
    | RecordOutcomes
    | Advance
    | LoseLease
    | TimeOutStep
    | TimeOutRun
    | PauseRun
    | ResumeRun
    | CancelRun
    | FireTimer
    | SendSignal
    | CloseChild
    | Admit
    | RefuseRun
    | ReopenRun
    | OverrideStep
    | ForkRun
    | RedactRun
    | HoldRun
    | ImportRun
    | NoteIgnored
)
