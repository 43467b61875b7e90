"""What the parts of a worker process share: built once by the composition root, passed to all of them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from eventstore.errors import EventStoreError
from eventstore.redis.coordination.members import Directory
from eventstore.run_model import (
    ANY_PARTITION,
    Claimed,
    ClaimReply,
    ClaimRequest,
    Heard,
)
from eventstore.runs import RunStore
from executor.attempts.durations import DurationAverages
from executor.attempts.jobs import Finished, Job, jobs_of
from executor.attempts.leases import LeaseKeeper
from executor.attempts.log_fields import named
from executor.attempts.patience import Patience, impatience
from executor.attempts.recorder import Recorder
from executor.attempts.step_limits import UNLIMITED, LimitsOfTypes
from executor.clock import Clock
from executor.runs.handler import Handler
from executor.runs.repository import SessionCache
from executor.runs.turns import Turns
from executor.wakeup import Waker
from executor.worker.abilities import Abilities, type_of
from executor.worker.orders import OrderBook
from executor.worker.watchdog import Watchdog
from openagents_json.workflow.component_spec import USUAL_TYPES
from openagents_json.workflow.core import commands as cmd

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkSettings:
    """How a process works: `concurrency` is how many steps run at a time, `lease_ms` how long it may be silent.

    `leases` say that for types of workers for which it is another time, and `prefetches` how many steps a slot takes at
    a time at most, for those for which that is not `batch`. `limits` are what steps may take.
    """

    queues: tuple[str, ...] = USUAL_TYPES
    concurrency: int = 4
    lease_ms: int = 10_000
    async_limit: int = 1000
    batch: int = 128
    budget_ms: int = 10_000
    linger_ms: int = 1_000
    leases: Mapping[str, int] = field(default_factory=dict)
    prefetches: Mapping[str, int] = field(default_factory=dict)
    slots: Mapping[str, int] = field(default_factory=dict)
    limits: LimitsOfTypes = UNLIMITED

    @property
    def limits_memory(self) -> bool:
        """Tell whether a step may have to be ended with its process: then that runs one at a time."""
        return bool(self.limits.smallest_memory_mb)

    def prefetch_of(self, queue: str) -> int:
        """Return how many steps of a ready queue a slot takes at a time at most."""
        return (
            1 if self.limits_memory else self.prefetches.get(type_of(queue), self.batch)
        )

    def slots_of(self, queue: str) -> int:
        """Return how many steps of a ready queue run at a time, where each queue has slots of its own."""
        return self.slots.get(type_of(queue), self.concurrency)

    def lease_of(self, queue: str) -> int:
        """Return how long whoever runs a step of a ready queue may be silent, in ms."""
        return self.leases.get(type_of(queue), self.lease_ms)

    @property
    def shortest_lease_ms(self) -> int:
        """Return the shortest lease that this process holds."""
        return min(map(self.lease_of, self.queues), default=self.lease_ms)


@dataclass(frozen=True, slots=True)
class DrainSettings:
    """How a drain works, as its worker says it.

    `budget_ms` 0 means until stopped; `linger_ms` is how long an idle drain waits before it ends.
    """

    queue: str
    budget_ms: int = 10_000
    linger_ms: int = 1_000
    batch: int = 32
    forever: bool = False

    @property
    def takes_one(self) -> bool:
        """Tell whether no step may wait behind another.

        Then what is claimed with an outcome would be all that a drain ever sees: when it is time to look up, it claims
        what is first in line instead.
        """
        return self.batch == 1


@dataclass(frozen=True, slots=True)
class Runtime:
    """The shared parts of a worker process."""

    worker: str
    store: RunStore
    sessions: SessionCache
    handler: Handler
    ringer: Waker
    directory: Directory
    keeper: LeaseKeeper
    watchdog: Watchdog
    pace: DurationAverages
    clock: Clock
    settings: WorkSettings
    abilities: Abilities
    on_wait: Callable[[str, int], None]
    orders: OrderBook
    closing: threading.Event = field(default_factory=threading.Event)
    """Set when this process ends: from then on nobody waits for a store that is away."""

    def recorder(self, name: str, *, patient: bool = True) -> Recorder:
        """Return a recorder for one drain; its name tells its claims from those of other drains."""
        patience = Patience(self.closing) if patient else impatience()
        lease_of = self.settings.lease_of
        can = self.abilities.can
        hold = self.keeper.hold
        # Who may not wait, such as a heartbeat, has turns of its own.
        turns = self.handler.turns if patient else Turns()
        return Recorder(
            self.handler, name, lease_of, self.on_wait, can, hold, patience, turns
        )

    def claim(
        self, queue: str, partitions: Sequence[int], each: int, name: str
    ) -> list[ClaimReply]:
        """Take up to so many steps of a queue in each of some partitions, for a drain."""
        ids = self.handler.commit_id
        having = self.abilities.having
        requests = [
            ClaimRequest(
                partition,
                queue,
                each,
                ids(),
                having,
                self.abilities.introduction(partition),
            )
            for partition in partitions
        ]
        return self.store.claim(
            requests, worker=name, lease_ms=self.settings.lease_of(queue)
        )

    def listen(self, queue: str, at_most: int, name: str, block_ms: int) -> Heard:
        """Sleep until there is work for a queue, and take up to so many steps with the wake-up, for a drain."""
        request = ClaimRequest(
            ANY_PARTITION,
            queue,
            at_most,
            self.handler.commit_id(),
            self.abilities.having,
            self.abilities.introduction_anywhere(),
        )
        lease_ms = self.settings.lease_of(queue)
        heard = self.store.listen(
            request, worker=name, lease_ms=lease_ms, block_ms=block_ms
        )
        if heard.reply is not None:
            self.abilities.introduced(heard.reply.partition)
        return heard

    def jobs(self, queue: str, claimed: Sequence[Claimed]) -> list[Job]:
        """Return the jobs of claims, for which their histories may have to be read; that is tried as long as they last.

        Raises EventStoreError; then the claims run out.
        """
        patience = Patience(self.closing)
        ends = self.clock.steady_ms() + self.settings.lease_of(queue)
        while True:
            try:
                return jobs_of(self.sessions, claimed, self.handler.turns)
            except EventStoreError:
                if self.clock.steady_ms() > ends or not patience.lasts():
                    raise

    def leave_to_others(self, queue: str, replies: Sequence[ClaimReply]) -> None:
        """Say what this process can run where a claim asked, and tell others of what it has set aside.

        What cannot be said for now is asked again by the next claim, and the relay looks after what was set aside.
        """
        aside = [reply.partition for reply in replies if reply.aside]
        with suppress(EventStoreError):
            self.abilities.answer(replies)
            if aside:
                self.ringer.for_others(queue, aside)

    def ignored(self, refused: Sequence[Finished]) -> None:
        """Keep on record that outcomes came too late; that this may fail harms nobody."""
        for item in refused:
            lease = item.job.lease
            kind = type(item.outcome).__name__
            used = item.outcome.usage
            if isinstance(item.outcome, cmd.Released) and not used:
                continue
            log.warning(
                "run %s: %s of step %s, attempt %d, came too late",
                lease.run,
                kind,
                lease.step,
                lease.attempt,
                extra=named(lease),
            )
            note = cmd.NoteIgnored(lease.step, lease.attempt, self.worker, kind, used)
            try:
                self.handler.handle(lease.run, note, actor=self.worker)
            except Exception as error:
                log.info("run %s: that could not be noted: %s", lease.run, error)
