"""What somebody asks of a run: imperative, decided by `decide`, refused with `Rejected`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from openagents_json.workflow.errors import Rejected as Rejected
from openagents_json.workflow.types import Json


@dataclass(frozen=True, slots=True)
class StartRun:
    """Begin a run; `inputs` are checked and defaulted already.

    `cancelled` is why it ends before it does anything: its id is taken, so that nobody begins it later.
    """

    run: str
    inputs: Mapping[str, Json]
    labels: Mapping[str, str] | None = None
    parent: Mapping[str, Json] | None = None
    cancelled: str = ""


@dataclass(frozen=True, slots=True)
class Completed:
    """The outcome of an attempt that returned."""

    step: str
    attempt: int
    output: Json


@dataclass(frozen=True, slots=True)
class Failed:
    """The outcome of an attempt that raised; `error` has type, message, retryable and may have retry_after_ms."""

    step: str
    attempt: int
    error: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Expired:
    """The outcome of an attempt that its own worker stopped at a limit (start_to_close or heartbeat)."""

    step: str
    attempt: int
    kind: str
    limit_ms: int


@dataclass(frozen=True, slots=True)
class Released:
    """An attempt that its worker gives back unstarted."""

    step: str
    attempt: int
    reason: str


Outcome = Completed | Failed | Expired | Released


@dataclass(frozen=True, slots=True)
class RecordOutcomes:
    """Record what a worker found out about attempts whose fences it holds."""

    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class Advance:
    """Decide whatever the state already implies; the answer to a lost or late decision."""


@dataclass(frozen=True, slots=True)
class LoseLease:
    """The lease of an attempt ran out by the server's clock; `begun` tells whether its worker may have begun."""

    step: str
    fence: str
    begun: bool = True


@dataclass(frozen=True, slots=True)
class TimeOutStep:
    """A limit of a step ran out by the server's clock: start_to_close, schedule_to_start or total."""

    step: str
    kind: str
    fence: str = ""


@dataclass(frozen=True, slots=True)
class TimeOutRun:
    """The time limit of the whole run is over."""


@dataclass(frozen=True, slots=True)
class PauseRun:
    """Start nothing more until resumed."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class ResumeRun:
    """Go on."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class CancelRun:
    """End the run; `force` does not wait for steps under way, `compensate` undoes completed steps that say how."""

    reason: str = ""
    force: bool = False
    compensate: bool = True


@dataclass(frozen=True, slots=True)
class FireTimer:
    """The time of a step's timer has come, by the server's clock."""

    step: str
    timer: int


@dataclass(frozen=True, slots=True)
class SendSignal:
    """Return the run a signal; one with an id that was heard before changes nothing."""

    name: str
    payload: Json = None
    key: str | None = None
    id: str = ""
    by: str = ""
    reason: str = ""
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class CloseChild:
    """Tell a step how the run that it waits for ended."""

    step: str
    child: str
    status: str
    output: Json = None
    error: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True)
class Admit:
    """Let a step (or the run, "") that waited at gates begin; `fences` are those of its locks, by key."""

    step: str
    fences: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class RefuseRun:
    """End a queued run that its workflow's limit does not let in."""

    error: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class ReopenRun:
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


@dataclass(frozen=True, slots=True)
class OverrideStep:
    """Say how a step ended, completed or skipped, and go on from there; a closed run is opened again for it."""

    step: str
    status: str
    output: Json = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ForkRun:
    """Begin to go another way than the run whose events have been folded so far."""

    source: str
    at: int
    inputs: Mapping[str, Json] | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RedactRun:
    """Keep on record that payloads of a closed run are no more; the fields are those of RunRedacted."""

    how: str
    erased: Sequence[Json] = ()
    failures: Sequence[Json] = ()
    labels: bool = False
    reason: str = ""
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class HoldRun:
    """Hold a run, so that nothing of it is erased, archived or deleted; or release it."""

    on: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ImportRun:
    """Take over the run whose events have been folded so far, from another store, `source`; an open one goes on."""

    source: str
    at: int
    paused: bool = False
    reason: str = ""
    how: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class NoteIgnored:
    """Keep on record that a late outcome was refused."""

    step: str
    attempt: int
    worker: str
    outcome: str


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
