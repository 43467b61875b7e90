"""The indexes of open work in memory: what the scripts of the Redis adapter do to heads, ready sets and the due set.

One `WorkIndex` is one partition. Nothing here knows events or versions: `MemoryRunStore` writes those, and asks here
what follows from them. The rules are those of lua/commit.lua, claim.lua, due.lua and beat.lua; the contract suite and
a state machine hold both to the same answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice, takewhile
from typing import Any, Final

from eventstore.memory.fair_queue import FairQueues
from eventstore.memory.records import Head, Record, ScoredSet
from eventstore.run_model import Commit, DueMember, Guard, Lease, ReadyQueue
from openagents_json.statuses import CLAIMED_RUN
from openagents_json.work_index import (
    OF_RECORDS,
    DueKey,
    DueKind,
    ReadyStep,
    RequeuedStep,
    RestoredStep,
    Share,
)

PRIORITY_MS: Final = 60_000
"""How much older a step looks with each point of its priority."""

OVERTAKEN_MS: Final = 300
"""When somebody looks again at a run whose facts are stored and whose decision is not."""

StepKey = tuple[str, str]


class WorkIndex:
    """The open work of one partition; not safe for threads by itself."""

    def __init__(self) -> None:
        self.heads: dict[str, Head] = {}
        self.ready: dict[tuple[str, str], ScoredSet[StepKey]] = {}
        self.fair = FairQueues()
        self.due: ScoredSet[DueKey] = ScoredSet()
        self.schedules: set[str] = set()
        self._waiting: dict[str, dict[str, None]] = {}

    # -- ready sets --------------------------------------------------------------------------------------

    def queue(self, queue: str, component: str = "") -> ScoredSet[StepKey]:
        """Return the steps that wait in a queue, or those of a component that were set aside there."""
        return self.ready.setdefault((queue, component), ScoredSet())

    def waiting_in(self, queue: str) -> int:
        """Return how many steps wait in a queue, without those that were set aside."""
        return len(self.queue(queue)) + len(self.fair.of(queue))

    def aside(self, queue: str) -> list[str]:
        """Return the components for which steps of a queue are set aside."""
        return [
            component
            for (name, component), steps in self.ready.items()
            if name == queue and component and steps
        ]

    def claimable(self, run: str) -> list[str]:
        """Return the steps of a run that wait for a worker, in the order in which they came."""
        return list(self._claimable(run))

    def next_claimable(self, run: str) -> str | None:
        """Return the first of those steps, None for none."""
        return next(iter(self._claimable(run)), None)

    def is_claimable(self, run: str, step: str) -> bool:
        """Tell whether a step of a run waits for a worker."""
        return step in self._claimable(run)

    def _claimable(self, run: str) -> Mapping[str, None]:
        head = self.heads.get(run)
        if head is None or head.status not in CLAIMED_RUN:
            return {}
        return self._waiting.get(run, {})

    def _wait(self, key: StepKey, record: Record, now_ms: int) -> None:
        score = now_ms - PRIORITY_MS * record.priority
        if not record.key:
            self.queue(record.queue).add(key, score)
        else:
            self.fair.of(record.queue).add(record.key, key, score)
        self._waiting.setdefault(key[0], {})[key[1]] = None

    def unwait(self, key: StepKey, record: Record) -> None:
        """Take a step out of the ready sets."""
        self.queue(record.queue).discard(key)
        if record.component:
            self.queue(record.queue, record.component).discard(key)
        self.fair.of(record.queue).discard(record.key, key)
        self._waiting.get(key[0], {}).pop(key[1], None)

    def drop(self, key: StepKey, queue: str, component: str) -> None:
        """Take a step that nobody needs there out of one ready set."""
        self.queue(queue, component).discard(key)
        self._waiting.get(key[0], {}).pop(key[1], None)

    def set_aside(self, key: StepKey) -> None:
        """Leave a step to workers that have its component: others do not look at it again."""
        record = self.heads[key[0]].steps[key[1]]
        score = self.queue(record.queue).score(key)
        if record.key:
            score = self.fair.of(record.queue).discard(record.key, key)
        if score is not None:
            self.queue(record.queue).discard(key)
            self.queue(record.queue, record.component).add(key, score)

    # -- commits -----------------------------------------------------------------------------------------

    def is_guarded(self, run: str, guard: Guard, now_ms: int) -> bool:
        """Tell whether the lease of a guard has run out, and what it says is so."""
        record = self.heads[run].steps.get(guard.step)
        if record is None or record.fence != guard.fence:
            return False  # somebody else holds it by now
        if record.fence and record.expiry_ms > now_ms:
            return False  # its holder has shown signs of life since
        return not (guard.unbegun and record.begun)

    def lost(self, commit: Commit) -> list[str]:
        """Return the steps whose facts come from somebody who does not hold them."""
        steps = self.heads[commit.run].steps
        return [
            name
            for name, fence, _ in commit.facts
            if not fence or name not in steps or steps[name].fence != fence
        ]

    def take_facts(self, commit: Commit) -> None:
        """End the leases of the steps whose facts are stored; those that are final leave."""
        head = self.heads[commit.run]
        for step, _, final in commit.facts:
            record = head.steps[step]
            self.due.discard(DueKey(DueKind.LEASE, commit.run, step))
            if final:
                del head.steps[step]
                if DueKind.TOTAL in record.flags:
                    self.due.discard(DueKey(DueKind.TOTAL, commit.run, step))
            else:
                record.free()

    def overtaken(self, commit: Commit, now_ms: int) -> None:
        """Note that somebody has to decide on what is stored; what the ended steps held is to be given back."""
        self.due.add(DueKey(DueKind.DECISION, commit.run), now_ms + OVERTAKEN_MS)
        ended = {step for step, _, final in commit.facts if final}
        for kind, step, _, _ in commit.changes.timers:
            if kind is DueKind.GIVE_BACK and step in ended:
                self.due.add(DueKey(kind, commit.run, step), now_ms)

    def leave(self, commit: Commit) -> None:
        """Take out of the indexes what a commit ends: what comes in after that may have the same names."""
        run = commit.run
        changes = commit.changes
        head = self.heads[run]
        for step in changes.closed:
            record = head.steps.pop(step, None)
            if record is not None:
                self._close(run, step, record)
        for step in changes.suspended:
            record = head.steps.get(step)
            if record is not None:
                self.unwait((run, step), record)
        for kind, subject in changes.removed:
            self.due.discard(DueKey(kind, run, subject))
        if changes.settled:
            self.due.discard(DueKey(DueKind.DECISION, run))

    def _close(self, run: str, step: str, record: Record) -> None:
        self.due.discard(DueKey(DueKind.LEASE, run, step))
        for kind in record.flags:
            self.due.discard(DueKey(kind, run, step))
        if not record.fence:
            self.unwait((run, step), record)
            self.due.discard(DueKey(DueKind.RETRY, run, step))

    def requeue(self, run: str, step: RequeuedStep, now_ms: int) -> None:
        """Let a step be claimed again, whoever held it."""
        record = self.heads[run].steps[step.step]
        record.free()
        record.start_to_close_ms = step.start_to_close_ms
        record.component = step.component or record.component
        self.due.discard(DueKey(DueKind.LEASE, run, step.step))
        if step.schedule_to_start_ms > 0:
            at = now_ms + step.delay_ms + step.schedule_to_start_ms
            self.due.add(DueKey(DueKind.SCHEDULE_TO_START, run, step.step), at)
            record.flags |= {DueKind.SCHEDULE_TO_START}
        if step.delay_ms > 0:
            self.due.add(DueKey(DueKind.RETRY, run, step.step), now_ms + step.delay_ms)
        else:
            self._wait((run, step.step), record, now_ms)

    def admit(
        self,
        run: str,
        step: ReadyStep,
        version: int,
        now_ms: int,
        share: Share | None = None,
    ) -> Record:
        """Note a new step whose run had a version before this commit; it waits nowhere yet."""
        record = Record(
            queue=step.queue,
            priority=step.priority,
            attempt=step.attempt,
            scheduled_version=version + step.event_index,
            start_to_close_ms=step.start_to_close_ms,
            component=step.component,
        )
        record.take_share(share)
        if step.total_ms > 0:
            record.flags = frozenset({DueKind.TOTAL})
            self.due.add(DueKey(DueKind.TOTAL, run, step.step), now_ms + step.total_ms)
        self.heads[run].steps[step.step] = record
        return record

    def open(self, run: str, step: ReadyStep, now_ms: int) -> None:
        """Let a new step be claimed, after its delay."""
        record = self.heads[run].steps[step.step]
        if step.delay_ms > 0:
            self.due.add(DueKey(DueKind.RETRY, run, step.step), now_ms + step.delay_ms)
            return
        if step.schedule_to_start_ms > 0:
            record.flags |= {DueKind.SCHEDULE_TO_START}
            self.due.add(
                DueKey(DueKind.SCHEDULE_TO_START, run, step.step),
                now_ms + step.schedule_to_start_ms,
            )
        self._wait((run, step.step), record, now_ms)

    def restore(
        self, run: str, step: RestoredStep, now_ms: int, share: Share | None = None
    ) -> None:
        """Note a step as it was elsewhere."""
        record = Record(
            queue=step.queue,
            priority=step.priority,
            attempt=step.attempt,
            scheduled_version=step.scheduled_version,
            start_to_close_ms=step.start_to_close_ms,
            component=step.component,
            flags=frozenset(DueKind(flag) for flag in step.flags),
        )
        record.take_share(share)
        self.heads[run].steps[step.step] = record
        if step.ready:
            self._wait((run, step.step), record, now_ms)

    def enter(self, commit: Commit, now_ms: int) -> None:
        """Put into the indexes what a commit begins, beside its steps."""
        run = commit.run
        changes = commit.changes
        head = self.heads[run]
        for step in changes.resumed:
            record = head.steps.get(step)
            if record is None or record.fence:
                continue  # it has ended, or was held over the pause
            # One that waits for its retry comes into its queue when that is over, not before.
            if DueKey(DueKind.RETRY, run, step) not in self.due:
                self._wait((run, step), record, now_ms)
        for kind, subject, delay_ms, at_ms in changes.timers:
            self.due.add(DueKey(kind, run, subject), at_ms or now_ms + delay_ms)
        head.status = changes.status or head.status
        head.cancel = head.cancel if changes.cancel is None else changes.cancel
        head.held = head.held if changes.held is None else changes.held
        head.definition = commit.definition or head.definition
        head.workflow = commit.workflow or head.workflow
        head.wrapped_key = commit.wrapped_key or head.wrapped_key

    # -- leases ------------------------------------------------------------------------------------------

    def lease(
        self, run: str, step: str, worker: str, lease_ms: int, now_ms: int
    ) -> Lease:
        """Have a worker hold a step, under a new fence; it has not begun until it says so."""
        head = self.heads[run]
        record = head.steps[step]
        self.unwait((run, step), record)
        if DueKind.SCHEDULE_TO_START in record.flags:
            self.due.discard(DueKey(DueKind.SCHEDULE_TO_START, run, step))
            record.flags -= {DueKind.SCHEDULE_TO_START}
        record.attempt += 1
        record.fence = head.next_fence(now_ms)
        record.worker = worker
        record.begun = False
        record.deadline_ms = 0
        if record.start_to_close_ms:
            record.deadline_ms = now_ms + record.start_to_close_ms
        self.extend(run, step, lease_ms, now_ms)
        return Lease(
            run=run,
            step=step,
            fence=record.fence,
            attempt=record.attempt,
            deadline_ms=record.deadline_ms,
        )

    def extend(self, run: str, step: str, lease_ms: int, now_ms: int) -> None:
        """Let a lease last longer, though never over the end of its attempt."""
        record = self.heads[run].steps[step]
        record.expiry_ms = now_ms + lease_ms
        if record.deadline_ms:
            record.expiry_ms = min(record.expiry_ms, record.deadline_ms)
        self.due.add(DueKey(DueKind.LEASE, run, step), record.expiry_ms)

    def hold(self, lease: Lease, lease_ms: int, now_ms: int, *, begin: bool) -> int:
        """Extend a lease for its holder: 1 held, 2 held and the run is asked to cancel, 0 lost."""
        head = self.heads.get(lease.run)
        record = head.steps.get(lease.step) if head is not None else None
        if head is None or record is None or record.fence != lease.fence:
            return 0
        record.begun = record.begun or begin
        self.extend(lease.run, lease.step, lease_ms, now_ms)
        undoes = (
            "~" in lease.step
        )  # a compensation, which goes on when its run is cancelled
        return 2 if head.cancel and not undoes else 1

    # -- what is due -------------------------------------------------------------------------------------

    def due_until(self, now_ms: int, at_most: int) -> list[DueKey]:
        """Return what is due, the oldest first."""
        due = takewhile(lambda member: member[1] <= now_ms, self.due)
        oldest_first = sorted((at, key) for key, at in due)
        return [key for _, key in oldest_first[:at_most]]

    def hand_out(
        self, key: DueKey, push_ms: int, now_ms: int, refill: Callable[[str], Any]
    ) -> DueMember | None:
        """Return a due member for somebody to act on, pushed forward; None where the index can act by itself.

        What no run needs any more goes. `refill` is told the queue into which a retry whose wait is over comes.
        """
        if not (key.kind in OF_RECORDS and key.subject):
            return self._of_run(key, push_ms, now_ms)
        head = self.heads.get(key.run)
        record = head.steps.get(key.subject) if head is not None else None
        if head is None or record is None or _is_unfit(key.kind, record):
            self.due.discard(key)
            return None
        if key.kind is DueKind.RETRY:
            self.due.discard(key)
            if head.status in CLAIMED_RUN:
                self._wait((key.run, key.subject), record, now_ms)
                refill(record.queue)
            return None
        kind = key.kind
        if kind is DueKind.LEASE:
            if record.expiry_ms > now_ms:  # a heartbeat came since
                self.due.add(key, record.expiry_ms)
                return None
            if 0 < record.deadline_ms <= now_ms:
                kind = DueKind.START_TO_CLOSE
        # Pushed and not removed: only the commit that acts on it takes it away, so who crashes before loses nothing.
        self.due.add(key, now_ms + push_ms)
        return DueMember(
            kind=kind, key=key, fence=record.fence, member=key.key(), begun=record.begun
        )

    def _of_run(self, key: DueKey, push_ms: int, now_ms: int) -> DueMember | None:
        owners = self.schedules if key.kind is DueKind.SCHEDULE else self.heads
        if key.run not in owners:
            self.due.discard(key)
            return None
        pushes = 2 if key.kind is DueKind.CHILD else 1
        self.due.add(key, now_ms + push_ms * pushes)
        return DueMember(kind=key.kind, key=key, fence="", member=key.key())

    def report(self, queues: Iterable[str], now_ms: int) -> tuple[ReadyQueue, ...]:
        """Return what waits in queues, and how old the oldest of it is."""
        return tuple(self._waiting_in(queue, now_ms) for queue in queues)

    def _waiting_in(self, queue: str, now_ms: int) -> ReadyQueue:
        scores = [score for _, score in islice(self.queue(queue), 1)]
        scores += self.fair.of(queue).oldest()
        age_ms = now_ms - min(scores) if scores else -1
        components = self.aside(queue)
        aside = {name: len(self.queue(queue, name)) for name in components}
        return ReadyQueue(queue, self.waiting_in(queue), age_ms, aside)

    def next_ms(self, now_ms: int) -> int:
        """Return the ms until the next member is due, -1 when nothing waits."""
        first = next(iter(self.due), None)
        if first:
            return max(0, first[1] - now_ms)
        return -1


def _is_unfit(kind: DueKind, record: Record) -> bool:
    """Tell whether a due member is out of date: a lease of a step that nobody holds, a retry of one that is held."""
    is_held = bool(record.fence)
    if kind is DueKind.LEASE:
        return not is_held
    return kind is DueKind.RETRY and is_held
