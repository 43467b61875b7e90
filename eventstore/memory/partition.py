"""One partition of a run store in memory: its events, and what commits do to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final

from eventstore import codec
from eventstore.event import Json, Position, Recorded
from eventstore.memory.records import Head
from eventstore.memory.work import StepKey, WorkIndex
from eventstore.run_model import (
    Ability,
    Code,
    Commit,
    CommitClaim,
    Committed,
    Lease,
    build_in,
)
from openagents_json.statuses import CLOSED_RUN
from openagents_json.work_index import STARTED, ReadyStep, Share

MISSED_AT_MOST: Final = 500
"""How many events a reply brings that the caller has not folded: one that is further behind reads them."""

NOTHING_TOLD: Final[Mapping[str, Ability]] = MappingProxyType({})
"""The abilities of a worker of which nothing is known."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An event as it came: most of those in memory are never read, so it is decoded when it is."""

    type: str
    data: bytes
    n: int
    time_ms: int
    commit: str
    actor: str
    cause: str


@dataclass(frozen=True, slots=True)
class Taken:
    """A step that a claim took: the version and the commit of the claim, and the version that scheduled the step.

    `previous` is the last commit of the run before it, `time_ms` when `worker` took it.
    """

    lease: Lease
    version: int
    commit: str
    scheduled: int
    previous: str = ""
    time_ms: int = 0
    worker: str = ""


class Partition:
    """Events, heads and indexes that commits change together; not safe for threads by itself."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.n = 0
        self.work = WorkIndex()
        self.streams: dict[str, list[Stored]] = {}
        self.abilities: dict[str, dict[str, Ability]] = {}
        self.claims: dict[str, tuple[int, list[Taken]]] = {}
        self.blobs: dict[str, bytes] = {}
        self.snapshots: dict[str, bytes] = {}
        self.names: dict[str, str] = {}
        self.weights: dict[str, int] = {}

    def commit(self, commit: Commit, now_ms: int) -> Committed:
        """Carry out a commit: all of it, or the facts in it alone, or nothing."""
        self.blobs.update((blob.sha, blob.data) for blob in commit.blobs)
        refusal = self._refusal(commit, now_ms)
        if refusal is not None and refusal.code is not Code.FACTS_ONLY:
            return refusal
        head = self.work.heads.get(commit.run, Head())
        if any(step.step not in head.steps for step in commit.changes.requeued):
            return Committed(Code.DIVERGED, head.version, 0, now_ms)
        return self._carry_out(commit, now_ms, facts_only=refusal is not None)

    def _refusal(self, commit: Commit, now_ms: int) -> Committed | None:
        """Return why a commit is not carried out as it is, FACTS_ONLY where its facts are; None when all of it is."""
        head = self.work.heads.get(commit.run)
        if commit.mode == "new":
            return self._refused_start(commit, now_ms)
        if head is None or not head.version:
            return Committed(Code.UNKNOWN, 0, 0, now_ms)
        if commit.mode == "cas":
            return self._refused_decision(commit, head, now_ms)
        return self._refused_facts(commit, head, now_ms)

    def _refused_start(self, commit: Commit, now_ms: int) -> Committed | None:
        head = self.work.heads.get(commit.run, Head())
        if head.version and self._applied(commit, 1):
            return self._behind(commit, Code.DUPLICATE, now_ms)
        if head.version:
            return Committed(Code.EXISTS, head.version, 0, now_ms)
        if any(sha not in self.blobs for sha in commit.refers):
            return Committed(Code.PAYLOAD_GONE, 0, 0, now_ms)
        holder = self._other_holder(commit)
        if holder is not None:
            return Committed(Code.NAMED, 0, 0, now_ms, holder=holder)
        full = self._full_queue(commit)
        if full:
            return Committed(Code.FULL, 0, 0, now_ms, full=full)
        return None

    def _other_holder(self, commit: Commit) -> str | None:
        """Return who has the name that a run is to have, if that is not who had it before, or goes on; else None."""
        if commit.name is None:
            return None
        name, expected = commit.name
        holder = self.names.get(name, "")
        if holder != expected:
            return holder
        head = self.work.heads.get(holder)
        is_open = head is not None and head.status not in CLOSED_RUN
        return holder if is_open and holder != commit.run else None

    def _full_queue(self, commit: Commit) -> str:
        """Return the first queue that has no room for a new run, "" when all have."""
        at_most, queues = commit.room or (0, ())
        full = (queue for queue in queues if self.work.waiting_in(queue) >= at_most)
        return next(full, "")

    def _refused_decision(
        self, commit: Commit, head: Head, now_ms: int
    ) -> Committed | None:
        if commit.version > head.version:
            return Committed(Code.AHEAD, head.version, 0, now_ms)
        if commit.version < head.version:
            if self._applied(commit, commit.version + 1):
                return self._behind(commit, Code.DUPLICATE, now_ms)
            if not self._claims_alone(commit):
                return self._behind(commit, Code.CONFLICT, now_ms)
        elif commit.last_commit != head.commit:
            return Committed(Code.DIVERGED, head.version, 0, now_ms)
        if commit.guard is not None and not self.work.is_guarded(
            commit.run, commit.guard, now_ms
        ):
            return Committed(Code.HELD, head.version, 0, now_ms)
        holder = self._other_holder(commit)
        if holder is not None:
            return Committed(Code.NAMED, head.version, 0, now_ms, holder=holder)
        return None

    def _refused_facts(
        self, commit: Commit, head: Head, now_ms: int
    ) -> Committed | None:
        lost = self.work.lost(commit)
        if lost:
            if commit.version < head.version and self._applied(
                commit, commit.version + 1
            ):
                return self._behind(commit, Code.DUPLICATE, now_ms)
            return Committed(Code.FENCED, head.version, 0, now_ms, fenced=tuple(lost))
        if (commit.version, commit.last_commit) == (head.version, head.commit):
            return None
        if commit.whole:
            return self._behind(commit, Code.CONFLICT, now_ms)
        if self._claims_alone(commit):
            return None
        return Committed(Code.FACTS_ONLY, head.version, 0, now_ms)

    def _applied(self, commit: Commit, first: int) -> bool:
        """Tell whether a commit is on the log, from a version on."""
        return any(
            item.commit == commit.commit_id
            for item in self.streams[commit.run][first - 1 :]
        )

    def _behind(self, commit: Commit, code: Code, now_ms: int) -> Committed:
        version = self.work.heads[commit.run].version
        return Committed(code, version, 0, now_ms, events=self._missed(commit))

    def _missed(self, commit: Commit) -> tuple[Recorded, ...]:
        """Return what the caller has not folded: nothing to one whose last event is not on the log."""
        version = commit.version if commit.mode != "new" else 0
        stream = self.streams[commit.run]
        if version and (
            version > len(stream) or stream[version - 1].commit != commit.last_commit
        ):
            return ()
        return self.recorded(commit.run, version, MISSED_AT_MOST)

    def _claims_alone(self, commit: Commit) -> tuple[Recorded, ...]:
        """Return what a commit that stands has missed, if all of it are claims of others."""
        head = self.work.heads[commit.run]
        is_claimed_last = head.commit.startswith("k")  # as claims name their commits
        missed = self._missed(commit) if commit.stands and is_claimed_last else ()
        all_of_it = len(missed) == head.version - commit.version
        if all_of_it and all(item.type == STARTED for item in missed):
            return missed
        return ()

    def _carry_out(self, commit: Commit, now_ms: int, *, facts_only: bool) -> Committed:
        work = self.work
        head = work.heads.setdefault(commit.run, Head())
        before = head.version
        if commit.name is not None:
            self.names[commit.name[0]] = commit.run
        claims = () if facts_only or not before else self._claims_alone(commit)
        events = commit.events[: commit.fact_events] if facts_only else commit.events
        for kind, data in events:
            self._append(
                commit.run,
                kind,
                data,
                commit.commit_id,
                commit.actor,
                commit.cause,
                now_ms,
            )
        work.take_facts(commit)
        leases: tuple[Lease, ...] = ()
        if facts_only:
            work.overtaken(commit, now_ms)
        else:
            leases = self._index(commit, before, now_ms)
        if head.version > before:
            head.commit = commit.commit_id
        if facts_only:
            missed = self._missed(commit)
            return Committed(
                Code.FACTS_ONLY, head.version, self.n, now_ms, events=missed
            )
        return Committed(Code.DONE, head.version, self.n, now_ms, leases, claims)

    def _index(self, commit: Commit, before: int, now_ms: int) -> tuple[Lease, ...]:
        """Carry out the index changes of a commit, and claim of its new steps what the caller would take along."""
        work, run, changes = self.work, commit.run, commit.changes
        shares = {share.step: share for share in changes.shares}
        takes = self._taken_along(commit, shares)
        work.leave(commit)
        head = work.heads[run]
        head.last_fence = max(head.last_fence, commit.last_fence or 0)
        leases: list[Lease] = []
        for requeued in changes.requeued:
            work.requeue(run, requeued, now_ms)
        for step in changes.ready:
            work.admit(run, step, before, now_ms, shares.get(step.step))
            claim = commit.claim
            if claim is not None and step.step in takes:
                lease = work.lease(run, step.step, claim.worker, claim.lease_ms, now_ms)
                who = (commit.commit_id, commit.actor, commit.cause)
                build = build_in(claim.can(step.component))
                started = _started(lease, claim.worker, build)
                self._append(run, STARTED, started, *who, now_ms)
                leases.append(lease)
            else:
                work.open(run, step, now_ms)
        for restored in changes.restored:
            work.restore(run, restored, now_ms, shares.get(restored.step))
        work.enter(commit, now_ms)
        work.fair.prune()
        if "snap" in commit.wipe:
            self.snapshots.pop(run, None)
        if "key" in commit.wipe:
            head.wrapped_key = ""
        return tuple(leases)

    def _taken_along(self, commit: Commit, shares: Mapping[str, Share]) -> list[str]:
        """Return the new steps that who commits takes along.

        One with a fairness key takes its turn while another key has steps in its queue.
        """
        takes: list[str] = []
        for step in commit.changes.ready if commit.claim is not None else ():
            share = shares.get(step.step)
            if share is not None and self._others_wait(step.queue, share.key):
                continue
            if _takes(commit.claim, step, len(takes)):
                takes.append(step.step)
        return takes

    def _others_wait(self, queue: str, key: str) -> bool:
        """Tell whether another key has steps that wait in a queue."""
        is_unkeyed = bool(self.work.queue(queue))
        return is_unkeyed or self.work.fair.of(queue).others_wait(key)

    def _append(
        self,
        run: str,
        kind: str,
        data: bytes,
        commit_id: str,
        actor: str,
        cause: str,
        now_ms: int,
    ) -> None:
        self.n += 1
        stream = self.streams.setdefault(run, [])
        stream.append(Stored(kind, data, self.n, now_ms, commit_id, actor, cause))
        self.work.heads[run].version = len(stream)

    def take(
        self,
        key: StepKey,
        worker: str,
        lease_ms: int,
        now_ms: int,
        able: Mapping[str, Ability] = NOTHING_TOLD,
    ) -> Taken:
        """Take a step for a worker that is known to be `able`; a claim is a commit of its own."""
        run, step = key
        component = self.work.heads[run].steps[step].component
        started = partial(_started, build=build_in(able.get(component, True)))
        lease = self.work.lease(run, step, worker, lease_ms, now_ms)
        commit_id, previous = f"k{lease.fence}", self.work.heads[run].commit
        self._append(
            run, STARTED, started(lease, worker), commit_id, worker, "", now_ms
        )
        head = self.work.heads[run]
        head.commit = commit_id
        scheduled = head.steps[step].scheduled_version
        return Taken(
            lease, head.version, commit_id, scheduled, previous, now_ms, worker
        )

    def still_holds(self, lease: Lease, lease_ms: int, now_ms: int) -> bool:
        """Extend a lease, if it is still there."""
        record = self.work.heads[lease.run].steps.get(lease.step)
        if record is None or record.fence != lease.fence:
            return False
        self.work.extend(lease.run, lease.step, lease_ms, now_ms)
        return True

    def recorded(
        self, run: str, after: int = 0, most: int | None = None
    ) -> tuple[Recorded, ...]:
        """Return the events of a run behind a version, at most so many."""
        stream = self.streams.get(run, [])
        end = len(stream) if most is None else after + most
        return tuple(
            Recorded(
                stream=run,
                version=version,
                position=Position(self.number, item.n),
                time_ms=item.time_ms,
                commit=item.commit,
                actor=item.actor,
                cause=item.cause,
                type=item.type,
                data=codec.decode(item.data),
                metadata={},
            )
            for version, item in enumerate(stream[after:end], after + 1)
        )


def _takes(claim: CommitClaim | None, step: ReadyStep, taken: int) -> bool:
    """Tell whether who commits takes a new step along: one that may begin now, and that it can run."""
    if claim is None or step.delay_ms or taken >= claim.at_most:
        return False
    return claim.queue == step.queue and bool(claim.can(step.component))


def _started(lease: Lease, worker: str, build: str) -> bytes:
    data: dict[str, Json] = {
        "attempt": lease.attempt,
        "fence": lease.fence,
        "step": lease.step,
        "worker": worker,
    }
    if build:
        data["build"] = build
    return codec.encode(data)
