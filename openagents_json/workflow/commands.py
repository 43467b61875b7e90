"""What somebody asks of a run: imperative, decided by `decide`, refused with `Rejected`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from openagents_json.workflow.types import Json


@dataclass(frozen=True, slots=True)
class StartRun:
    """Begin a run; `inputs` are checked and defaulted already."""

    run: str
    inputs: Mapping[str, Json]
    labels: Mapping[str, str] | None = None


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
    """The lease of an attempt ran out by the server's clock."""

    step: str
    fence: str


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
    """End the run; `force` does not wait for steps under way."""

    reason: str = ""
    force: bool = False


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
    | NoteIgnored
)


class Rejected(Exception):
    """A command does not fit the state of the run; carries `code`, `reason` and `status`."""

    def __init__(self, code: str, reason: str, status: str) -> None:
        self.code, self.reason, self.status = code, reason, status
        super().__init__(reason)
