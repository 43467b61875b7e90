"""The relay: acts on what time has brought, and rings again for ready steps that nobody takes.

Any number of relays may run; each takes the partitions that are its own by rendezvous hashing among the live
processes, and overlap is harmless, because what they do are ordinary guarded commits.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from eventstore.redis.driver.outages import level_of
from eventstore.run_model import DueMember, DueReply, Guard
from eventstore.runs import RunStore
from executor.clock import Clock
from executor.coordination.children import Children
from executor.coordination.concurrency import ConcurrencyLimiter
from executor.coordination.schedules import ScheduleService
from executor.errors import RunNotFound
from executor.runs.bulk import GuardedCommand, carry_out
from executor.runs.handler import Handler
from executor.worker.backlog import Backlog
from executor.worker.membership import Members
from openagents_json.errors import OpenAgentsError
from openagents_json.work_index import DueKind, timer_of
from openagents_json.workflow.core import commands as cmd

log = logging.getLogger(__name__)

TICK_MS = 500
AT_ONCE = 128
"""How many due members are taken at a time: what becomes due meanwhile waits for no more than these."""

BATCH = 32
"""How many runs are loaded and committed in one round trip."""

SLICE_MS = 100.0
"""How long the relay works on what concerns more than one run before it looks again at what is due."""

STALE_MS = 400
"""A ready step of this age was overlooked: its hint or its doorbell is lost."""


def owned(partitions: int, me: str, members: Sequence[str]) -> list[int]:
    """Return the partitions of a member by rendezvous hashing (Thaler and Ravishankar, 1998)."""
    everyone = sorted({*members, me})

    def weight(member: str, partition: int) -> bytes:
        return hashlib.blake2b(f"{member}/{partition}".encode(), digest_size=8).digest()

    return [
        p for p in range(partitions) if max(everyone, key=lambda m: weight(m, p)) == me
    ]


@dataclass(frozen=True, slots=True)
class CrossRunServices:
    """Who looks after what concerns more than one run."""

    children: Children
    gatekeeper: ConcurrencyLimiter
    timetable: ScheduleService


class Relay:
    """One thread that moves what is due."""

    def __init__(
        self,
        store: RunStore,
        handler: Handler,
        clock: Clock,
        worker: str,
        members: Members,
        across: CrossRunServices,
    ) -> None:
        self._store = store
        self._handler = handler
        self._clock = clock
        self._worker = worker
        self._children = across.children
        self._gatekeeper = across.gatekeeper
        self._timetable = across.timetable
        self._members = members
        self._nobody: set[tuple[str, str]] = set()
        self._stop = threading.Event()
        self._poke = threading.Event()
        self._soon: dict[int, float] = {}
        self._busy: set[int] = set()
        self._backlog = Backlog()
        self._actor = f"relay:{worker}"
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(
            target=self._loop, name="openagents-relay", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End; what is due stays due."""
        self._stop.set()
        self._poke.set()
        if self._thread is not None:
            self._thread.join()

    def expect(self, run: str, delay_ms: int) -> None:
        """Hear that something will be due soon, so as to be there in time; a forked child has nobody who would be."""
        if delay_ms < TICK_MS and self._pid == os.getpid():
            with self._lock:
                partition = self._store.partition_of(run)
                at = self._clock.steady_ms() + delay_ms + 1
                self._soon[partition] = min(at, self._soon.get(partition, at))
            self._poke.set()

    def _loop(self) -> None:
        next_tick = 0.0
        while not self._stop.is_set():
            now = self._clock.steady_ms()
            with self._lock:
                wake = min([next_tick, *self._soon.values()])
            if wake > now:
                self._poke.wait((wake - now) / 1000)
                self._poke.clear()
                continue
            partitions = self._taken(now)
            if next_tick <= now:
                partitions |= set(self._mine())
            soonest = self._safe_tick(sorted(partitions))
            if next_tick <= now:
                next_tick = self._clock.steady_ms() + max(1.0, soonest)
            elif not soonest:  # there is more to do at once
                next_tick = now

    def _taken(self, now: float) -> set[int]:
        with self._lock:
            taken = {partition for partition, at in self._soon.items() if at <= now}
            for partition in taken:
                del self._soon[partition]
        return taken

    def _safe_tick(self, partitions: Sequence[int]) -> float:
        try:
            return self.tick(partitions)
        except OpenAgentsError as error:
            level = level_of(error)
            log.log(level, "the relay could not look at what is due: %s", error)
            return TICK_MS
        except Exception:
            # Without a relay, nothing of this process's partitions would ever be due.
            log.exception("the relay met a defect of the engine")
            return TICK_MS

    def tick(self, partitions: Sequence[int]) -> float:
        """Act on some of what is due now; gives the ms until there is more to do, at most a tick."""
        soonest = float(TICK_MS)
        ready: dict[str, list[int]] = {}
        aside: dict[str, list[int]] = {}
        members: list[DueMember] = []
        for reply in self._due(partitions):
            for queue in self._set_aside(reply):
                aside.setdefault(queue, []).append(reply.partition)
            for queue in self._waiting(reply):
                ready.setdefault(queue, []).append(reply.partition)
            members += reply.members
            if reply.next_ms >= 0:
                soonest = min(soonest, reply.next_ms)
        for (
            queue,
            where,
        ) in ready.items():  # work that is there is told of before more of it is made
            self._handler.ringer.announce(queue, where)
        for queue, where in aside.items():
            self._handler.ringer.for_others(queue, where)
        for member in self._together(members):
            self._backlog.add(member)
        self._work_off()
        return 0.0 if self._backlog else soonest

    def _due(self, partitions: Sequence[int]) -> list[DueReply]:
        """Take what is due, most of it where there was more to do the last time."""
        busy = [partition for partition in partitions if partition in self._busy]
        calm = [partition for partition in partitions if partition not in self._busy]
        replies = self._store.due(
            calm,
            self._members.queues(),
            at_most=max(4, AT_ONCE // max(1, len(partitions))),
        )
        replies += self._store.due(
            busy, self._members.queues(), at_most=max(4, AT_ONCE // max(1, len(busy)))
        )
        self._busy.difference_update(partitions)
        self._busy.update(reply.partition for reply in replies if reply.next_ms == 0)
        return replies

    def _together(self, members: Sequence[DueMember]) -> list[DueMember]:
        """Act on those that concern one run each, many runs at a time; gives the others."""
        orders: dict[str, tuple[GuardedCommand, DueMember]] = {}
        left = []
        for member in members:
            order = _order(member)
            if order is None or member.run in orders:
                left.append(member)
            else:
                orders[member.run] = (order, member)
        chosen = list(orders.values())
        for first in range(0, len(chosen), BATCH):
            part = chosen[first : first + BATCH]
            again = carry_out(
                self._handler, [order for order, _ in part], actor=self._actor
            )
            left += [orders[order.run][1] for order in again]
        return left

    def _work_off(self) -> None:
        """Act on the backlog for a while: what takes long goes on after the next look at what is due."""
        ends = self._clock.steady_ms() + SLICE_MS
        while self._backlog and not self._stop.is_set():
            self._act(self._backlog.take())
            if self._clock.steady_ms() > ends:
                return

    def _waiting(self, reply: DueReply) -> set[str]:
        return {
            *reply.refilled,
            *(
                ready.queue
                for ready in reply.ready
                if ready.count and ready.age_ms > STALE_MS
            ),
        }

    def _set_aside(self, reply: DueReply) -> set[str]:
        """Return the queues with steps set aside that somebody alive can run; tell of those that nobody can."""
        queues = set()
        for queue, component, steps in [
            (x.queue, c, n) for x in reply.ready for c, n in x.aside.items()
        ]:
            if self._members.fleet.can(queue, component):
                queues.add(queue)
                self._nobody.discard((queue, component))
            elif (queue, component) not in self._nobody:
                self._nobody.add((queue, component))
                log.warning(
                    "steps wait for the component %s in queue %s, %d of them in partition %d: no live worker has it; "
                    "start one that has it",
                    *(component, queue, steps, reply.partition),
                )
        return queues

    def _mine(self) -> list[int]:
        members = self._members.able()
        if members:
            return owned(self._store.partitions, self._worker, members)
        return []

    def _act(self, member: DueMember) -> None:
        try:
            self._decide(member)
        except (RunNotFound, cmd.Rejected):
            return
        except OpenAgentsError as error:
            log.log(
                level_of(error),
                "run %s: %s could not be acted on: %s",
                member.run,
                member.member,
                error,
            )
        except Exception:
            # A defect met in one run must not keep what is due from all others.
            log.exception(
                "run %s: acting on %s met a defect of the engine",
                member.run,
                member.member,
            )

    def _decide(self, member: DueMember) -> None:
        order = _order(member)
        if order is None:
            self._across(member, self._actor)
            return
        self._handler.handle(
            order.run,
            order.command,
            actor=self._actor,
            guard=order.guard,
            settle=order.settle,
            drop=order.drop,
        )

    def _across(self, member: DueMember, actor: str) -> None:
        """Act on what concerns more than one run."""
        match member.kind:
            case DueKind.CHILD:
                self._children.look_after(member.run, member.step, actor=actor)
            case DueKind.CANCEL_CHILD:
                self._children.cancel(member.run, member.step, actor=actor)
            case DueKind.PARENT:
                self._children.tell_parent(member.run, actor=actor)
            case DueKind.GATES:
                self._gatekeeper.let_in(member.run, member.step, actor=actor)
            case DueKind.GIVE_BACK:
                self._gatekeeper.give_back(member.run, member.step, actor=actor)
            case DueKind.SCHEDULE:
                self._timetable.fire(member.run, actor=actor)
            case DueKind.SIGNAL:  # only a signal wakes it
                pass
            case _:
                log.error(
                    "run %s: due member %s is of a kind that this version does not know",
                    member.run,
                    member.member,
                )


def _order(member: DueMember) -> GuardedCommand | None:
    """Return the command to the run of a due member, None when it concerns more than that run."""
    run = member.run
    step = member.step
    match member.kind:
        case DueKind.LEASE:
            guard = Guard(step, member.fence, unbegun=not member.begun)
            return GuardedCommand(
                run, cmd.LoseLease(step, member.fence, member.begun), guard
            )
        case DueKind.START_TO_CLOSE:
            return GuardedCommand(
                run,
                cmd.TimeOutStep(step, "start_to_close", member.fence),
                Guard(step, member.fence),
            )
        case DueKind.SCHEDULE_TO_START:
            return GuardedCommand(run, cmd.TimeOutStep(step, "schedule_to_start"))
        case DueKind.TOTAL:
            return GuardedCommand(run, cmd.TimeOutStep(step, "total"))
        case DueKind.RUN_LIMIT:
            return GuardedCommand(run, cmd.TimeOutRun())
        case DueKind.CANCEL_GRACE:
            return GuardedCommand(run, cmd.CancelRun(force=True))
        case DueKind.DECISION:
            return GuardedCommand(run, cmd.Advance(), settle=True)
        case DueKind.TIMER:
            path, number = timer_of(step)
            return GuardedCommand(run, cmd.FireTimer(path, number), drop=(member.key,))
        case _:
            return None
