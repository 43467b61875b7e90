"""The port: what a store of streams can do; `eventstore.testing` says it in tests.

A stream is a named sequence of events with versions 1, 2, 3, ... It lies in one partition; each event of a partition
has a position n = 1, 2, 3, ... Positions are given out without gaps and become visible in order: who has seen n has
seen, or can read, all before it that is still there; what was archived or deleted leaves holes. A store with one
partition has one global order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from eventstore.event import Appended, Checkpoint, Event, Recorded
from eventstore.version import ANY, Expected

Cursor = Mapping[int, int]
"""How far a reader has come: partition -> n; a partition that is not named has not been read."""


class StreamStore(Protocol):
    """Streams of events, and the log of all of them."""

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
        """Append events, all or none, and store a consumer's checkpoint in the same atomic step.

        A commit id that the stream has among its newest 10,000 events answers `duplicate` and changes nothing. At
        least one event is needed. Raises WrongExpectedVersion, CheckpointNotRising, PayloadTooLarge, NotJson,
        InvalidRequest (no events, a checkpoint of another partition) and StoreUnavailable.
        """
        ...

    def read(
        self,
        stream: str,
        *,
        after: int = 0,
        limit: int | None = None,
        backward: bool = False,
        before: int | None = None,
    ) -> list[Recorded]:
        """Read the versions of a stream above `after` and below `before`, rising, or falling when read backward."""
        ...

    def read_all(
        self,
        *,
        after: Cursor | None = None,
        limit: int | None = None,
        partition: int | None = None,
    ) -> list[Recorded]:
        """Read the log of a partition, or of the whole store by time; never without an event that is there.

        Raises LogTruncated when a partition ends before the cursor, and InvalidRequest when there is no such partition.
        """
        ...

    def tail(
        self,
        *,
        after: Cursor,
        partition: int | None = None,
        block_ms: int = 1000,
        limit: int = 1000,
    ) -> list[Recorded]:
        """Read on, waiting up to `block_ms` until there is something."""
        ...

    def stream_version(self, stream: str) -> int:
        """Return the version of a stream, 0 when it does not exist."""
        ...

    def head(self, partition: int) -> int:
        """Return the position of the newest event of a partition, 0 when there is none."""
        ...

    def partition_of(self, stream: str) -> int:
        """Return the partition of a stream."""
        ...

    def checkpoint(self, consumer: str, partition: int) -> int:
        """Return a consumer's checkpoint, 0 when it has none."""
        ...

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Store a checkpoint.

        Raises CheckpointNotRising.
        """
        ...


class ReadPosition(int):
    """How far a reader has come in a partition: n, with the time of the event there, by which a lost tail shows.

    A log that lost its tail and has grown again has other events at the same positions; a plain number cannot tell.
    """

    time_ms: int | None

    def __new__(cls, n: int, time_ms: int | None = None) -> ReadPosition:
        """Make one; without a time it is just a number."""
        position = super().__new__(cls, n)
        position.time_ms = time_ms
        return position


def next_cursor(after: Cursor, seen: Sequence[Recorded]) -> dict[int, int]:
    """Return the cursor behind some events; it notices a lost tail as long as it is not turned into plain numbers."""
    cursor = dict(after)
    for item in seen:
        partition = item.position.partition
        n = item.position.n
        if n > cursor.get(partition, 0):
            cursor[partition] = ReadPosition(n, item.time_ms)
    return cursor
