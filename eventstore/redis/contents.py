"""What runs refer to beside their logs: definitions, payloads, and snapshots of what they come to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from eventstore.errors import BlobChanged, BlobMissing
from eventstore.event import Recorded
from eventstore.keys import Keyspace
from eventstore.redis.client import RedisClient
from eventstore.redis.driver.connection import Connection
from eventstore.redis.driver.scripts import (
    Call,
    PlainCall,
    Script,
    ScriptCall,
    essential,
    load_text,
)
from eventstore.runs import Definitions


class RedisContents(RedisClient):
    """Reads and writes what stands beside the logs of runs."""

    def __init__(self, connection: Connection, keyspace: Keyspace) -> None:
        super().__init__(connection, keyspace)
        self._snapshot = Script("snapshot", load_text("snapshot.lua"))

    # -- definitions -------------------------------------------------------------------------------------

    def definition_calls(self, definitions: Definitions) -> list[Call]:
        """Build the calls that store definitions, by their hashes, unless they are there."""
        return [
            PlainCall((b"SET", self.keys.definition(name), raw, b"NX"))
            for name, raw in definitions.items()
        ]

    def put_definitions(self, definitions: Definitions) -> None:
        """Store definitions by their hashes, unless they are there."""
        self.call(self.definition_calls(definitions))

    def definitions(self, names: Sequence[str]) -> list[bytes | None]:
        """Read definitions by their hashes, as they are stored; None where there is none."""
        if names:
            return self.call(
                [PlainCall((b"GET", self.keys.definition(name))) for name in names]
            )
        return []

    # -- payloads ----------------------------------------------------------------------------------------

    def payload_calls(
        self,
        run: str,
        payloads: Mapping[str, bytes],
        refers: Iterable[str] = (),
        *,
        begun: bool = False,
    ) -> list[Call]:
        """Build the calls that go before a commit with payloads beside the log: who refers to them, then they.

        A commit that fails after all leaves a reference too many, never one too few. `refers` are those that are there.
        Those of a run that has `begun` are kept by a server at its memory limit too.
        """
        keys = self.keys
        partition = self.keys.partition_of(run)
        writes: list[tuple[bytes, bytes, str | bytes]] = [
            (b"SADD", keys.references(partition, sha), run)
            for sha in (*payloads, *refers)
        ]
        writes += [
            (b"SET", keys.blob(partition, sha), raw) for sha, raw in payloads.items()
        ]
        return [essential(*write) if begun else PlainCall(write) for write in writes]

    def payloads(self, partition: int, shas: Sequence[str]) -> list[bytes | None]:
        """Read payloads of a partition as they are stored, whatever they have become; None where there is none."""
        if shas:
            return self.call(
                [PlainCall((b"GET", self.keys.blob(partition, sha))) for sha in shas]
            )
        return []

    def payloads_there(self, partition: int, shas: Sequence[str]) -> list[str]:
        """Return those payloads of a partition that are there."""
        replies = (
            self.call(
                [PlainCall((b"EXISTS", self.keys.blob(partition, sha))) for sha in shas]
            )
            if shas
            else []
        )
        return [sha for sha, reply in zip(shas, replies, strict=True) if reply]

    def blobs(self, payloads: Sequence[tuple[int, str]]) -> list[bytes]:
        """Read payloads that are stored beside the log; each is looked at, as who can write there can replace it.

        Raises BlobMissing and BlobChanged.
        """
        replies = (
            self.call(
                [PlainCall((b"GET", self.keys.blob(p, sha))) for p, sha in payloads]
            )
            if payloads
            else []
        )
        for (partition, sha), reply in zip(payloads, replies, strict=True):
            if reply is None:
                raise BlobMissing(partition, sha)
            if hashlib.sha256(reply).hexdigest() != sha:
                raise BlobChanged(partition, sha)
        return replies

    # -- snapshots ---------------------------------------------------------------------------------------

    def snapshot(self, run: str) -> bytes | None:
        """Read the snapshot of a run as it is stored; None where there is none."""
        raw: bytes | None = self.call([PlainCall((b"GET", self.keys.snapshot(run)))])[0]
        return raw

    def begin_reading(
        self, runs: Sequence[str], most: int, *, keys: bool = False
    ) -> list[tuple[bytes | None, bytes | None, tuple[Recorded, ...]]]:
        """Read the snapshots and the first events of several runs, at most so many of each.

        With `keys`, their wrapped keys are read too, before the events: one that is shredded meanwhile is there, or the
        events say that it is not.
        """
        calls: list[Call] = []
        for run in runs:
            if keys:
                calls.append(PlainCall((b"GET", self.keys.key(run))))
            calls.append(PlainCall((b"GET", self.keys.snapshot(run))))
            calls.append(
                PlainCall(
                    (b"XRANGE", self.keys.stream(run), b"-", b"+", b"COUNT", most)
                )
            )
        replies = iter(self.call(calls))
        return [
            (
                next(replies) if keys else None,
                next(replies),
                self.recorded(run, next(replies)),
            )
            for run in runs
        ]

    def put_snapshot(
        self, run: str, commit: str, snapshot: bytes, seconds: int
    ) -> None:
        """Keep a snapshot up to a commit for a while; one of a closed run that has moved on since is not kept."""
        names = [self.keys.head(run), self.keys.snapshot(run)]
        self.call([ScriptCall(self._snapshot, names, [commit, snapshot, seconds])])

    # -- what there is, which walks the whole keyspace: for diagnosis only ---------------------------------

    def stored_definitions(self) -> list[str]:
        """Find the hashes by which definitions are stored."""
        return self._named(b"def:*")

    def stored_payloads(self, partition: int) -> list[str]:
        """Find the hashes by which payloads of a partition are stored."""
        return self._named(b"{%d}:blob:*" % partition)

    def runs_with_snapshots(self) -> list[str]:
        """Find the runs of which snapshots are kept."""
        return self._named(b"*:snap:*")

    def _named(self, pattern: bytes) -> list[str]:
        names = self.scan(
            self.keys.prefix.encode("utf-8", "surrogatepass") + b":" + pattern
        )
        return sorted(
            {
                name.rpartition(b":")[2].decode("utf-8", "surrogatepass")
                for name in names
            }
        )
