"""A store in this process's memory: for tests and trials; it proves the contract, and loses everything at the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from eventstore.codec import decode
from eventstore.errors import CheckpointNotRising, WrongExpectedVersion
from eventstore.event import Appended, Checkpoint, Event, Position, Recorded
from eventstore.keys import Keyspace
from eventstore.reading import bounded, merged
from eventstore.requests import (
    COMMIT_WINDOW,
    MAX_EVENT_BYTES,
    check_checkpoint,
    check_cursor,
    check_partition,
    encoded,
)
from eventstore.store import Cursor
from eventstore.version import ANY, Expected, matches


class MemoryStreamStore:
    """Streams in memory; safe for threads."""

    def __init__(
        self,
        *,
        partitions: int = 1,
        now_ms: Callable[[], int] = lambda: 0,
        max_event_bytes: int = MAX_EVENT_BYTES,
    ) -> None:
        self._keys = Keyspace("memory", partitions)
        self._now_ms = now_ms
        self._max_bytes = max_event_bytes
        self._streams: dict[str, list[Recorded]] = {}
        self._logs: list[list[Recorded]] = [[] for _ in range(partitions)]
        self._checkpoints: dict[tuple[str, int], int] = {}
        self._changed = threading.Condition()

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
        """Append events, all or none; see StreamStore."""
        partition = self.partition_of(stream)
        drafts = encoded(stream, events, self._max_bytes)
        check_checkpoint(checkpoint, stream, partition)
        with self._changed:
            history = self._streams.get(stream, [])
            log = self._logs[partition]
            if commit_id and (done := _applied(history, commit_id)):
                return _appended_before(stream, done)
            if not matches(len(history), expected):
                raise WrongExpectedVersion(stream, expected, len(history))
            if checkpoint is not None:
                self._raise_checkpoint(checkpoint)
            first = len(history) + 1
            now = self._now_ms()
            for kind, data, metadata in drafts:
                position = Position(partition, len(log) + 1)
                item = Recorded(
                    stream=stream,
                    version=len(history) + 1,
                    position=position,
                    time_ms=now,
                    commit=commit_id or "",
                    actor=actor,
                    cause=cause,
                    type=kind,
                    data=decode(data),
                    metadata=decode(metadata) if metadata else {},
                )
                history.append(item)
                log.append(item)
            self._streams[stream] = history
            self._changed.notify_all()
            return Appended(
                stream=stream,
                first_version=first,
                last_version=len(history),
                position=log[-1].position,
            )

    def _raise_checkpoint(self, checkpoint: Checkpoint) -> None:
        key = (checkpoint.consumer, checkpoint.position.partition)
        current = self._checkpoints.get(key, 0)
        if checkpoint.position.n <= current:
            raise CheckpointNotRising(*key, checkpoint.position.n, current)
        self._checkpoints[key] = checkpoint.position.n

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
        with self._changed:
            history = list(self._streams.get(stream, ()))
        top = len(history) if before is None else max(0, before - 1)
        events = history[max(0, after) : top]
        if backward:
            events.reverse()
        return bounded(events, limit)

    def read_all(
        self,
        *,
        after: Cursor | None = None,
        limit: int | None = None,
        partition: int | None = None,
    ) -> list[Recorded]:
        """Read the log; see StreamStore."""
        cursor = after or {}
        if limit is not None and limit <= 0:
            return []
        logs: list[list[Recorded]] = []
        with self._changed:
            for number in self._numbers(partition):
                log = self._logs[number]
                start = check_cursor(number, cursor.get(number, 0), len(log))
                logs.append(log[start:])
        return bounded(merged(logs), limit)

    def tail(
        self,
        *,
        after: Cursor,
        partition: int | None = None,
        block_ms: int = 1000,
        limit: int = 1000,
    ) -> list[Recorded]:
        """Read on, waiting; see StreamStore."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._more(after, partition), block_ms / 1000
            )
        return self.read_all(after=after, limit=limit, partition=partition)

    def _more(self, after: Cursor, partition: int | None) -> bool:
        numbers = self._numbers(partition)
        return any(len(self._logs[p]) != after.get(p, 0) for p in numbers)

    def _numbers(self, partition: int | None) -> range:
        if partition is None:
            return range(len(self._logs))
        return range(check_partition(partition, len(self._logs)), partition + 1)

    def stream_version(self, stream: str) -> int:
        """Return the version of a stream, 0 when it does not exist."""
        with self._changed:
            return len(self._streams.get(stream, ()))

    def head(self, partition: int) -> int:
        """Return the position of the newest event of a partition."""
        with self._changed:
            return len(self._logs[check_partition(partition, len(self._logs))])

    def partition_of(self, stream: str) -> int:
        """Return the partition of a stream."""
        return self._keys.partition_of(stream)

    def now_ms(self) -> int:
        """Return the time by which events are dated."""
        return self._now_ms()

    def checkpoint(self, consumer: str, partition: int) -> int:
        """Return a consumer's checkpoint, 0 when it has none."""
        with self._changed:
            return self._checkpoints.get(
                (consumer, check_partition(partition, len(self._logs))), 0
            )

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Store a checkpoint; see StreamStore."""
        check_checkpoint(
            checkpoint,
            "",
            check_partition(checkpoint.position.partition, len(self._logs)),
        )
        with self._changed:
            self._raise_checkpoint(checkpoint)


def _appended_before(stream: str, events: Sequence[Recorded]) -> Appended:
    return Appended(
        stream=stream,
        first_version=events[0].version,
        last_version=events[-1].version,
        position=events[-1].position,
        duplicate=True,
    )


def _applied(history: list[Recorded], commit_id: str) -> list[Recorded]:
    return [item for item in history[-COMMIT_WINDOW:] if item.commit == commit_id]
