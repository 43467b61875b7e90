"""A worker process: relay, heartbeat and lanes around drains; Celery or an embedding program tells it when to drain."""

from __future__ import annotations

import itertools
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from eventstore.errors import EventStoreError
from eventstore.redis.driver.outages import level_of
from executor.attempts.execution import STOPPING, Execution
from executor.attempts.jobs import ONCE, Finished, Job
from executor.attempts.leases import Overdue
from executor.attempts.log_fields import named
from executor.worker.async_worker import AsyncLane
from executor.worker.drain import Drain
from executor.worker.instances import Agents, InstanceService
from executor.worker.limited import LimitedSteps
from executor.worker.relay import Relay
from executor.worker.runtime import DrainSettings, Runtime
from openagents_json.errors import OpenAgentsError
from openagents_json.workflow.core import commands as cmd

log = logging.getLogger(__name__)

SHORT_TURN_MS = 1000
SHORT_LINGER_MS = 100
"""The turn of a drain that shares its one slot with those of other queues."""

AGAIN_SECONDS = 0.2
"""How soon a thread that was told to take nothing looks whether it may."""

STOP_SECONDS = 2.0
"""How long components get to stop when they are told to."""


class Service(Protocol):
    """Something with threads of its own."""

    def start(self) -> None:
        """Begin."""
        ...

    def stop(self) -> None:
        """End."""
        ...


class Worker:
    """The parts of one process; `start` begins the background, `drain` works on the calling thread."""

    def __init__(
        self,
        runtime: Runtime,
        execution: Execution,
        relay: Relay,
        services: Sequence[Service],
        components: Components,
        announce: Callable[[Sequence[dict[str, Any]]], None],
    ) -> None:
        self.runtime = runtime
        self._execution = execution
        self._relay = relay
        self._services = services
        self._components = components
        self._announce = announce
        self._pid = os.getpid()
        self.stopping = threading.Event()
        self._pause = threading.Event()
        self._hurry = threading.Event()
        self._numbers = itertools.count(1)
        self._lanes: list[AsyncLane] = []
        self._threads: list[threading.Thread] = []
        self._drains: dict[str, str] = {}
        self._instances = InstanceService(components.agents, self._say_instances)
        self.limited: LimitedSteps | None = None
        self.kill_stuck: Callable[[Job], None] | None = None

    @property
    def name(self) -> str:
        """Return the id of this process."""
        return self.runtime.worker

    def start(self, *, lanes: bool = True, relay: bool = True) -> None:
        """Announce the components, join the members, begin to beat and to relay, and open the asynchronous lanes."""
        self._announce(list(self._components.published().values()))
        # The first of the services greets the store: where that is away, nothing is left that runs, and a start that is
        # tried again begins each thread once.
        for service in self._services if relay else ():
            service.start()
        self.runtime.keeper.when_overdue(Overdue(self._late, self._stuck))
        self.runtime.keeper.start()
        self._instances.start()
        if relay:
            self._relay.start()
        self._background = relay
        for queue in self.runtime.settings.queues if lanes else ():
            lane = AsyncLane(
                self.runtime,
                self._execution,
                f"{queue}.async",
                self._next(),
                self.runtime.settings.async_limit,
            )
            lane.start()
            self._lanes.append(lane)

    def _late(self, job: Job, kind: str, limit_ms: int) -> None:
        """Record that a component is late; the keeper calls this while the component may still run."""
        lease, used = job.lease, self.runtime.keeper.usage(job.lease)
        outcome = cmd.Expired(lease.step, lease.attempt, kind, limit_ms, used)
        self._record([Finished(job, outcome)])

    def _record(self, items: Sequence[Finished]) -> None:
        """Record what became of steps that run yet; what they have used is kept, too, where that comes too late."""
        recorded = self.runtime.recorder(self._next(), patient=False).record(items)
        spent = [item for item in recorded.refused if item.outcome.usage]
        self.runtime.ignored(spent)

    def _stuck(self, job: Job) -> None:
        lease = job.lease
        log.warning(
            "run %s: step %s, attempt %d, does not stop",
            lease.run,
            lease.step,
            lease.attempt,
            extra=named(lease),
        )
        if self.kill_stuck is not None:
            self.kill_stuck(job)

    def limit_memory(self, end: Callable[[], None]) -> None:
        """Hold memory limits from here on: one step runs at a time, and `end` has to end the process at once."""
        self.limited = LimitedSteps(
            self.runtime, self._execution, self._next(), end, self.stopping
        )

    def _say_instances(self, statistics: Mapping[str, Any]) -> None:
        self.runtime.directory.put_instances(self.name, statistics)

    def run_threads(self) -> None:
        """Drain on threads of this process until stopped: how an embedding program works without Celery."""
        for queue in self.runtime.settings.queues:
            for _ in range(self.runtime.settings.slots_of(queue)):
                thread = threading.Thread(
                    target=self._drain_forever,
                    args=(queue,),
                    name=f"openagents-drain-{queue}",
                )
                thread.daemon = True
                thread.start()
                self._threads.append(thread)

    def drain(self, queue: str, forever: bool = False) -> int:
        """Drain a queue on the calling thread; gives the number of steps that it ran."""
        settings = self.runtime.settings
        name = self._next()
        drain = DrainSettings(
            queue, *self._turn(), settings.prefetch_of(queue), forever
        )
        execute = self._execution.run if self.limited is None else self.limited.run
        with self.runtime.orders.slot(queue, self.stopping) as stop:
            if stop is None:
                return 0
            self._drains[name] = queue
            try:
                return Drain(self.runtime, drain, name, execute).run(stop)
            finally:
                self._drains.pop(name, None)

    def _turn(self) -> tuple[int, int]:
        """Return how long a drain goes on, and how long it lingers; shorter where it keeps other queues waiting."""
        settings = self.runtime.settings
        if self.limited is None:
            return settings.budget_ms, settings.linger_ms
        return min(settings.budget_ms, SHORT_TURN_MS), min(
            settings.linger_ms, SHORT_LINGER_MS
        )

    def _drain_forever(self, queue: str) -> None:
        while not self.stopping.is_set():
            try:
                self.drain(queue, True)
                # It has ended although it goes on for ever: it was told to take nothing, and looks again then.
                self.stopping.wait(AGAIN_SECONDS)
            except OpenAgentsError as error:
                if self.stopping.is_set():
                    return
                level = level_of(error)
                log.log(level, "draining %s is interrupted: %s", queue, error)
                self.stopping.wait(0.3)
            except Exception:
                # A defect met in one run must not end the work on all others.
                log.exception("draining %s met a defect of the engine", queue)
                self.stopping.wait(1.0)

    def wind_down(self, grace_seconds: float) -> int:
        """Take nothing more, let what runs finish, then tell it to stop and give it back; gives how many did not stop.

        What may not be started twice is not given back: it ends by itself, or with its lease.
        """
        self.stopping.set()
        for lane in self._lanes:
            lane.close()
        # Before anything is given back: who sleeps here would be woken with it.
        self._take_down()
        self._until_idle(grace_seconds, hurries=True)
        keeper = self.runtime.keeper
        keeper.tell(keeper.jobs(), STOPPING)
        self._until_idle(STOP_SECONDS)
        left = keeper.jobs()
        self._give_back([job for job in left if job.step.effect != ONCE])
        self.runtime.closing.set()
        return len(left)

    def hurry(self) -> None:
        """Return what runs no more time to finish by itself."""
        self._hurry.set()

    def _until_idle(self, seconds: float, *, hurries: bool = False) -> None:
        clock = self.runtime.clock
        ends = clock.steady_ms() + seconds * 1000
        while (
            self.runtime.keeper.jobs()
            and clock.steady_ms() < ends
            and not (hurries and self._hurry.is_set())
        ):
            self._pause.wait(0.02)

    def _give_back(self, jobs: Sequence[Job]) -> None:
        self._record([Finished(job, self._stopped(job)) for job in jobs])
        for job in jobs:
            self.runtime.keeper.drop(job.lease)

    def _listeners(self) -> list[tuple[str, str]]:
        """Return the queues and names of threads that may be listening."""
        drains = [(queue, name) for name, queue in list(self._drains.items())]
        return [*drains, *(lane.place for lane in self._lanes)]

    def _take_down(self) -> None:
        """Say of threads that may be listening that no work is for them."""
        with suppress(EventStoreError):
            for queue, name in self._listeners():
                self.runtime.ringer.busy(queue, name)

    def _stopped(self, job: Job) -> cmd.Outcome:
        """Return the outcome of a step that is given up; what it has used until now has been spent."""
        lease, used = job.lease, self.runtime.keeper.usage(job.lease)
        return cmd.Released(lease.step, lease.attempt, STOPPING, used)

    def _leave(self) -> None:
        """End for threads that may still be listening, so that nobody counts on them."""
        for queue, name in self._listeners():
            try:
                partitions = self.runtime.ringer.bell.leave(queue, name)
                if partitions:
                    self.runtime.ringer.announce(queue, partitions)
            except EventStoreError as error:
                level = level_of(error)
                log.log(level, "nobody was told that %s ends: %s", name, error)

    def stop(self, grace_seconds: float = 10.0) -> None:
        """End: wind down, and leave; threads and leases are those of the process that began, not of its children."""
        if self._pid != os.getpid():
            return
        self.wind_down(grace_seconds)
        ends = (
            self.runtime.clock.steady_ms() + 200
        )  # those that listen find out later; a claim under way comes to its end
        for thread in self._threads:
            thread.join(max(0.0, ends - self.runtime.clock.steady_ms()) / 1000)
        for lane in self._lanes:
            lane.stop()
        if self.limited is not None:
            self.limited.close()
        self._instances.stop()
        self._leave()
        if self._background:
            self._relay.stop()
            for service in reversed(self._services):
                service.stop()
        self.runtime.ringer.doorbell.close()
        self.runtime.watchdog.stop()
        self.runtime.keeper.stop()
        self._components.close()

    _background = False

    def _next(self) -> str:
        return f"{self.name}/{next(self._numbers)}"


class Components(Protocol):
    """What a worker needs of the catalog beside running it."""

    @property
    def agents(self) -> Agents:
        """Return the instances of its agents."""
        ...

    def published(self) -> dict[str, dict[str, Any]]:
        """Return the specs that others may bind to, as JSON by "name@version"."""
        ...

    def close(self) -> None:
        """Close what idles."""
        ...
