"""Errors of who runs steps.

NotFound
+-- ScheduleNotFound         there is no schedule of a name
+-- NoSuchVersion            a run has no event of that number
Conflict
+-- RunExists                another commit has started a run with this id
+-- ScheduleExists           there is a schedule of that name already
+-- KeyConflict              an idempotency key has begun something for another request
+-- TooContended             a command lost every race for its run
+-- AnotherHistory           the store has a run of this id that has gone another way
+-- InPart                   a run came in only in part
InvalidArgument
+-- HistoryUnfit             a history cannot be that of a run
+-- InvalidKey               what was given as a key is none
+-- InvalidSchedule          a schedule cannot be
+-- InvalidCron              a cron expression cannot be read
+-- UnknownZone              there is no time zone of a name
+-- TooManyStarts            one request would start more runs than it may
+-- PayloadRefused           a payload cannot be stored
    +-- PayloadUnfit         it cannot be written as JSON, or not be read again
    +-- PayloadOverLimit     it is larger than the store takes
LimitReached
+-- ConcurrencyLimitReached  a run was not let in, because others are under way
RunUnreadable
+-- RunNotFound              there is no such run
+-- BrokenHistory            the stored events of a run are not contiguous
+-- EncryptionError          payloads of a run cannot be read here
    +-- RunSealed            this process does not have the master key
    +-- KeyMissing           the key of the run is not in the store
    +-- DamagedPayload       what is stored was not encrypted with this key, or was changed since
SecretMissing                the worker has no secret of a name
"""

from __future__ import annotations

from eventstore.errors import InvalidRequest
from openagents_json.errors import (
    Conflict,
    InvalidArgument,
    LimitReached,
    NotFound,
    OpenAgentsError,
    RunUnreadable,
)

KEYS_VARIABLE = "OPENAGENTS_ENCRYPTION_KEYS"
"""Where the master keys of a process are said."""


# -- runs that cannot be read ----------------------------------------------------------------------------


class RunNotFound(RunUnreadable, NotFound, LookupError):
    """There is no such run."""

    code = "run_not_found"

    def __init__(self, run: str) -> None:
        self.run = run
        super().__init__(
            f"there is no run {run!r} in this store",
            remedy="one that is archived has to be restored first",
        )


class BrokenHistory(RunUnreadable):
    """The stored events of a run are not contiguous."""

    code = "broken_history"

    def __init__(self, run: str, expected: int, actual: int) -> None:
        self.run = run
        self.expected = expected
        self.actual = actual
        super().__init__(
            f"run {run}: event {expected} is missing (found {actual})",
            remedy="restore it from a backup of the store",
        )


class EncryptionError(RunUnreadable):
    """Payloads of a run cannot be read here."""

    code = "encryption_error"


class RunSealed(EncryptionError):
    """A run is encrypted, and this process does not have the master key; carries `run` and `key_id`."""

    code = "run_sealed"
    http_status = 403

    def __init__(self, run: str, key_id: str) -> None:
        self.run = run
        self.key_id = key_id
        named = f"with key {key_id}" if key_id else "with a key of its own"
        super().__init__(
            f"run {run} is encrypted {named}, which this process does not have",
            remedy=f"set {KEYS_VARIABLE}",
        )


class KeyMissing(EncryptionError):
    """A run is encrypted, its key is not in the store, and nothing says that it was shredded."""

    code = "run_key_missing"

    def __init__(self, run: str) -> None:
        self.run = run
        super().__init__(
            f"run {run} is encrypted and its key is not in the store",
            remedy="restore it from a backup of the store, or adopt it from the store that the run comes from",
        )


class DamagedPayload(EncryptionError):
    """What is stored was not encrypted with this key, or not for this place, or was changed since."""

    code = "payload_damaged"

    def __init__(self, run: str, payload: str) -> None:
        self.run = run
        self.payload = payload
        super().__init__(
            f"run {run}: {payload} cannot be decrypted: it was changed, moved, or encrypted with another key",
            remedy="restore it from a backup of the store",
        )


# -- starting runs ---------------------------------------------------------------------------------------


class RunExists(Conflict):
    """Another commit has started a run with this id."""

    code = "run_exists"

    def __init__(self, run: str) -> None:
        self.run = run
        super().__init__(
            f"run {run} exists already, here or in the archive",
            remedy="leave the id out, or use another idempotency key",
        )


class KeyConflict(Conflict):
    """An idempotency key has begun something for another request; carries the `run` that it began and what `differs`.

    `asked` and `recorded` are the hashes of the definitions, of what was asked for and of what the run goes by.
    """

    code = "idempotency_conflict"

    def __init__(
        self,
        run: str,
        differs: str,
        asked: str = "",
        recorded: str = "",
        what: str = "",
    ) -> None:
        self.run = run
        self.differs = differs
        self.asked = asked
        self.recorded = recorded
        super().__init__(
            f"the idempotency key belongs to {what or 'the start of'} run {run} with {differs}",
            remedy="nothing was done: send the same request again, or another key",
        )


class ConcurrencyLimitReached(LimitReached, RuntimeError):
    """A run was not let in, because others of its key are under way and its workflow says to reject it then.

    `run` is its id: it is on record as failed, and its history says why.
    """

    code = "concurrency_limit_reached"

    def __init__(self, run: str, reason: str) -> None:
        self.run = run
        self.reason = reason
        super().__init__(f"run {run} is rejected: {reason}")


class TooManyStarts(InvalidRequest):
    """One request would start more runs than it may."""

    code = "too_many_starts"
    http_status = 413

    def __init__(self, count: int, most: int) -> None:
        self.count = count
        self.most = most
        super().__init__(
            f"one request may start {most:,} runs, not {count:,}",
            remedy=(
                "nothing was started: send them in several, or raise OPENAGENTS_MAX_STARTS"
            ),
        )


# -- commands to runs ------------------------------------------------------------------------------------


class TooContended(Conflict):
    """A command lost every race for its run."""

    code = "too_contended"

    def __init__(self, run: str, tries: int) -> None:
        self.run = run
        self.tries = tries
        super().__init__(
            f"run {run}: others changed it {tries} times in a row before this command",
            remedy="send it again",
        )


class NoSuchVersion(NotFound, LookupError):
    """A run has no event of that number."""

    code = "no_such_version"

    def __init__(self, run: str, at: int, last: int) -> None:
        self.run = run
        self.at = at
        self.last = last
        which = f"no event {at}" if at else "none as early as that"
        super().__init__(f"run {run} has events 1 to {last}, and {which}")


class PayloadRefused(InvalidArgument):
    """A payload cannot be stored; carries `step` (None for the run) and `kind`, the type of its error."""

    code = "payload_refused"
    step: str | None
    kind: str


class PayloadUnfit(PayloadRefused):
    """A payload cannot be written as JSON, or not be read again; carries `reason`."""

    code = "payload_not_json"
    kind = "PayloadNotJson"

    def __init__(self, step: str | None, what: str, reason: str) -> None:
        self.step = step
        self.reason = reason
        where = f"step {step}" if step else "the run"
        super().__init__(
            f"{where}: {what} cannot be written: {reason}",
            remedy="make it smaller or flatter",
        )


class PayloadOverLimit(PayloadRefused):
    """A payload is larger than the store takes; carries `step` (None for the run), `field`, `size` and `limit`."""

    code = "payload_over_limit"
    http_status = 413
    kind = "PayloadTooLarge"

    def __init__(self, step: str | None, field: str, size: int, limit: int) -> None:
        self.step = step
        self.field = field
        self.size = size
        self.limit = limit
        where = f"step {step}" if step else "the run"
        super().__init__(
            f"{where}: {field} has {size} bytes, more than the limit of {limit}",
            remedy=(
                "store it elsewhere and pass a reference, or raise the limit in the settings"
            ),
        )


class SecretMissing(OpenAgentsError):
    """The worker has no secret of a name, or the inputs have no place for it."""

    code = "secret_missing"

    def __init__(self, name: str, reason: str = "") -> None:
        self.name = name
        super().__init__(
            reason
            or f"there is no secret {name!r}; set OPENAGENTS_SECRET_{name} for the workers"
        )


class InvalidKey(InvalidArgument, ValueError):
    """What was given as a key is none; `because` it is "malformed", where it is."""

    code = "invalid_key"

    def __init__(self, what: str, reason: str, *, because: str = "") -> None:
        self.what = what
        self.reason = reason
        self.because = because
        super().__init__(f"{what} {reason}")


# -- runs from elsewhere ---------------------------------------------------------------------------------


class HistoryUnfit(InvalidArgument, ValueError):
    """A history cannot be that of a run."""

    code = "history_unfit"

    def __init__(self, run: str, why: str) -> None:
        self.run = run
        self.why = why
        super().__init__(f"the history of run {run} cannot be taken in: {why}")


class AnotherHistory(Conflict, LookupError):
    """The store has a run of this id that has gone another way."""

    code = "another_history"

    def __init__(self, run: str, version: int) -> None:
        self.run = run
        self.version = version
        super().__init__(
            f"run {run} is in this store already, with another history than the {version} events that come in; "
            "nothing was changed"
        )


class InPart(Conflict, LookupError):
    """The run came in before, and was cut off in the middle by a fault of its server."""

    code = "run_in_part"

    def __init__(self, run: str) -> None:
        self.run = run
        super().__init__(
            f"run {run} came in only in part, because its server was cut off",
            remedy="repair the store, then it can come in again",
        )


# -- schedules -------------------------------------------------------------------------------------------


class ScheduleNotFound(NotFound):
    """There is no schedule of a name."""

    code = "schedule_not_found"

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"there is no schedule {name!r} in this store",
        )


class ScheduleExists(Conflict):
    """There is a schedule of that name already."""

    code = "schedule_exists"

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"there is a schedule {name!r} already",
            remedy="delete it first, or say that it is to be replaced",
        )


class InvalidSchedule(InvalidArgument, ValueError):
    """A schedule cannot be: its expression, zone, interval or policy is wrong."""

    code = "invalid_schedule"
    exit_status = 2


class InvalidCron(InvalidArgument, ValueError):
    """A cron expression cannot be read."""

    code = "invalid_cron"


class UnknownZone(InvalidArgument, ValueError):
    """There is no time zone of a name."""

    code = "unknown_zone"

    def __init__(self, name: str, release: str) -> None:
        self.name = name
        self.release = release
        super().__init__(
            f"there is no time zone {name!r} in release {release}",
            remedy="write it as Europe/Paris",
        )
