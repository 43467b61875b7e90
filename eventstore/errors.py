"""Errors of the log's room.

EventStoreError
+-- StoreUnavailable         the server cannot be reached, or did not answer in time
|   +-- StoreBusy            it runs one script and does nothing else; what was sent was not carried out
|   +-- StoreReadOnly        it cannot write to its disk; what it has can be read
|   +-- NotReplicated        too few replicas have confirmed it
+-- StoreRefused             the server answers, but is not fit or does not let us in
|   +-- NoStore              there is no store where somebody wants to look into one
|   +-- StoreFull            it has no memory left for what is new; what has begun goes on
+-- ServerNotStarted         the embedded server could not be started
+-- WrongExpectedVersion     an append expected another version
+-- CheckpointNotRising      a checkpoint would go back or stand still
+-- LogTruncated             the log has lost its tail behind a reader
+-- LockTaken                somebody else holds a lock
+-- LockLost                 a lock is not held any more; what was to be written under it was not
+-- StageLost                what was put aside for a run was gone, again and again
+-- PayloadTooLarge          an event is larger than the store takes
+-- NotJson                  a value is not JSON
+-- BlobMissing              a payload that an event refers to is not there
+-- BlobChanged              a payload is not the one that an event refers to
+-- HeadUnreadable           the head of a run holds what no commit has written
+-- EventUnreadable          an entry of a stream is none that an append or a commit has written
+-- InvalidRequest           an argument makes no sense

FileUnusable
+-- NotPrivate               a directory or a file cannot be trusted
+-- LockHeld                 a lock is held by somebody who does not say who it is
ContentTooLarge
+-- TooLarge                 more comes out of a file than is read
NoServerProgram              no program was found that can be the embedded server
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from openagents_json.errors import (
    Conflict,
    ContentTooLarge,
    FileUnusable,
    InvalidArgument,
    NotFound,
    OpenAgentsError,
    RunUnreadable,
    Unavailable,
)


class EventStoreError(OpenAgentsError):
    """Something is wrong with the store, or with what it was asked."""

    code = "store_error"


class StoreUnavailable(EventStoreError, Unavailable):
    """The server cannot be reached, or did not answer in time; what was sent may have been carried out."""

    code = "store_unavailable"

    _happens = "does not answer"
    _remedy = "check that it runs and that the URL is right"

    def __init__(self, where: str, reason: str, remedy: str = "") -> None:
        self.where = where
        self.reason = reason
        super().__init__(
            f"the store at {where} {self._happens}: {reason}",
            remedy=remedy or self._remedy,
        )


class StoreBusy(StoreUnavailable):
    """The server has run one script for so long that it refuses all else; nothing of what was sent was carried out."""

    code = "store_busy"
    _happens = "is busy with one script"
    _remedy = "try again later"


class StoreReadOnly(StoreUnavailable):
    """The server cannot write to its disk, and so refuses to write at all; what it has can be read."""

    code = "store_read_only"
    _happens = "refuses to write"
    _remedy = "look at its disk and log"


class NotReplicated(StoreUnavailable):
    """Too few replicas have confirmed what was written: it may be lost, and sent again it counts once."""

    code = "not_replicated"

    def __init__(self, where: str, required: int, confirmed: int) -> None:
        self.where = where
        self.required = required
        self.confirmed = confirmed
        self.reason = f"{confirmed} of {required} replica(s) confirmed what was written"
        EventStoreError.__init__(
            self,
            f"the store at {where} cannot promise that this outlives a failover: {self.reason}",
            remedy=(
                "check that its replicas are connected and keep up (or ask for fewer, OPENAGENTS_REPLICAS), and "
                "ask again (with the same idempotency key, nothing begins twice)"
            ),
        )


class StoreRefused(EventStoreError):
    """The server answers, but is not fit to hold a log; carries `reason` and `remedy`."""

    code = "store_refused"
    http_status = 503

    def __init__(self, reason: str, remedy: str) -> None:
        self.reason = reason
        super().__init__(reason, remedy=remedy)


class StoreFull(StoreRefused):
    """The server has no memory left for what is new; the part that is kept for work under way is for that alone."""

    code = "store_full"
    exit_status = 7

    def __init__(self) -> None:
        super().__init__(
            "the server is out of memory",
            "raise maxmemory, or archive and delete old runs",
        )


class WrongExpectedVersion(EventStoreError, Conflict):
    """An append expected another version of its stream."""

    code = "wrong_expected_version"

    def __init__(self, stream: str, expected: object, current: int) -> None:
        self.stream = stream
        self.expected = expected
        self.current = current
        super().__init__(
            f"stream {stream!r} is at version {current}, not {expected}",
            remedy="read it again and decide anew",
        )


class CheckpointNotRising(EventStoreError, Conflict):
    """A checkpoint may only rise."""

    code = "checkpoint_not_rising"

    def __init__(
        self, consumer: str, partition: int, required: int, current: int
    ) -> None:
        self.consumer = consumer
        self.partition = partition
        self.required = required
        self.current = current
        super().__init__(
            f"checkpoint of {consumer!r} in partition {partition} is at {current}, so it cannot be set to "
            f"{required}",
            remedy="another instance of this consumer has gone on",
        )


class LogTruncated(EventStoreError):
    """The log has lost its tail behind a reader: what it read last is not there any more."""

    code = "log_truncated"

    def __init__(self, partition: int, n: int, head: int) -> None:
        self.partition = partition
        self.n = n
        self.head = head
        super().__init__(
            f"partition {partition} has lost events before position {n} (it ends at {head} or was written "
            "anew)",
            remedy="rewind to a position that is there and read again",
        )


class PayloadTooLarge(EventStoreError, ContentTooLarge):
    """An event is larger than the store takes."""

    code = "payload_too_large"

    def __init__(self, what: str, size: int, limit: int) -> None:
        self.what = what
        self.size = size
        self.limit = limit
        super().__init__(
            f"{what} has {size} bytes, more than {limit}",
            remedy="store it elsewhere and refer to it",
        )


class NotJson(EventStoreError, InvalidArgument):
    """A value is not JSON; `path` says where."""

    code = "not_json"

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path or 'the value'}: {reason}")


class BlobMissing(EventStoreError, RunUnreadable):
    """A payload that an event refers to is not in the store."""

    code = "payload_missing"

    def __init__(self, partition: int, sha: str) -> None:
        self.partition = partition
        self.sha = sha
        super().__init__(
            f"payload {sha} of partition {partition} is missing",
            remedy="restore it from a backup of the store",
        )


class BlobChanged(EventStoreError, RunUnreadable):
    """A payload in the store is not the one that events refer to by its hash."""

    code = "payload_changed"

    def __init__(self, partition: int, sha: str) -> None:
        self.partition = partition
        self.sha = sha
        super().__init__(
            f"payload {sha} of partition {partition} is not what its hash says: somebody has changed it in "
            "the store",
            remedy="restore it from a backup of the store, and what needs it goes on",
        )


class HeadUnreadable(EventStoreError, RunUnreadable, ValueError):
    """The head of a run holds what no commit has written."""

    code = "head_unreadable"

    def __init__(self, run: str, reason: str) -> None:
        self.run = run
        self.reason = reason
        super().__init__(
            f"the head of run {run} cannot be read: {reason}",
            remedy=(
                "somebody has changed it in the store: restore it from a backup of the store"
            ),
        )


class EventUnreadable(EventStoreError, RunUnreadable, ValueError):
    """An entry of a stream is none that an append or a commit has written."""

    code = "event_unreadable"

    def __init__(self, run: str, version: int, reason: str) -> None:
        self.run = run
        self.version = version
        self.reason = reason
        super().__init__(
            f"event {version} of {run} cannot be read: {reason}; somebody has changed it in the store",
            remedy="restore it from a backup of the store",
        )


class InvalidRequest(EventStoreError, InvalidArgument, ValueError):
    """An argument makes no sense."""

    code = "invalid_request"


class LockTaken(EventStoreError, Conflict):
    """Somebody else holds a lock; carries who it is, and until when by the store's clock."""

    code = "lock_taken"

    def __init__(self, name: str, holder: str, token: int, until_ms: int) -> None:
        self.name = name
        self.holder = holder
        self.token = token
        self.until_ms = until_ms
        super().__init__(
            f"{holder} holds the lock {name!r} until {_utc(until_ms)}, or longer if it renews it",
            remedy=f"wait for it; if its holder hangs, take it away with `openagents locks break {name}`",
        )


class LockLost(EventStoreError, Conflict):
    """A lock is not held any more; the store has refused what was to be written under it.

    `written` says what is known of that: where a connection broke before, what was sent until then may be there.
    """

    code = "lock_lost"

    def __init__(
        self, name: str, token: int, why: str, written: str = "nothing was written"
    ) -> None:
        self.name = name
        self.token = token
        self.why = why
        self.written = written
        super().__init__(
            f"the lock {name!r} (token {token}) is lost: {why}; {written}",
            remedy="take it again, look at what is there, and go on from that",
        )

    @classmethod
    def told(cls, text: str) -> LockLost:
        """Read what a script has refused a write with, see lua/fenced.lua."""
        _, token, kind, number, name = text.split(" ", 4)
        if kind == "newer":
            why = f"it was taken away, or another has had it since, token {number}"
            return cls(name, int(token), why)
        return cls(name, int(token), f"it ran out at {_utc(int(number))}")


def _utc(time_ms: int) -> str:
    time = datetime.fromtimestamp(time_ms / 1000, UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class StageLost(EventStoreError):
    """What was put aside for a run was gone, again and again, before it was taken over."""

    code = "stage_lost"

    def __init__(self, run: str) -> None:
        self.run = run
        super().__init__(
            f"run {run}: the store forgets what it is sent",
            remedy="look at its eviction policy and its log",
        )


class ServerNotStarted(EventStoreError):
    """The embedded server could not be started."""

    code = "server_not_started"
    exit_status = 7
    http_status = 503

    def __init__(self, directory: Path, reason: str) -> None:
        self.directory = directory
        self.reason = reason
        super().__init__(f"the embedded server in {directory} did not start: {reason}")


class NoStore(StoreRefused, NotFound):
    """Somebody wants to look into a store that is not there."""

    code = "no_store"
    http_status = 404

    def __init__(self, where: str) -> None:
        self.where = where
        super().__init__(
            f"there is no store {where}",
            "start a run or a worker there, which makes one, or name another",
        )


class LockHeld(FileUnusable):
    """A lock is held by somebody who does not say who it is."""

    code = "lock_held"


class NotPrivate(FileUnusable):
    """A directory or a file cannot be trusted: it is a link, or belongs to somebody else."""

    code = "not_private"


class NoServerProgram(OpenAgentsError, RuntimeError):
    """No program was found that can be the embedded server; the text says what was looked at."""

    code = "no_server_program"


class TooLarge(ContentTooLarge, ValueError):
    """More comes out of a file than is read."""

    code = "unpacked_too_large"

    def __init__(self, name: str, limit: int) -> None:
        self.name = name
        self.limit = limit
        super().__init__(
            f"with {name}, more than {limit} bytes come out of it, which is the most that is read"
        )
