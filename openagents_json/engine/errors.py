"""Errors of the engine: waiting, files, what leaves the store, healing.

TimedOut
+-- WaitTimeout         a run did not end within the time that the caller would wait
OpenAgentsError
+-- RunNotCompleted     a run ended otherwise than by completing
|   +-- RunFailedError      it failed
|   +-- RunCancelledError   it was cancelled
+-- StepFailedError     what a run ended by: the error that is on record
+-- OutputMismatch      the output of a run is not of the type that the program has named
NotFound
+-- AmbiguousRun        several runs begin like that
+-- NotArchived         there is no archived run of an id
+-- ProfileNotFound     there is no profile of a name
+-- ApiKeyNotFound      there is no API key of an id
Conflict
+-- CannotLeave         a run cannot leave the store, because something still needs it
+-- NotMoved            a run cannot move to another store, or not now
+-- StillNeeded         a published workflow is used, and would be missed
InvalidArgument
+-- NotOfType           a text or a value is not of the type that is declared
+-- InvalidSetting      a setting has a value that it cannot have
+-- InvalidProfile      a file of profiles has a key or a value that it cannot have
+-- InvalidApiKey       an API key was asked for that cannot be
+-- CapsuleUnreadable   a file is no capsule, or a damaged one
Unavailable
+-- ArchiveUnreachable  a place of the archive cannot be written or read
LedgerError
+-- NoLedger            the store has no ledger
ProjectionError
+-- PolicyUnreadable    a file is no policy of retention
HealError
+-- InvalidHeal         what was asked of a heal makes no sense
+-- HealNotFound        there is no report of a heal under a name
+-- SandboxTooWeak      the sandbox had to be strict, and cannot be here
+-- WaveUnfinished      runs of a wave have not ended in time
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eventstore.passwords import masked
from executor.errors import ConcurrencyLimitReached as ConcurrencyLimitReached
from openagents_json.errors import (
    Conflict,
    FileUnusable,
    InvalidArgument,
    NotFound,
    OpenAgentsError,
    TimedOut,
    Unavailable,
)
from openagents_json.workflow.errors import DocumentUnreadable as DocumentUnreadable
from projections.errors import LedgerError, ProjectionError


class WaitTimeout(TimedOut, TimeoutError):
    """A run did not end within the time that the caller would wait; the run goes on."""

    code = "wait_timeout"

    def __init__(self, run: str, seconds: float, status: str) -> None:
        self.run = run
        self.seconds = seconds
        self.status = status
        super().__init__(
            f"run {run} is still {status} after {seconds:g} s",
            remedy="it goes on, wait again or cancel it",
        )


# -- how runs end ----------------------------------------------------------------------------------------


class RunNotCompleted(OpenAgentsError, RuntimeError):
    """A run ended otherwise than by completing; carries `run`, and `error`: type, message, step, as far as on record.

    Its `__cause__` is a StepFailedError when an error is on record.
    """

    code = "run_not_completed"
    verb = "did not complete"

    def __init__(self, run: str, error: Mapping[str, Any] | None) -> None:
        self.run = run
        self.error = dict(error or {})
        why = f": {_text_of(self.error)}" if self.error else ""
        super().__init__(f"run {run} {self.verb}{why}")


class RunFailedError(RunNotCompleted):
    """A run failed; carries `run` and `error`: type, message, step."""

    code = "run_failed"
    verb = "failed"


class RunCancelledError(RunNotCompleted):
    """A run was cancelled; carries `run` and `error`, which is empty unless something failed before."""

    code = "run_cancelled"
    verb = "was cancelled"


class StepFailedError(OpenAgentsError, RuntimeError):
    """The error that a run ended by, as it is on record; carries `type`, `message`, `step` and all of it in `error`."""

    code = "step_failed"

    def __init__(self, error: Mapping[str, Any]) -> None:
        self.error = dict(error)
        self.type = str(error.get("type", ""))
        self.message = str(error.get("message", ""))
        self.step = str(error.get("step") or "")
        super().__init__(_text_of(self.error))


def _text_of(error: Mapping[str, Any]) -> str:
    step = f"step {error['step']}: " if error.get("step") else ""
    return f"{step}{error.get('type', 'Error')}: {error.get('message', '')}"


class OutputMismatch(OpenAgentsError, ValueError):
    """The output of a run is not of the type that the program has named; carries `run`, `model` and `reason`."""

    code = "output_mismatch"

    def __init__(self, run: str, model: str, reason: str) -> None:
        self.run = run
        self.model = model
        self.reason = reason
        super().__init__(
            f"the output of run {run} is no {model}: {reason}",
            remedy="change the workflow's output or the model",
        )


# -- what is given as text -------------------------------------------------------------------------------


class NotOfType(InvalidArgument, ValueError):
    """A text or a value is not of the declared type; carries `reason`, and `proposals`, texts that would be."""

    code = "not_of_type"

    def __init__(self, reason: str, proposals: Sequence[str]) -> None:
        self.reason = reason
        self.proposals = tuple(proposals)
        super().__init__(f"{reason}; write {' or '.join(self.proposals)}")


# -- settings and files ----------------------------------------------------------------------------------


class InvalidSetting(InvalidArgument, ValueError):
    """A setting has a value that it cannot have; carries `name`, `reason`, and `where` it was said, as far as known."""

    code = "invalid_setting"
    exit_status = 2

    def __init__(self, name: str, reason: str, where: str = "") -> None:
        self.name = name
        self.reason = reason
        self.because = name
        self.where = where
        source = f" ({where})" if where else ""
        super().__init__(f"setting {name}{source}: {reason}")


class InvalidProfile(InvalidArgument, ValueError):
    """A file of profiles has a key or a value that it cannot have; carries `file`, `line` (0 for none) and `reason`."""

    code = "invalid_profile"
    exit_status = 2

    def __init__(self, file: str, line: int, reason: str) -> None:
        self.file = file
        self.line = line
        self.reason = reason
        where = f"{file}:{line}" if line else file
        super().__init__(f"{where}: {reason}")


class ProfileNotFound(NotFound, LookupError):
    """There is no profile of this name; carries `name`."""

    code = "profile_not_found"

    def __init__(self, name: str, where: str) -> None:
        self.name = name
        super().__init__(f"there is no profile {name!r}{where}")


class CapsuleUnreadable(InvalidArgument, ValueError):
    """A file is no capsule, or a damaged one; carries `what`."""

    code = "capsule_unreadable"

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(
            f"the capsule cannot be read: {what}",
            remedy="export the run again",
        )


class ArchiveUnreachable(Unavailable, FileUnusable):
    """A place of the archive cannot be written or read; what a driver says may hold its password, so it is masked."""

    code = "archive_unreachable"

    def __init__(self, url: str, reason: str) -> None:
        self.url = masked(url)
        self.reason = masked(reason, url)
        super().__init__(f"the archive at {self.url} cannot be reached: {self.reason}")


class PolicyUnreadable(ProjectionError, InvalidArgument, ValueError):
    """A file is no policy of retention."""

    code = "policy_unreadable"

    def __init__(self, where: str, reason: str) -> None:
        self.where = where
        self.reason = reason
        super().__init__(f"{where} is no policy: {reason}")


class NoLedger(LedgerError, NotFound):
    """The store has no ledger, so there is nothing to check."""

    code = "no_ledger"

    def __init__(self) -> None:
        super().__init__(
            "the store has no ledger yet",
            remedy="start workers with OPENAGENTS_AUDIT_KEY",
        )


# -- leaving and coming back -----------------------------------------------------------------------------


class CannotLeave(Conflict):
    """A run cannot leave the store, because something still needs it; `because` names some of the reasons."""

    code = "cannot_leave"

    def __init__(self, run: str, why: str, *, because: str = "") -> None:
        self.run = run
        self.why = why
        self.because = because
        super().__init__(f"run {run} stays in the store: {why}")


class AmbiguousRun(NotFound, LookupError):
    """Several runs have an id that begins like that."""

    code = "ambiguous_run"

    def __init__(self, beginning: str, runs: tuple[str, ...], others: int) -> None:
        self.beginning = beginning
        self.runs = runs
        self.others = others
        rest = f" and {others} more" if others else ""
        super().__init__(
            f"several runs begin with {beginning!r}: {', '.join(runs)}{rest}",
            remedy="give more of the id",
        )


class NotArchived(NotFound, LookupError):
    """There is no archived run of this id."""

    code = "not_archived"

    def __init__(self, run: str) -> None:
        self.run = run
        super().__init__(
            f"run {run} is not in the archive",
        )


class NotMoved(Conflict):
    """A run cannot move, or not now; it is where it was, unless the message says something else."""

    code = "not_moved"

    def __init__(self, run: str, why: str) -> None:
        self.run = run
        self.why = why
        super().__init__(f"run {run} has not moved: {why}")


class StillNeeded(Conflict):
    """A published workflow is used, and would be missed; carries `name` and `reasons`."""

    code = "still_needed"

    def __init__(self, name: str, reasons: tuple[str, ...]) -> None:
        self.name = name
        self.reasons = reasons
        super().__init__(
            f"workflow {name} stays published: {', '.join(reasons)}. Runs of it keep their definition and go on "
            "without it, all others would not find it any more; force it if that is meant"
        )


# -- healing ---------------------------------------------------------------------------------------------


class HealError(OpenAgentsError, RuntimeError):
    """A heal cannot begin or go on."""

    code = "heal_error"


class InvalidHeal(HealError, InvalidArgument):
    """What was asked of a heal makes no sense."""

    code = "invalid_heal"


class SandboxTooWeak(HealError):
    """The sandbox of a backtest had to be strict, and this machine leaves components something (`leaves`)."""

    code = "sandbox_too_weak"

    def __init__(self, heal: str, leaves: tuple[str, ...], bounds: str) -> None:
        self.heal = heal
        self.leaves = leaves
        super().__init__(
            f"a strict sandbox is not to be had here: {bounds}",
            remedy="go on without it, or where the kernel has more",
        )


class HealNotFound(HealError, NotFound):
    """There is no report of a heal under a name."""

    code = "heal_not_found"

    def __init__(self, heal: str) -> None:
        self.heal = heal
        super().__init__(f"there is no heal {heal!r} in this store")


class WaveUnfinished(HealError, TimedOut):
    """Runs of a wave have not ended in time; carries `heal`, `wave` and the runs that are `open`."""

    code = "wave_unfinished"

    def __init__(
        self, heal: str, wave: int, open_runs: tuple[str, ...], seconds: float
    ) -> None:
        self.heal = heal
        self.wave = wave
        self.open = open_runs
        super().__init__(
            f"{len(open_runs)} runs of wave {wave} of heal {heal} have not ended within {seconds:g} s "
            f"({open_runs[0]} is one)",
            remedy="start workers, and resume the heal",
        )


class NobodyWorks(WaveUnfinished):
    """Nobody has worked on a run of a wave for some time; `because` says who is missing."""

    code = "nobody_works"

    def __init__(
        self, heal: str, wave: int, run: str, seconds: float, because: str
    ) -> None:
        self.heal = heal
        self.wave = wave
        self.open = (run,)
        self.because = because
        HealError.__init__(
            self,
            f"nobody has worked on run {run} of wave {wave} of heal {heal} for {seconds:g} s: {because}",
            remedy="start workers, and resume the heal",
        )


class ApiKeyNotFound(NotFound):
    """There is no API key of an id."""

    code = "api_key_not_found"

    def __init__(self, key_id: str) -> None:
        super().__init__(f"there is no API key {key_id}")


class InvalidApiKey(InvalidArgument):
    """An API key was asked for that cannot be."""

    code = "invalid_api_key"
