"""Runs in this process's memory: a run store for simulations, trials and tests, which loses everything at the end.

It keeps the contract of `RunStore`, so what is found out with it holds for the Redis adapter too. Histories that come
from elsewhere (commits of mode adopt) are not for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from eventstore.errors import InvalidRequest
from eventstore.event import Recorded
from eventstore.memory.claims import Look
from eventstore.memory.partition import Partition, Taken
from eventstore.memory.records import Head
from eventstore.memory.run_reads import MemoryRunReads
from eventstore.run_model import (
    Ability,
    Claimed,
    ClaimReply,
    ClaimRequest,
    Commit,
    Committed,
    DueMember,
    DueReply,
    Heard,
    Lease,
)
from eventstore.runs import (
    NOTHING,
    Definitions,
    HintRequest,
    Offered,
    PipelineReplies,
    WakeUp,
)
from openagents_json.statuses import CLOSED_RUN
from openagents_json.work_index import DueKey


class MemoryRunStore(MemoryRunReads):
    """Commits, claims, leases and due members of runs in memory; safe for threads."""

    def __init__(
        self, *, partitions: int = 1, now_ms: Callable[[], int], whole_history: int = 24
    ) -> None:
        super().__init__(partitions)
        self._now = now_ms
        self._whole = whole_history
        self._definitions: Definitions = NOTHING
        self.is_cluster = False

    def now_ms(self) -> int:
        """Return the time that is compared with what the store holds."""
        return self._now()

    # -- commits -----------------------------------------------------------------------------------------

    def commit(self, commit: Commit) -> Committed:
        """Carry out one commit."""
        if commit.mode == "adopt":
            raise InvalidRequest(
                "a store in memory takes in no histories from elsewhere",
                remedy="commit them anew",
            )
        with self._changed:
            reply = self._of(commit.run).commit(commit, self._now())
            self._changed.notify_all()
            return reply

    def exchange(
        self,
        commits: Sequence[Commit],
        *,
        definitions: Definitions = NOTHING,
        wakeups: Sequence[WakeUp] = (),
    ) -> PipelineReplies:
        """Carry out commits; nobody has to be woken who looks for work in the same process."""
        self.put_definitions(definitions)
        return PipelineReplies(
            [self.commit(commit) for commit in commits], [False] * len(wakeups)
        )

    def offer(
        self,
        commits: Sequence[Commit],
        *,
        definitions: Definitions = NOTHING,
        wakeups: Sequence[WakeUp] = (),
        request: HintRequest | None = None,  # noqa: ARG002
    ) -> Offered:
        """Carry out commits as `exchange` does; there are no hints here."""
        return Offered(
            *self.exchange(commits, definitions=definitions, wakeups=wakeups)
        )

    # -- claims ------------------------------------------------------------------------------------------

    def claim(
        self, claims: Sequence[ClaimRequest], *, worker: str, lease_ms: int
    ) -> list[ClaimReply]:
        """Carry out claims."""
        with self._changed:
            replies = [self._claim(claim, worker, lease_ms) for claim in claims]
            self._changed.notify_all()
            return replies

    def _claim(self, claim: ClaimRequest, worker: str, lease_ms: int) -> ClaimReply:
        partition, now = self._partitions[claim.partition], self._now()
        until, given = partition.claims.get(claim.id, (0, []))
        if claim.able:
            self.tell(claim.partition, claim.having, claim.able)
        able = partition.abilities.get(claim.having, {})
        look = Look(partition.work, claim.queue, able, partition.weights)
        if (
            until > now
        ):  # the reply was lost: whoever asks again has begun nothing of it
            taken = [
                replace(item, previous="")
                for item in given
                if partition.still_holds(item.lease, lease_ms, now)
            ]
        else:
            look.look(claim.at_most)
            look.settle()
            taken = [
                partition.take(key, worker, lease_ms, now, able) for key in look.takers
            ]
            look.close()
        if taken and until <= now:
            partition.claims[claim.id] = (now + lease_ms, taken)
        sent: set[str] = set()
        claimed = tuple(
            self._claimed(partition, item, sent, dated=claim.dated) for item in taken
        )
        return ClaimReply(
            claim.partition,
            look.left,
            now,
            claimed,
            tuple(look.unknown),
            len(look.aside),
        )

    def claim_step(self, run: str, step: str, *, worker: str, lease_ms: int) -> Claimed:
        """Take one step that may be claimed, for who decides by itself which one that is and knows its run.

        Raises KeyError.
        """
        with self._changed:
            partition = self._of(run)
            if not partition.work.is_claimable(run, step):
                raise KeyError(step)
            taken = partition.take((run, step), worker, lease_ms, self._now())
            return Claimed(
                taken.lease, taken.version, taken.commit, taken.scheduled, ()
            )

    def _claimed(
        self, partition: Partition, taken: Taken, sent: set[str], *, dated: bool
    ) -> Claimed:
        """Return a claim with the history of its run, which is sent once, or with the event that scheduled the step."""
        events: tuple[Recorded, ...] = ()
        run = taken.lease.run
        if len(partition.streams[run]) > self._whole:
            if dated:
                events = partition.recorded(run, taken.scheduled - 1, 1)
        elif run not in sent:
            events = partition.recorded(run)
            sent.add(run)
        return Claimed(
            taken.lease,
            taken.version,
            taken.commit,
            taken.scheduled,
            events,
            taken.previous,
            taken.time_ms,
            taken.worker,
        )

    def listen(
        self, claim: ClaimRequest, *, worker: str, lease_ms: int, block_ms: int
    ) -> Heard:
        """Hear nothing: who looks for work in the same process is not rung for."""
        del claim, worker, lease_ms, block_ms
        return Heard(None)

    def tell(self, partition: int, having: str, able: Mapping[str, Ability]) -> None:
        """Say which components, as documents name them, workers can run that have the components of a hash."""
        with self._changed:
            self._partitions[partition].abilities.setdefault(having, {}).update(able)

    def weigh(self, weights: Mapping[str, int | None]) -> None:
        """Say which weights fairness keys have from now on, whatever their steps say; None for what those say."""
        with self._changed:
            for partition in self._partitions:
                kept = {**partition.weights, **weights}
                partition.weights = {
                    key: weight for key, weight in kept.items() if weight is not None
                }

    # -- leases and time ---------------------------------------------------------------------------------

    def beat(
        self, leases: Sequence[Lease], lease_ms: int, *, begin: bool = False
    ) -> list[int]:
        """Extend leases; for each of them 1 held, 2 held and the run is asked to cancel, 0 lost."""
        with self._changed:
            now = self._now()
            return [
                self._of(lease.run).work.hold(lease, lease_ms, now, begin=begin)
                for lease in leases
            ]

    def due(
        self,
        partitions: Sequence[int],
        queues: Sequence[str],
        *,
        at_most: int = 200,
        push_ms: int = 5000,
    ) -> list[DueReply]:
        """Take what is due, up to so many members of a partition; they are pushed forward, not removed."""
        with self._changed:
            return [
                self._due(partition, queues, at_most, push_ms)
                for partition in partitions
            ]

    def _due(
        self, number: int, queues: Sequence[str], at_most: int, push_ms: int
    ) -> DueReply:
        work = self._partitions[number].work
        now = self._now()
        refilled: list[str] = []
        members: list[DueMember] = []
        for key in work.due_until(now, at_most):
            member = work.hand_out(key, push_ms, now, refilled.append)
            if member is not None:
                members.append(member)
        return DueReply(
            number,
            now,
            work.next_ms(now),
            tuple(members),
            work.report(queues, now),
            frozenset(refilled),
        )

    def postpone(self, key: DueKey, at_ms: int) -> bool:
        """Have a member that is there be due at a time; False when it is not there any more."""
        with self._changed:
            due = self._of(key.run).work.due
            if key not in due:
                return False
            due.add(key, at_ms)
            return True

    def waiting(self, partition: int = 0) -> Iterator[tuple[DueKey, int]]:
        """Return what is due some time, by its time; who moves the clock by hand looks where to."""
        return iter(self._partitions[partition].work.due)

    def hand_out(self, key: DueKey, *, push_ms: int = 5000) -> DueMember | None:
        """Take one member of those `waiting` as `due` does, for who decides by itself which one comes next."""
        with self._changed:
            return self._of(key.run).work.hand_out(
                key, push_ms, self._now(), lambda _queue: None
            )

    def claimable(self, run: str) -> list[str]:
        """Return the steps of a run that may be claimed, in the order in which they came."""
        return self._of(run).work.claimable(run)

    def next_claimable(self, run: str) -> str | None:
        """Return the first of the steps of a run that may be claimed, None for none."""
        return self._of(run).work.next_claimable(run)

    # -- what stands beside the log ----------------------------------------------------------------------

    def put_definitions(self, definitions: Definitions) -> None:
        """Store definitions by their hashes, unless they are there."""
        with self._changed:
            self._definitions = {**definitions, **self._definitions}

    def definitions(self, names: Sequence[str]) -> list[bytes | None]:
        """Read definitions by their hashes; None where there is none."""
        return [self._definitions.get(name) for name in names]

    def begin_reading(
        self, runs: Sequence[str], most: int, *, keys: bool = False
    ) -> list[tuple[bytes | None, bytes | None, tuple[Recorded, ...]]]:
        """Read the wrapped keys (with `keys`), the snapshots and the first events of runs, at most so many of each."""
        with self._changed:
            return [self._begin_reading(run, most, keys=keys) for run in runs]

    def _begin_reading(
        self, run: str, most: int, *, keys: bool
    ) -> tuple[bytes | None, bytes | None, tuple[Recorded, ...]]:
        partition = self._of(run)
        key = partition.work.heads.get(run, Head()).wrapped_key if keys else ""
        return (
            key.encode() or None,
            partition.snapshots.get(run),
            partition.recorded(run, 0, most),
        )

    def put_snapshot(
        self, run: str, commit: str, snapshot: bytes, seconds: int
    ) -> None:
        """Keep a snapshot up to a commit; one of a closed run that has moved on since is not kept."""
        del seconds  # what is in memory goes with the process
        with self._changed:
            partition = self._of(run)
            head = partition.work.heads.get(run)
            if head is None:
                return
            # The snapshot of a run that has ended is read as its end: one from before that would hide what came after.
            is_closed = head.status in CLOSED_RUN
            if not is_closed or head.commit == commit:
                partition.snapshots[run] = snapshot
