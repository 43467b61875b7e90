"""The store on Redis Streams: the adapter that everything real uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eventstore.codec import parse_entry
from eventstore.errors import (
    CheckpointNotRising,
    EventStoreError,
    LogTruncated,
    WrongExpectedVersion,
)
from eventstore.event import Appended, Checkpoint, Event, Position, Recorded
from eventstore.keys import Keyspace
from eventstore.reading import bounded, merged
from eventstore.redis.driver.connection import MAX_BLOCK_MS, Connection
from eventstore.redis.driver.retries import retrying
from eventstore.redis.driver.scripts import (
    Call,
    PlainCall,
    Script,
    ScriptCall,
    Scripts,
    load_text,
)
from eventstore.requests import (
    COMMIT_WINDOW,
    MAX_EVENT_BYTES,
    check_checkpoint,
    check_cursor,
    check_partition,
    encoded,
)
from eventstore.store import Cursor
from eventstore.version import ANY, Expect, Expected

PAGE = 500
TRIES = 10
_WORDS = {Expect.ANY: "any", Expect.NO_STREAM: "none", Expect.STREAM_EXISTS: "exists"}


class RedisStreamStore:
    """Streams on a Redis or Valkey server; safe for threads, and for any number of processes."""

    def __init__(
        self,
        connection: Connection,
        keyspace: Keyspace,
        *,
        new_commit_id: Callable[[], str] | None = None,
        max_event_bytes: int = MAX_EVENT_BYTES,
        scripts: Scripts | None = None,
    ) -> None:
        self.keys = keyspace
        self._connection = connection
        self._max_bytes = max_event_bytes
        self._scripts = scripts or Scripts(connection)
        self._append = Script("append", load_text("append.lua"))
        self._checkpoint = Script("checkpoint", load_text("checkpoint.lua"))
        self._new_commit_id = new_commit_id

    def append(
        self,
        stream: str,
        events: Sequence[Event],
        *,
        expected: Expected = ANY,
        commit_id: str | None = None,
        actor: str = "",
        cause: str = "",
        checkpoint: Checkpoint | None = None,
    ) -> Appended:
        """Append events, all or none; see StreamStore.

        With a commit id, a lost reply is answered by sending again; without one it is raised as StoreUnavailable.
        """
        partition = self.partition_of(stream)
        encoded_events = encoded(stream, events, self._max_bytes)
        check_checkpoint(checkpoint, stream, partition)
        cid = commit_id or (self._new_commit_id() if self._new_commit_id else "")
        call = self._append_call(
            stream, partition, encoded_events, expected, (cid, actor, cause), checkpoint
        )
        code, *rest = (
            retrying(lambda: self._scripts.run(call))
            if cid
            else self._scripts.run(call)
        )
        if code == -1:
            raise WrongExpectedVersion(stream, expected, rest[0])
        if code == -5 and checkpoint is not None:
            raise CheckpointNotRising(
                consumer=checkpoint.consumer,
                partition=partition,
                required=checkpoint.position.n,
                current=rest[0],
            )
        first, last, n = rest[:3]
        return Appended(
            stream=stream,
            first_version=first,
            last_version=last,
            position=Position(partition, n),
            duplicate=code == 2,
        )

    def _append_call(
        self,
        stream: str,
        partition: int,
        encoded_events: Sequence[tuple[str, bytes, bytes]],
        expected: Expected,
        who: tuple[str, str, str],
        checkpoint: Checkpoint | None,
    ) -> ScriptCall:
        keys = self.keys
        names = [
            keys.meta(partition),
            keys.log(partition),
            keys.stream(stream),
            keys.head(stream),
        ]
        names.append(keys.checkpoints(partition))
        expected_version = (
            _WORDS[expected] if isinstance(expected, Expect) else str(expected)
        )
        args: list[Any] = [
            expected_version,
            *(_bytes(text) for text in who),
            _bytes(stream),
        ]
        args += (
            [_bytes(checkpoint.consumer), checkpoint.position.n]
            if checkpoint
            else [b"", 0]
        )
        args.append(COMMIT_WINDOW)
        for kind, data, metadata in encoded_events:
            args += (_bytes(kind), data, metadata)
        return ScriptCall(self._append, names, args)

    def read(
        self,
        stream: str,
        *,
        after: int = 0,
        limit: int | None = None,
        backward: bool = False,
        before: int | None = None,
    ) -> list[Recorded]:
        """Read a stream; see StreamStore."""
        first = max(0, after) + 1
        last = before
        if (limit is not None and limit <= 0) or (last is not None and last <= first):
            return []
        count = () if limit is None else (b"COUNT", limit)
        key = self.keys.stream(stream)
        partition = self.partition_of(stream)
        bottom = f"{first}-0"
        top = b"+" if last is None else f"({last}-0"
        span = (
            (b"XREVRANGE", key, top, bottom)
            if backward
            else (b"XRANGE", key, bottom, top)
        )
        entries = self._call([PlainCall((*span, *count))])[0]
        return [parse_entry(stream, partition, entry) for entry in entries]

    def read_all(
        self,
        *,
        after: Cursor | None = None,
        limit: int | None = None,
        partition: int | None = None,
    ) -> list[Recorded]:
        """Read the log; see StreamStore.

        Raises LogTruncated when a partition has lost what the cursor says was read.
        """
        if limit is not None and limit <= 0:
            return []
        cursor = dict(after or {})
        partitions = self._read_partitions(partition)
        if limit is not None:
            return bounded(merged(self._logs(partitions, cursor, limit)), limit)
        events: dict[int, list[Recorded]] = {p: [] for p in partitions}
        more = partitions
        while more:  # page by page, up to where the log ended when the page was read
            pages = dict(zip(more, self._logs(more, cursor, PAGE), strict=True))
            for p, page in pages.items():
                events[p] += page
                cursor[p] = page[-1].position.n if page else cursor.get(p, 0)
            more = [p for p, page in pages.items() if len(page) >= PAGE]
        return merged(list(events.values()))

    def _read_partitions(self, partition: int | None) -> list[int]:
        count = self.keys.partitions
        if partition is None:
            return list(range(count))
        return [check_partition(partition, count)]

    def _logs(
        self, partitions: Sequence[int], after: Mapping[int, int], count: int
    ) -> list[list[Recorded]]:
        """Read some events of each partition: the log says which, the streams hold them.

        A run that leaves between these two looks would look like the end of the log, so both are taken again.
        """
        for _ in range(TRIES):
            ranges = self._ranges(partitions, after, count)
            reads = [
                PlainCall(
                    (b"XRANGE", self.keys.stream(stream), f"{first}-0", f"{last}-0")
                )
                for _, stream, first, last in ranges
            ]
            streams = self._call(reads) if reads else []
            if all(
                len(x) == last - first + 1
                for (*_, first, last), x in zip(ranges, streams, strict=True)
            ):
                break
        out: list[list[Recorded]] = [[] for _ in partitions]
        for (index, stream, _, _), entries in zip(ranges, streams, strict=True):
            out[index] += [
                parse_entry(stream, partitions[index], entry) for entry in entries
            ]
        return out

    def _ranges(
        self, partitions: Sequence[int], after: Mapping[int, int], count: int
    ) -> list[tuple[int, str, int, int]]:
        """Return what the log says is next: place of the partition, stream, first and last version."""
        positions = [after.get(p, 0) for p in partitions]
        calls: list[Call] = [
            PlainCall(
                (
                    b"XRANGE",
                    self.keys.log(p),
                    f"{max(1, position)}-0",
                    b"+",
                    b"COUNT",
                    count + 1,
                )
            )
            for p, position in zip(partitions, positions, strict=True)
        ]
        calls += [PlainCall((b"HGET", self.keys.meta(p), b"n")) for p in partitions]
        replies = self._call(calls)
        ranges: list[tuple[int, str, int, int]] = []
        for index, (p, position) in enumerate(zip(partitions, positions, strict=True)):
            head = int(replies[len(partitions) + index] or 0)
            first = check_cursor(p, position, head) + 1
            entries = list(_commits_in(replies[index]))
            if entries and not _same_event(position, entries[0]):
                raise LogTruncated(p, position, head)
            ranges += [(index, *span) for span in _spans(entries, first, count)]
        return ranges

    def tail(
        self,
        *,
        after: Cursor,
        partition: int | None = None,
        block_ms: int = 1000,
        limit: int = 1000,
    ) -> list[Recorded]:
        """Read on, waiting; see StreamStore."""
        events = self.read_all(after=after, limit=limit, partition=partition)
        if events or block_ms <= 0:
            return events
        partitions = self._read_partitions(partition)
        if self._connection.is_cluster:  # a command cannot block on several slots
            partitions, block_ms = (
                partitions[:1],
                min(block_ms, 100 if len(partitions) > 1 else block_ms),
            )
        block = min(block_ms, MAX_BLOCK_MS)
        names = [self.keys.log(p) for p in partitions]
        last = [f"{max(0, after.get(p, 0))}-{2**64 - 1}" for p in partitions]
        command = (b"XREAD", b"COUNT", 1, b"BLOCK", block, b"STREAMS", *names, *last)
        retrying(lambda: self._connection.blocking_call(*command))
        return self.read_all(after=after, limit=limit, partition=partition)

    def stream_version(self, stream: str) -> int:
        """Return the version of a stream, 0 when it does not exist."""
        return int(
            self._call([PlainCall((b"HGET", self.keys.head(stream), b"v"))])[0] or 0
        )

    def head(self, partition: int) -> int:
        """Return the position of the newest event of a partition."""
        name = self.keys.meta(check_partition(partition, self.keys.partitions))
        return int(self._call([PlainCall((b"HGET", name, b"n"))])[0] or 0)

    def partition_of(self, stream: str) -> int:
        """Return the partition of a stream."""
        return self.keys.partition_of(stream)

    def now_ms(self) -> int:
        """Return the server's time, by which events are dated."""
        seconds, micros = self._call([PlainCall((b"TIME",))])[0]
        return int(seconds) * 1000 + int(micros) // 1000

    def checkpoint(self, consumer: str, partition: int) -> int:
        """Return a consumer's checkpoint, 0 when it has none."""
        name = self.keys.checkpoints(check_partition(partition, self.keys.partitions))
        return int(self._call([PlainCall((b"HGET", name, _bytes(consumer)))])[0] or 0)

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Store a checkpoint; see StreamStore."""
        position = checkpoint.position
        check_checkpoint(
            checkpoint, "", check_partition(position.partition, self.keys.partitions)
        )
        args = [_bytes(checkpoint.consumer), position.n]
        code, current = self._scripts.run(
            ScriptCall(
                self._checkpoint, [self.keys.checkpoints(position.partition)], args
            )
        )
        if code == -5:
            raise CheckpointNotRising(
                consumer=checkpoint.consumer,
                partition=position.partition,
                required=position.n,
                current=current,
            )

    def forget_checkpoints(self, consumer: str) -> None:
        """Forget how far a consumer has come in all partitions: what it has not read is not kept for it."""
        names = map(self.keys.checkpoints, self._read_partitions(None))
        self._call([PlainCall((b"HDEL", each, _bytes(consumer))) for each in names])

    def _call(self, calls: Sequence[Call]) -> list[Any]:
        """Send reads in one pipeline; they are sent again when the server was away."""
        replies = retrying(lambda: self._scripts.run_many(calls))
        for reply in replies:
            if isinstance(reply, EventStoreError):
                raise reply
        return replies


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True)
class _LogEntry:
    """A commit in the log: the position of its last event, its time, and its stream's versions."""

    n: int
    time_ms: int
    stream: str
    first: int
    last: int

    def time_at(self, n: int) -> int | None:
        """Return the time of position n, None when the commit that holds it is not this one."""
        if self.n - (self.last - self.first) <= n <= self.n:
            return self.time_ms
        return None


def _commits_in(entries: Sequence[Any]) -> Iterator[_LogEntry]:
    """Return the commits among the entries of a log: what others have written there is none, and is passed over."""
    for identity, fields in entries:
        n, _, time_ms = identity.partition(b"-")
        if len(fields) > 5 and fields[3].isdigit() and fields[5].isdigit():
            stream = fields[1].decode("utf-8", "surrogatepass")
            yield _LogEntry(int(n), int(time_ms), stream, *map(int, fields[3:6:2]))


def _same_event(position: int, entry: _LogEntry) -> bool:
    """Tell whether a reader that came this far read what is there now, as far as both know their times."""
    seen = getattr(position, "time_ms", None)
    there = entry.time_at(position)
    return seen is None or there is None or seen == there


def _spans(
    entries: Sequence[_LogEntry], first_n: int, count: int
) -> list[tuple[str, int, int]]:
    """Return the (stream, first version, last version) of log entries, cut to `count` events from `first_n` on."""
    spans: list[tuple[str, int, int]] = []
    left = count
    for entry in entries:
        if left <= 0:
            break
        if entry.n < first_n:
            continue
        first = max(entry.first, entry.last - (entry.n - first_n))
        last = min(entry.last, first + left - 1)
        spans.append((entry.stream, first, last))
        left -= last - first + 1
    return spans
