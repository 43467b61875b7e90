"""A worker process: relay, heartbeat and lanes around drains; Celery or an embedding program tells it when to drain."""

from __future__ import annotations

import itertools
import logging
import os
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from eventstore.errors import EventStoreError
from executor.attempts.execution import STOPPING, Execution
from executor.attempts.jobs import ONCE, Finished, Job
from executor.attempts.leases import Overdue
from executor.worker.async_worker import AsyncLane
from executor.worker.drain import Drain, DrainSettings
from executor.worker.relay import Relay
from executor.worker.runtime import Runtime
from openagents_json.errors import OpenAgentsError
from openagents_json.workflow.core import commands as cmd

log = logging.getLogger(__name__)

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
    ) -> None:
        self.runtime = runtime
        self._execution = execution
        self._relay = relay
        self._services = services
        self._components = components
        self._pid = os.getpid()
        self.stopping = threading.Event()
        self._pause = threading.Event()
        self._hurry = threading.Event()
        self._numbers = itertools.count(1)
        self._lanes: list[AsyncLane] = []
        self._threads: list[threading.Thread] = []
        self._drains: dict[str, str] = {}
        self.kill_stuck: Callable[[Job], None] | None = None

    @property
    def name(self) -> str:
        """Return the id of this process."""
        return self.runtime.worker

    def start(self, *, lanes: bool = True, relay: bool = True) -> None:
        """Publish the components, join the members, begin to beat and to relay, and open the asynchronous lanes."""
        self.runtime.directory.publish(self._components.published())
        self.runtime.keeper.when_overdue(Overdue(self._silent, self._stuck))
        self.runtime.keeper.start()
        if relay:
            for service in self._services:
                service.start()
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

    def _silent(self, job: Job, limit_ms: int) -> None:
        """Record that a component gave no heartbeat; the keeper calls this while the component may still run."""
        outcome = cmd.Expired(job.lease.step, job.lease.attempt, "heartbeat", limit_ms)
        self.runtime.recorder(self._next(), patient=False).record(
            [Finished(job, outcome)]
        )

    def _stuck(self, job: Job) -> None:
        lease = job.lease
        log.warning(
            "run %s: step %s, attempt %d, does not stop",
            lease.run,
            lease.step,
            lease.attempt,
        )
        if self.kill_stuck is not None:
            self.kill_stuck(job)

    def run_threads(self) -> None:
        """Drain on threads of this process until stopped: how an embedding program works without Celery."""
        for queue in self.runtime.settings.queues:
            for _ in range(self.runtime.settings.concurrency):
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
            queue, settings.budget_ms, settings.linger_ms, settings.batch, forever
        )
        self._drains[name] = queue
        try:
            return Drain(self.runtime, drain, name, self._execution.run).run(
                self.stopping
            )
        finally:
            self._drains.pop(name, None)

    def _drain_forever(self, queue: str) -> None:
        while not self.stopping.is_set():
            try:
                self.drain(queue, True)
            except OpenAgentsError as error:
                if self.stopping.is_set():
                    return
                log.warning("draining %s is interrupted: %s", queue, error)
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
        released = [
            Finished(job, cmd.Released(job.lease.step, job.lease.attempt, STOPPING))
            for job in jobs
        ]
        self.runtime.recorder(self._next(), patient=False).record(released)
        for job in jobs:
            self.runtime.keeper.drop(job.lease)

    def _leave(self) -> None:
        """Take down the names of threads that may still be listening, so that nobody counts on them."""
        listeners = [
            *((queue, name) for name, queue in list(self._drains.items())),
            *(x.place for x in self._lanes),
        ]
        for queue, name in listeners:
            try:
                partitions = self.runtime.ringer.bell.leave(queue, name)
                if partitions:
                    self.runtime.ringer.announce(queue, partitions)
            except EventStoreError as error:
                log.warning("%s could not be partitions: %s", queue, error)

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

    def published(self) -> dict[str, object]:
        """Return the specs that others may bind to, as JSON by "name@version"."""
        ...

    def close(self) -> None:
        """Close what idles."""
        ...
