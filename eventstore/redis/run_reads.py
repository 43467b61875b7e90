"""What is read of runs, and waited for: their events, heads and ends; all that is written is that somebody waits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from eventstore.event import Recorded
from eventstore.keys import Keyspace
from eventstore.redis.contents import RedisContents
from eventstore.redis.driver.connection import Connection
from eventstore.redis.driver.scripts import PlainCall, Script, ScriptCall, load_text
from eventstore.redis.heads import read_head, read_position
from eventstore.redis.paging import backwards
from eventstore.run_model import RunEnd, RunHead, RunPosition

NOTED_MS: Final = 5_000
"""How long a note that somebody waits outlives the wait, as a command may be on its way for so long."""


class RedisRunReads(RedisContents):
    """Reads runs; every call is one round trip unless it says otherwise."""

    def __init__(self, connection: Connection, keyspace: Keyspace) -> None:
        super().__init__(connection, keyspace)
        self._await = Script("await", load_text("await.lua"))

    def backwards(self, run: str) -> Iterator[list[Recorded]]:
        """Read the events of a run from its end, page by page, each newest first."""
        return backwards(self, run)

    def read(self, runs: Sequence[tuple[str, int]]) -> list[tuple[Recorded, ...]]:
        """Read the events of several runs, each after a version."""
        calls = [
            PlainCall((b"XRANGE", self.keys.stream(run), f"{after + 1}-0", b"+"))
            for run, after in runs
        ]
        replies = self.call(calls) if calls else []
        return [
            self.recorded(run, entries)
            for (run, _), entries in zip(runs, replies, strict=True)
        ]

    def first(self, run: str) -> Recorded:
        """Read the first event of a run that has one."""
        reply = self.call(
            [PlainCall((b"XRANGE", self.keys.stream(run), b"1-0", b"1-0"))]
        )[0]
        return self.recorded(run, reply)[0]

    def read_one(self, run: str, version: int) -> Recorded | None:
        """Read one event of a run, None when there is none of that version."""
        reply = self.call(
            [
                PlainCall(
                    (b"XRANGE", self.keys.stream(run), f"{version}-0", f"{version}-0")
                )
            ]
        )[0]
        if reply:
            return self.recorded(run, reply)[0]
        return None

    def heads(self, runs: Sequence[str]) -> list[RunHead | None]:
        """Read the heads of several runs; None where there is no such run."""
        calls = [PlainCall((b"HGETALL", self.keys.head(run))) for run in runs]
        replies = self.call(calls) if calls else []
        return [read_head(run, reply) for run, reply in zip(runs, replies, strict=True)]

    def positions(self, runs: Sequence[str]) -> list[RunPosition | None]:
        """Read how far several runs are; None where there is no such run.

        A head as a whole is long while many steps are open, and whoever waits looks again and again.
        """
        calls = [
            PlainCall((b"HMGET", self.keys.head(run), b"st", b"v")) for run in runs
        ]
        replies = self.call(calls) if calls else []
        return [
            read_position(run, *reply) for run, reply in zip(runs, replies, strict=True)
        ]

    def statuses(self, runs: Sequence[str]) -> list[str]:
        """Read the statuses of several runs; empty where there is no such run."""
        replies = (
            self.call(
                [PlainCall((b"HGET", self.keys.head(run), b"st")) for run in runs]
            )
            if runs
            else []
        )
        return [(reply or b"").decode() for reply in replies]

    def is_gone(self, run: str) -> bool:
        """Tell whether a run is in the archive, which keeps its id for it."""
        partition = self.keys.partition_of(run)
        return bool(
            self.call([PlainCall((b"HEXISTS", self.keys.gone(partition), run))])[0]
        )

    def holder_of(self, name: str, partition: int) -> str:
        """Return the run that has a name in a partition, which may have ended since; "" where none has."""
        [holder] = self.call([PlainCall((b"HGET", self.keys.names(partition), name))])
        return "" if holder is None else holder.decode()

    def wait(self, run: str, after: int, block_ms: int) -> tuple[Recorded, ...]:
        """Block until the run has events after a version, at most `block_ms`; uses a connection of its own.

        Raises StoreUnavailable when the server goes away meanwhile: what the caller has read may not be there any more.
        """
        command = (
            b"XREAD",
            b"COUNT",
            500,
            b"BLOCK",
            block_ms,
            b"STREAMS",
            self.keys.stream(run),
            f"{after}-0",
        )
        reply = self.connection.blocking_call(*command)
        if not reply:
            return ()
        entries = next(iter(reply.values())) if isinstance(reply, dict) else reply[0][1]
        return self.recorded(run, entries)

    def wait_for_end(
        self, run: str, block_ms: int, *, noted: bool = False
    ) -> RunEnd | None:
        """Block until the run has ended or is not there, at most `block_ms`; None when it is still under way.

        Nothing wakes the caller before that, as `wait` does with each commit. `noted` tells that its start has just
        noted that somebody waits. Raises EventStoreError, StoreRefused when this user may only read.
        """
        # First the note that somebody waits, then the wait for the entry behind it: an end in between is there by then.
        end = self.keys.end(run)
        last = self._last_command(run)
        note = ScriptCall(
            self._await, [self.keys.head(run), end], [block_ms + NOTED_MS]
        )
        if not noted and not self.call([note])[0]:
            return self._end_of(run, self.call([PlainCall(last)])[0])
        wait = (b"XREAD", b"COUNT", 1, b"BLOCK", block_ms, b"STREAMS", end, b"0-1")
        woken, entries = self.connection.blocking_calls(wait, last)
        if woken:
            return self._end_of(run, entries)
        return None

    def _last_command(self, run: str) -> tuple[Any, ...]:
        return b"XREVRANGE", self.keys.stream(run), b"+", b"-", b"COUNT", 1

    def _end_of(self, run: str, entries: list[Any]) -> RunEnd:
        return RunEnd(self.recorded(run, entries)[0] if entries else None)
