"""The log as a work store: runs are committed, claimed, extended and found again, each in one atomic script.

The layout is that of `RedisStreamStore`, so whatever is committed here can be read, tailed and projected there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from eventstore.errors import EventStoreError, EventUnreadable
from eventstore.event import Recorded
from eventstore.keys import Keyspace
from eventstore.redis.coordination.wakeups import ring_call
from eventstore.redis.driver.connection import Connection
from eventstore.redis.driver.retries import FAILOVER_SECONDS, retrying
from eventstore.redis.driver.scripts import (
    Call,
    PlainCall,
    Script,
    ScriptCall,
    essential,
    load_text,
    refused_when_full,
)
from eventstore.redis.run_reads import RedisRunReads
from eventstore.redis.run_wire import UnreadEvents, due_reply, options_of
from eventstore.run_model import (
    Claimed,
    ClaimReply,
    ClaimRequest,
    Code,
    Commit,
    Committed,
    DueReply,
    Lease,
)
from eventstore.runs import NOTHING, Definitions, Offered, PipelineReplies, WakeUp
from openagents_json.work_index import DueKey

HAS_SECONDS: Final = 86_400
"""How long the store remembers what workers with certain components can run; asked after that, they tell again."""

PART: Final = 1000
"""How many arguments a script passes on to one command: Lua takes no more than some 8,000."""


def _script(name: str) -> Script:
    return Script(name, load_text("runs_common.lua") + load_text(f"{name}.lua"))


def asked_for(replies: Sequence[Any]) -> list[bool]:
    """Tell which wake-ups nobody has heard; one that could not be sent is a hint that is lost, and no more."""
    return [reply == 1 for reply in replies]


class RedisRunStore(RedisRunReads):
    """Commits, claims, leases and due members of runs; every call is one round trip unless it says otherwise."""

    def __init__(
        self,
        connection: Connection,
        keyspace: Keyspace,
        *,
        whole_history: int = 24,
        master_keys: Sequence[str] = (),
    ) -> None:
        super().__init__(connection, keyspace)
        self._commit = _script("commit")
        self._claim = _script("claim")
        # A server at its memory limit refuses what begins a run, and carries out all other commits: runs that have
        # begun can end, and be archived.
        self._begin = Script("begin", refused_when_full(self._commit.text))
        self._beat = _script("beat")
        self._due = _script("due")
        self._whole = whole_history
        self._master_keys = " ".join(master_keys)

    # -- commits and claims ------------------------------------------------------------------------------

    def commit(self, commit: Commit) -> Committed:
        """Carry out one commit."""
        return self.exchange([commit]).commits[0]

    def exchange(
        self,
        commits: Sequence[Commit],
        *,
        definitions: Definitions = NOTHING,
        wakeups: Sequence[WakeUp] = (),
    ) -> PipelineReplies:
        """Carry out commits in one pipeline: recording, storing what they refer to and ringing are one round trip."""
        calls, ends = self._ahead(self.definition_calls(definitions)), []
        for commit in commits:
            calls += self._calls_of(commit)
            ends.append(len(calls) - 1)
        replies = self.call([*calls, *self.ring_calls(wakeups)])
        answers = [
            self.committed(commit, replies[end])
            for commit, end in zip(commits, ends, strict=True)
        ]
        return PipelineReplies(answers, asked_for(replies[len(calls) :]))

    def offer(
        self,
        commits: Sequence[Commit],
        *,
        definitions: Definitions = NOTHING,
        wakeups: Sequence[WakeUp] = (),
    ) -> Offered:
        """Carry out commits in one pipeline, each with an answer or an error of its own: none hinders another.

        Raises StoreUnavailable when nobody knows what was carried out; the same commits can be sent again.
        """
        calls = self._ahead(self.definition_calls(definitions))
        first = range(len(calls))
        needs: list[range] = []
        for commit in commits:
            own = self._calls_of(commit)
            needs.append(range(len(calls), len(calls) + len(own) - 1))
            calls += own
        replies = self.answers([*calls, *self.ring_calls(wakeups)])
        answers: list[Committed | EventStoreError] = []
        for commit, need in zip(commits, needs, strict=True):
            reply = replies[need.stop]
            if isinstance(reply, EventStoreError):
                answers.append(reply)
                continue
            # There may have been no room for what it needs, and then some for itself: it is there, so it gets that.
            refused = [
                calls[i] for i in (*first, *need) if isinstance(replies[i], Exception)
            ]
            if refused:
                self.call(
                    [
                        essential(*call.args) if isinstance(call, PlainCall) else call
                        for call in refused
                    ]
                )
            answers.append(self.committed(commit, reply))
        return Offered(answers, asked_for(replies[len(calls) :]))

    def ring_calls(self, wakeups: Sequence[WakeUp]) -> list[ScriptCall]:
        """Build the calls of wake-ups; each replies 1 when nobody has heard it."""
        return [
            ring_call(self.keys, wakeup.queue, wakeup.partitions) for wakeup in wakeups
        ]

    def _ahead(self, before: Sequence[Call]) -> list[Call]:
        """Return what is sent together with commits of that which they rely on, most often all of it.

        In a cluster it may lie on another node, which may be away while theirs is not; so it is sent ahead, and a node
        that dies gets the time to be replaced.
        """
        if not (before and self.connection.is_cluster):
            return list(before)
        replies = retrying(lambda: self._answers(before), FAILOVER_SECONDS)
        return [
            call
            for call, reply in zip(before, replies, strict=True)
            if isinstance(reply, Exception)
        ]

    def claim(
        self, claims: Sequence[ClaimRequest], *, worker: str, lease_ms: int
    ) -> list[ClaimReply]:
        """Carry out claims; partitions that cannot answer now are left out while others can."""
        calls = [self.claim_call(claim, worker, lease_ms) for claim in claims]
        replies = self.from_those_that_answer(calls)
        return [
            self.claimed(claim, reply, worker)
            for claim, reply in zip(claims, replies, strict=True)
            if reply is not None
        ]

    def _calls_of(self, commit: Commit) -> list[Call]:
        """Build the calls of a commit: what stands beside the log first, the commit itself last."""
        if not commit.blobs and not commit.refers:  # nearly every commit
            return [self.commit_call(commit)]
        payloads = {b.sha: b.data for b in commit.blobs}
        before = self.payload_calls(
            commit.run, payloads, commit.refers, begun=commit.mode != "new"
        )
        return [*before, self.commit_call(commit)]

    def commit_call(self, commit: Commit) -> ScriptCall:
        """Build the script call of a commit, for a pipeline of the caller's."""
        keys, partition = self.keys, self.keys.partition_of(commit.run)
        args: list[Any] = [
            options_of(commit),
            commit.commit_id,
            commit.actor,
            commit.cause,
            commit.run,
        ]
        for kind, data in commit.events:
            args += (kind, data)
        names = [
            keys.meta(partition),
            keys.log(partition),
            keys.stream(commit.run),
            keys.head(commit.run),
            keys.due(partition),
        ]
        return ScriptCall(
            self._begin if commit.mode == "new" else self._commit, names, args
        )

    def committed(self, commit: Commit, reply: list[Any]) -> Committed:
        """Read the reply of a commit."""
        code, version, position, time_ms, extra = reply[:5]
        code = Code(code)
        if code is Code.DONE:
            leases = tuple(
                Lease(commit.run, s.decode(), f.decode(), a, int(d))
                for s, f, a, d in extra
            )
            return Committed(code, version, position, time_ms, leases)
        if code is Code.FENCED:
            return Committed(
                code,
                version,
                position,
                time_ms,
                fenced=tuple(s.decode() for s in extra),
            )
        return Committed(
            code, version, position, time_ms, events=self._by_itself(commit.run, extra)
        )

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
        return ScriptCall(
            self._claim,
            names,
            [
                claim.at_most,
                worker,
                lease_ms,
                self._whole,
                self._master_keys,
                int(claim.dated),
                HAS_SECONDS,
                *_pairs_of(claim.able),
            ],
        )

    def claimed(self, claim: ClaimRequest, reply: list[Any], worker: str) -> ClaimReply:
        """Read the reply of a claim."""
        left, now, unknown, aside, *items = reply
        taken = []
        for (
            run_,
            step,
            fence,
            attempt,
            deadline,
            version,
            commit,
            scheduled,
            previous,
            entries,
        ) in items:
            run = run_.decode()
            lease = Lease(run, step.decode(), fence.decode(), attempt, int(deadline))
            taken.append(
                Claimed(
                    lease,
                    version,
                    commit.decode(),
                    scheduled,
                    UnreadEvents(self._by_itself, run, entries),
                    previous.decode(),
                    now,
                    worker,
                )
            )
        return ClaimReply(
            claim.partition,
            left,
            now,
            tuple(taken),
            tuple(c.decode() for c in unknown),
            aside,
        )

    def _by_itself(self, run: str, entries: Iterable[Any]) -> tuple[Recorded, ...]:
        """Read events that came with those of other runs; none of a run that cannot be read: it must not hold them up.

        Whoever loads that run is told why.
        """
        try:
            return self.recorded(run, entries)
        except EventUnreadable:
            return ()

    def tell(self, partition: int, having: str, able: Mapping[str, bool]) -> None:
        """Say which components, as documents name them, workers can run that have the components of a hash."""
        self.call(self._tell_calls(partition, having, able))

    def _tell_calls(
        self, partition: int, having: str, able: Mapping[str, bool]
    ) -> list[Call]:
        name = self.keys.has(partition, having)
        pairs = _pairs_of(able)
        parts = [pairs[i : i + PART] for i in range(0, len(pairs), PART)]
        return [
            *(essential(b"HSET", name, *part) for part in parts),
            PlainCall((b"EXPIRE", name, HAS_SECONDS)),
        ]

    # -- leases and time ---------------------------------------------------------------------------------

    def beat(
        self, leases: Sequence[Lease], lease_ms: int, *, begin: bool = False
    ) -> list[int]:
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
            calls.append(
                ScriptCall(
                    self._beat,
                    [self.keys.meta(partition), self.keys.due(partition)],
                    args,
                )
            )
        out = [-1] * len(leases)
        replies = self.answers(calls) if calls else []
        errors = [reply for reply in replies if isinstance(reply, EventStoreError)]
        if errors and len(errors) == len(calls):
            raise errors[0]
        for members, reply in zip(by_partition.values(), replies, strict=True):
            if not isinstance(reply, EventStoreError):
                for index, held in zip(members, reply, strict=True):
                    out[index] = held
        return out

    def due(
        self,
        partitions: Sequence[int],
        queues: Sequence[str],
        *,
        at_most: int = 200,
        push_ms: int = 5000,
    ) -> list[DueReply]:
        """Take what is due, up to so many members of a partition; they are pushed forward by `push_ms`, not removed.

        When there is more, what is taken is fair to what became due last and to other runs. Partitions that cannot
        answer now, because their slot is being moved, are left out while others can.
        """
        calls = [
            ScriptCall(
                self._due,
                [self.keys.meta(p), self.keys.due(p)],
                [at_most, push_ms, *queues],
            )
            for p in partitions
        ]
        replies = zip(partitions, self.from_those_that_answer(calls), strict=True)
        return [
            due_reply(p, queues, reply) for p, reply in replies if reply is not None
        ]

    def postpone(self, key: DueKey, at_ms: int) -> bool:
        """Have a member that is there be due at a time; False when it is not there any more."""
        due, member = self.keys.due(self.partition_of(key.run)), key.key()
        postponing = essential(b"ZADD", due, b"XX", at_ms, member)
        return (
            self.call([postponing, PlainCall((b"ZSCORE", due, member))])[1] is not None
        )


def _pairs_of(able: Mapping[str, bool]) -> list[str | int]:
    return [x for component, can in able.items() for x in (component, int(can))]
