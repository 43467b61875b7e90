"""Runs in this process's memory: a run store for simulations, trials and tests, which loses everything at the end.

It keeps the contract of `RunStore`, so what is found out with it holds for the Redis adapter too. Histories that come
from elsewhere (commits of mode adopt) are not for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from eventstore.errors import BlobMissing, InvalidRequest
from eventstore.event import Recorded
from eventstore.keys import Keyspace
from eventstore.memory.claims import Look
from eventstore.memory.partition import MISSED_AT_MOST, Partition, Taken
from eventstore.memory.records import Head
from eventstore.run_model import (
    Claimed,
    ClaimReply,
    ClaimRequest,
    Commit,
    Committed,
    DueMember,
    DueReply,
    Lease,
    RunEnd,
    RunHead,
)
from eventstore.runs import NOTHING, Definitions, Offered, PipelineReplies, WakeUp
from openagents_json.statuses import CLOSED_RUN
from openagents_json.work_index import DueKey


class MemoryRunStore:
    """Commits, claims, leases and due members of runs in memory; safe for threads."""

    def __init__(
        self, *, partitions: int = 1, now_ms: Callable[[], int], whole_history: int = 24
    ) -> None:
        self._keys = Keyspace("memory", partitions)
        self._now = now_ms
        self._whole = whole_history
        self._definitions: Definitions = NOTHING
        self.is_cluster = False
        self._partitions = [Partition(number) for number in range(partitions)]
        self._changed = threading.Condition(threading.RLock())

    @property
    def partitions(self) -> int:
        """Return how many partitions there are."""
        return self._keys.partitions

    def partition_of(self, run: str) -> int:
        """Return the partition of a run."""
        return self._keys.partition_of(run)

    def now_ms(self) -> int:
        """Return the time that is compared with what the store holds."""
        return self._now()

    def _of(self, run: str) -> Partition:
        return self._partitions[self.partition_of(run)]

    # -- commits -----------------------------------------------------------------------------------------

    def commit(self, commit: Commit) -> Committed:
        """Carry out one commit."""
        if commit.mode == "adopt":
            raise InvalidRequest(
                "a store in memory takes in no histories from elsewhere; commit them anew"
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
    ) -> Offered:
        """Carry out commits as `exchange` does."""
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
        look = Look(
            partition.work, claim.queue, partition.abilities.get(claim.having, {})
        )
        if (
            until > now
        ):  # the reply was lost: whoever asks again has begun nothing of it
            taken = [
                replace(item, previous="")
                for item in given
                if self._still_holds(partition, item.lease, lease_ms, now)
            ]
        else:
            look.look(claim.at_most)
            look.settle()
            taken = [partition.take(key, worker, lease_ms, now) for key in look.takers]
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

    def _still_holds(
        self, partition: Partition, lease: Lease, lease_ms: int, now_ms: int
    ) -> bool:
        record = partition.work.heads[lease.run].steps.get(lease.step)
        if record is None or record.fence != lease.fence:
            return False
        partition.work.extend(lease.run, lease.step, lease_ms, now_ms)
        return True

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

    def tell(self, partition: int, having: str, able: Mapping[str, bool]) -> None:
        """Say which components, as documents name them, workers can run that have the components of a hash."""
        with self._changed:
            self._partitions[partition].abilities.setdefault(having, {}).update(able)

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

    # -- reads -------------------------------------------------------------------------------------------

    def read(self, ranges: Sequence[tuple[str, int]]) -> list[tuple[Recorded, ...]]:
        """Read the events of several runs, each after a version."""
        with self._changed:
            return [self._of(run).recorded(run, after) for run, after in ranges]

    def first(self, run: str) -> Recorded:
        """Read the first event of a run that has one."""
        return self._of(run).recorded(run, 0, 1)[0]

    def read_one(self, run: str, version: int) -> Recorded | None:
        """Read one event of a run, None when there is none of that version."""
        return next(iter(self._of(run).recorded(run, version - 1, 1)), None)

    def backwards(self, run: str) -> Iterator[list[Recorded]]:
        """Read the events of a run from its end, all of them as one page."""
        events = self._of(run).recorded(run)
        if events:
            yield list(reversed(events))

    def heads(self, runs: Sequence[str]) -> list[RunHead | None]:
        """Read the heads of several runs; None where there is no such run."""
        with self._changed:
            heads = [self._of(run).work.heads.get(run) for run in runs]
            return [
                head.shown(run) if head else None
                for run, head in zip(runs, heads, strict=True)
            ]

    def statuses(self, runs: Sequence[str]) -> list[str]:
        """Read the statuses of several runs; empty where there is no such run."""
        with self._changed:
            return [self._of(run).work.heads.get(run, Head()).status for run in runs]

    def blobs(self, addresses: Sequence[tuple[int, str]]) -> list[bytes]:
        """Read payloads that are stored beside the log.

        Raises BlobMissing.
        """
        payloads: list[bytes] = []
        for partition, sha in addresses:
            blobs = self._partitions[partition].blobs
            if sha not in blobs:
                raise BlobMissing(partition, sha)
            payloads.append(blobs[sha])
        return payloads

    def is_gone(self, run: str) -> bool:
        """Tell whether a run is in the archive: a store in memory has none."""
        del run
        return False

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

    def wait(self, run: str, after: int, block_ms: int) -> tuple[Recorded, ...]:
        """Block until the run has events after a version, at most `block_ms`."""
        with self._changed:
            self._changed.wait_for(
                lambda: bool(self._of(run).recorded(run, after, 1)), block_ms / 1000
            )
            return self._of(run).recorded(run, after, MISSED_AT_MOST)

    def wait_for_end(self, run: str, block_ms: int) -> RunEnd | None:
        """Block until the run has ended or is not there, at most `block_ms`; None when it is still under way."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._is_over(run), block_ms / 1000):
                return None
            version = self._of(run).work.heads.get(run, Head()).version
            return RunEnd(self.read_one(run, version))

    def _is_over(self, run: str) -> bool:
        [status] = self.statuses([run])
        return not status or status in CLOSED_RUN
