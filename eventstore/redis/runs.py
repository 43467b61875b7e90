"""The log as a work store: runs are committed, claimed, extended and found again, each in one atomic script.

The layout is that of `RedisStreamStore`, so whatever is committed here can be read, tailed and projected there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from eventstore.codec import parse_entry
from eventstore.errors import BlobChanged, BlobMissing, EventStoreError, StoreUnavailable
from eventstore.event import Recorded
from eventstore.keys import Keyspace
from eventstore.redis.driver.connection import FAILOVER_SECONDS, Connection, retrying
from eventstore.redis.driver.scripts import (
    Call,
    PlainCall,
    Script,
    ScriptCall,
    Scripts,
    essential,
    load_text,
    refused_when_full,
)
from eventstore.redis.heads import read_head
from eventstore.redis.run_wire import due_reply, options_of
from eventstore.run_model import (
    Claimed,
    ClaimReply,
    ClaimRequest,
    Code,
    Commit,
    Committed,
    DueReply,
    Lease,
    RunHead,
)

HAS_SECONDS: Final = 86_400
"""How long the store remembers what workers with certain components can run; asked after that, they tell again."""


def _script(name: str) -> Script:
    return Script(name, load_text("runs_common.lua") + load_text(f"{name}.lua"))


@dataclass(frozen=True, slots=True)
class Exchanged:
    """The replies of one pipeline: to its commits, and to the calls that came after them."""

    commits: list[Committed]
    after: list[Any]


class RunStore:
    """Commits, claims, leases and due members of runs; every call is one round trip unless it says otherwise."""

    def __init__(
        self, connection: Connection, keyspace: Keyspace, *, whole_history: int = 24, master_keys: Sequence[str] = ()
    ) -> None:
        self.keys = keyspace
        self._connection = connection
        self.is_cluster = connection.is_cluster
        self._scripts = Scripts(connection)
        self._commit, self._claim = _script("commit"), _script("claim")
        # A server at its memory limit refuses what begins a run, and carries out all other commits: runs that have
        # begun can end, and be archived.
        self._begin = Script("begin", refused_when_full(self._commit.text))
        self._beat, self._due = _script("beat"), _script("due")
        self._snapshot = Script("snapshot", load_text("snapshot.lua"))
        self._whole, self._master_keys = whole_history, " ".join(master_keys)

    @property
    def partitions(self) -> int:
        """Return how many partitions there are."""
        return self.keys.partitions

    def partition_of(self, run: str) -> int:
        """Return the partition of a run."""
        return self.keys.partition_of(run)

    def call(self, calls: Sequence[Call], seconds: float = 10.0) -> list[Any]:
        """Send calls in one pipeline and give their replies; the first one that failed is raised.

        The pipeline is sent again, for some seconds, after a lost connection, or when a server says that it cannot
        answer now: every call here is safe to repeat.
        """
        replies = retrying(lambda: self._answers(calls), seconds)
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    def _answers(self, calls: Sequence[Call]) -> list[Any]:
        replies = self._scripts.run_many(calls)
        for reply in replies:
            if isinstance(reply, StoreUnavailable):
                raise reply
        return replies

    # -- commits and claims ------------------------------------------------------------------------------

    def commit(self, commit: Commit) -> Committed:
        """Carry out one commit."""
        return self.exchange([commit]).commits[0]

    def exchange(
        self, commits: Sequence[Commit], *, before: Sequence[Call] = (), after: Sequence[Call] = ()
    ) -> Exchanged:
        """Carry out commits in one pipeline: recording, storing what they refer to and ringing are one round trip."""
        calls, places = self._ahead(before), []
        for commit in commits:
            calls += self._calls_of(commit)
            places.append(len(calls) - 1)
        replies = self.call([*calls, *after])
        return Exchanged(
            [self.committed(commit, replies[place]) for commit, place in zip(commits, places, strict=True)],
            replies[len(calls) :],
        )

    def offer(
        self, commits: Sequence[Commit], *, before: Sequence[Call] = (), after: Sequence[Call] = ()
    ) -> tuple[list[Committed | EventStoreError], list[Any]]:
        """Carry out commits in one pipeline, each with an answer or an error of its own: none hinders another.

        Gives the replies to the calls `after` too, errors among them. Raises StoreUnavailable when nobody knows what
        was carried out; the same commits can be sent again.
        """
        calls = self._ahead(before)
        first = range(len(calls))
        needs: list[range] = []
        for commit in commits:
            own = self._calls_of(commit)
            needs.append(range(len(calls), len(calls) + len(own) - 1))
            calls += own
        last = len(calls)
        replies = retrying(lambda: self._scripts.run_many([*calls, *after]))
        answers: list[Committed | EventStoreError] = []
        for commit, need in zip(commits, needs, strict=True):
            reply = replies[need.stop]
            if isinstance(reply, EventStoreError):
                answers.append(reply)
                continue
            # There may have been no room for what it needs, and then some for itself: it is there, so it gets that.
            refused = [calls[i] for i in (*first, *need) if isinstance(replies[i], Exception)]
            self.call([essential(*call.args) if isinstance(call, PlainCall) else call for call in refused])
            answers.append(self.committed(commit, reply))
        return answers, replies[last:]

    def _ahead(self, before: Sequence[Call]) -> list[Call]:
        """Give what is sent together with commits of that which they rely on, most often all of it.

        In a cluster it may lie on another node, which may be away while theirs is not; so it is sent ahead, and a node
        that dies gets the time to be replaced.
        """
        if not (before and self._connection.is_cluster):
            return list(before)
        replies = retrying(lambda: self._answers(before), FAILOVER_SECONDS)
        return [call for call, reply in zip(before, replies, strict=True) if isinstance(reply, Exception)]

    def claim(self, claims: Sequence[ClaimRequest], *, worker: str, lease_ms: int) -> list[ClaimReply]:
        """Carry out claims; partitions that cannot answer now are left out while others can."""
        calls = [self.claim_call(claim, worker, lease_ms) for claim in claims]
        replies = self._from_those_that_answer(calls)
        return [self.claimed(claim, reply) for claim, reply in zip(claims, replies, strict=True) if reply is not None]

    def _from_those_that_answer(self, calls: Sequence[Call]) -> list[Any]:
        """Give the replies to calls of several partitions, None for those whose node is away or whose slot is moved.

        Raises EventStoreError when none answers.
        """
        replies = retrying(lambda: self._scripts.run_many(calls)) if calls else []
        errors = [reply for reply in replies if isinstance(reply, Exception)]
        if errors and (len(errors) == len(replies) or not all(isinstance(e, StoreUnavailable) for e in errors)):
            raise errors[0]
        return [None if isinstance(reply, Exception) else reply for reply in replies]

    def _calls_of(self, commit: Commit) -> list[Call]:
        """Build the calls of a commit: what stands beside the log first, the commit itself last."""
        payloads = {b.sha: b.data for b in commit.blobs}
        before = self.payload_calls(commit.run, payloads, commit.refers, begun=commit.mode != "new")
        return [*before, self.commit_call(commit)]

    def payload_calls(
        self, run: str, payloads: Mapping[str, bytes], refers: Iterable[str] = (), *, begun: bool = False
    ) -> list[Call]:
        """Build the calls that go before a commit with payloads beside the log: who refers to them, then they.

        A commit that fails after all leaves a reference too many, never one too few. `refers` are those that are there.
        Those of a run that has `begun` are kept by a server at its memory limit too.
        """
        keys, partition = self.keys, self.keys.partition_of(run)
        writes: list[tuple[bytes, bytes, str | bytes]] = [
            (b"SADD", keys.references(partition, sha), run) for sha in (*payloads, *refers)
        ]
        writes += [(b"SET", keys.blob(partition, sha), raw) for sha, raw in payloads.items()]
        return [essential(*write) if begun else PlainCall(write) for write in writes]

    def commit_call(self, commit: Commit) -> ScriptCall:
        """Build the script call of a commit, for a pipeline of the caller's."""
        keys, partition = self.keys, self.keys.partition_of(commit.run)
        args: list[Any] = [options_of(commit), commit.commit_id, commit.actor, commit.cause, commit.run]
        for kind, data in commit.events:
            args += (kind, data)
        names = [
            keys.meta(partition),
            keys.log(partition),
            keys.stream(commit.run),
            keys.head(commit.run),
            keys.due(partition),
        ]
        return ScriptCall(self._begin if commit.mode == "new" else self._commit, names, args)

    def committed(self, commit: Commit, reply: list[Any]) -> Committed:
        """Read the reply of a commit."""
        code, version, position, time_ms, extra = reply[:5]
        code = Code(code)
        if code is Code.DONE:
            leases = tuple(Lease(commit.run, s.decode(), f.decode(), a, int(d)) for s, f, a, d in extra)
            return Committed(code, version, position, time_ms, leases)
        if code is Code.FENCED:
            return Committed(code, version, position, time_ms, fenced=tuple(s.decode() for s in extra))
        return Committed(code, version, position, time_ms, events=self._parse(commit.run, extra))

    def claim_call(self, claim: ClaimRequest, worker: str, lease_ms: int) -> ScriptCall:
        """Build the script call of a claim."""
        keys, partition = self.keys, claim.partition
        names = [
            keys.meta(partition),
            keys.log(partition),
            keys.due(partition),
            keys.ready(partition, claim.queue),
            keys.claim(partition, claim.id),
            keys.has(partition, claim.having),
        ]
        return ScriptCall(self._claim, names, [claim.at_most, worker, lease_ms, self._whole, self._master_keys])

    def claimed(self, claim: ClaimRequest, reply: list[Any]) -> ClaimReply:
        """Read the reply of a claim."""
        left, now, unknown, aside, *items = reply
        taken = []
        for run_, step, fence, attempt, deadline, version, commit, scheduled, entries in items:
            run = run_.decode()
            lease = Lease(run, step.decode(), fence.decode(), attempt, int(deadline))
            taken.append(Claimed(lease, version, commit.decode(), scheduled, self._parse(run, entries)))
        return ClaimReply(claim.partition, left, now, tuple(taken), tuple(c.decode() for c in unknown), aside)

    def tell(self, partition: int, having: str, able: Mapping[str, bool]) -> None:
        """Say which components, as documents name them, workers can run that have the components of a hash."""
        name = self.keys.has(partition, having)
        pairs = [x for component, can in able.items() for x in (component, int(can))]
        self.call([essential(b"HSET", name, *pairs), PlainCall((b"EXPIRE", name, HAS_SECONDS))])

    def _parse(self, run: str, entries: Iterable[Any]) -> tuple[Recorded, ...]:
        partition = self.keys.partition_of(run)
        return tuple(parse_entry(run, partition, entry) for entry in entries)

    # -- leases and time ---------------------------------------------------------------------------------

    def beat(self, leases: Sequence[Lease], lease_ms: int, *, begin: bool = False) -> list[int]:
        """Extend leases; for each of them 1 held, 2 held and the run is asked to cancel, 0 lost, -1 nobody knows.

        With `begin`, the store knows from then on that their steps may have begun. Raises EventStoreError when nobody
        knows of any of them.
        """
        by_partition: dict[int, list[int]] = {}
        for index, lease in enumerate(leases):
            by_partition.setdefault(self.keys.partition_of(lease.run), []).append(index)
        calls: list[Call] = []
        for partition, members in by_partition.items():
            args: list[Any] = [lease_ms, "begin" if begin else ""]
            for index in members:
                args += (leases[index].run, leases[index].step, leases[index].fence)
            calls.append(ScriptCall(self._beat, [self.keys.meta(partition), self.keys.due(partition)], args))
        out = [-1] * len(leases)
        replies = retrying(lambda: self._scripts.run_many(calls)) if calls else []
        errors = [reply for reply in replies if isinstance(reply, EventStoreError)]
        if errors and len(errors) == len(calls):
            raise errors[0]
        for members, reply in zip(by_partition.values(), replies, strict=True):
            if not isinstance(reply, EventStoreError):
                for index, held in zip(members, reply, strict=True):
                    out[index] = held
        return out

    def due(
        self, partitions: Sequence[int], queues: Sequence[str], *, at_most: int = 200, push_ms: int = 5000
    ) -> list[DueReply]:
        """Take what is due, up to so many members of a partition; they are pushed forward by `push_ms`, not removed.

        When there is more, what is taken is fair to what became due last and to other runs. Partitions that cannot
        answer now, because their slot is being moved, are left out while others can.
        """
        calls = [
            ScriptCall(self._due, [self.keys.meta(p), self.keys.due(p)], [at_most, push_ms, *queues])
            for p in partitions
        ]
        replies = zip(partitions, self._from_those_that_answer(calls), strict=True)
        return [due_reply(p, queues, reply) for p, reply in replies if reply is not None]

    def now_ms(self) -> int:
        """Give the server's time, the only one that is compared with what the store holds."""
        seconds, micros = self.call([PlainCall((b"TIME",))])[0]
        return int(seconds) * 1000 + int(micros) // 1000

    # -- reads -------------------------------------------------------------------------------------------

    def read(self, wanted: Sequence[tuple[str, int]]) -> list[tuple[Recorded, ...]]:
        """Read the events of several runs, each after a version."""
        calls = [PlainCall((b"XRANGE", self.keys.stream(run), f"{after + 1}-0", b"+")) for run, after in wanted]
        replies = self.call(calls) if calls else []
        return [self._parse(run, entries) for (run, _), entries in zip(wanted, replies, strict=True)]

    def first(self, run: str) -> Recorded:
        """Read the first event of a run that has one."""
        reply = self.call([PlainCall((b"XRANGE", self.keys.stream(run), b"1-0", b"1-0"))])[0]
        return self._parse(run, reply)[0]

    def read_one(self, run: str, version: int) -> Recorded | None:
        """Read one event of a run, None when there is none of that version."""
        reply = self.call([PlainCall((b"XRANGE", self.keys.stream(run), f"{version}-0", f"{version}-0"))])[0]
        return self._parse(run, reply)[0] if reply else None

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
            calls.append(PlainCall((b"XRANGE", self.keys.stream(run), b"-", b"+", b"COUNT", most)))
        replies = iter(self.call(calls) if calls else [])
        return [(next(replies) if keys else None, next(replies), self._parse(run, next(replies))) for run in runs]

    def put_snapshot(self, run: str, commit: str, snapshot: bytes, seconds: int) -> None:
        """Keep a snapshot up to a commit for a while; one of a closed run that has moved on since is not kept."""
        names = [self.keys.head(run), self.keys.snapshot(run)]
        self.call([ScriptCall(self._snapshot, names, [commit, snapshot, seconds])])

    def heads(self, runs: Sequence[str]) -> list[RunHead | None]:
        """Read the heads of several runs; None where there is no such run."""
        calls = [PlainCall((b"HGETALL", self.keys.head(run))) for run in runs]
        replies = self.call(calls) if calls else []
        return [read_head(run, reply) for run, reply in zip(runs, replies, strict=True)]

    def statuses(self, runs: Sequence[str]) -> list[str]:
        """Read the statuses of several runs; empty where there is no such run."""
        replies = self.call([PlainCall((b"HGET", self.keys.head(run), b"st")) for run in runs]) if runs else []
        return [(reply or b"").decode() for reply in replies]

    def is_gone(self, run: str) -> bool:
        """Tell whether a run is in the archive, which keeps its id for it."""
        partition = self.keys.partition_of(run)
        return bool(self.call([PlainCall((b"HEXISTS", self.keys.gone(partition), run))])[0])

    def blobs(self, wanted: Sequence[tuple[int, str]]) -> list[bytes]:
        """Read payloads that are stored beside the log; each is looked at, as who can write there can replace it.

        Raises BlobMissing and BlobChanged.
        """
        replies = self.call([PlainCall((b"GET", self.keys.blob(p, sha))) for p, sha in wanted]) if wanted else []
        for (partition, sha), reply in zip(wanted, replies, strict=True):
            if reply is None:
                raise BlobMissing(partition, sha)
            if hashlib.sha256(reply).hexdigest() != sha:
                raise BlobChanged(partition, sha)
        return replies

    def scan(self, pattern: bytes) -> list[bytes]:
        """Find keys; walks the whole keyspace, so for diagnosis only."""
        return retrying(lambda: self._connection.scan(pattern))

    def wait(self, run: str, after: int, block_ms: int) -> tuple[Recorded, ...]:
        """Block until the run has events after a version, at most `block_ms`; uses a connection of its own.

        Raises StoreUnavailable when the server goes away meanwhile: what the caller has read may not be there any more.
        """
        command = (b"XREAD", b"COUNT", 500, b"BLOCK", block_ms, b"STREAMS", self.keys.stream(run), f"{after}-0")
        reply = self._connection.blocking_call(*command)
        if not reply:
            return ()
        entries = next(iter(reply.values())) if isinstance(reply, dict) else reply[0][1]
        return self._parse(run, entries)
