"""A worker process: relay, heartbeat and lanes around drains; Celery or an embedding program tells it when to drain."""

from __future__ import annotations

import itertools
import logging
import threading
from typing import Protocol

from eventstore.errors import EventStoreError
from executor.async_lane import AsyncLane
from executor.drain import Drain, DrainSettings
from executor.relay import Relay
from executor.runtime import Runtime
from executor.step import Execution

log = logging.getLogger(__name__)


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
        self, runtime: Runtime, execution: Execution, relay: Relay, members: Service, components: PublishesSpecs
    ) -> None:
        self.runtime, self._execution, self._relay, self._members = runtime, execution, relay, members
        self._components = components
        self.stopping = threading.Event()
        self._numbers = itertools.count(1)
        self._lanes: list[AsyncLane] = []
        self._threads: list[threading.Thread] = []

    @property
    def name(self) -> str:
        """Give the id of this process."""
        return self.runtime.worker

    def start(self, *, lanes: bool = True, relay: bool = True) -> None:
        """Publish the components, join the members, begin to beat and to relay, and open the asynchronous lanes."""
        self.runtime.directory.publish(self._components.published())
        self.runtime.keeper.start()
        if relay:
            self._members.start()
            self._relay.start()
        self._background = relay
        for queue in self.runtime.settings.queues if lanes else ():
            lane = AsyncLane(
                self.runtime, self._execution, f"{queue}.async", self._next(), self.runtime.settings.async_limit
            )
            lane.start()
            self._lanes.append(lane)

    def run_threads(self) -> None:
        """Drain on threads of this process until stopped: how an embedding program works without Celery."""
        for queue in self.runtime.settings.queues:
            for _ in range(self.runtime.settings.concurrency):
                thread = threading.Thread(target=self._drain_forever, args=(queue,), name=f"openagents-drain-{queue}")
                thread.daemon = True
                thread.start()
                self._threads.append(thread)

    def drain(self, queue: str, forever: bool = False) -> int:
        """Drain a queue on the calling thread; gives the number of steps that it ran."""
        settings = self.runtime.settings
        drain = DrainSettings(queue, settings.budget_ms, settings.linger_ms, settings.batch, forever)
        return Drain(self.runtime, drain, self._next(), self._execution.run).run(self.stopping)

    def _drain_forever(self, queue: str) -> None:
        while not self.stopping.is_set():
            try:
                self.drain(queue, True)
            except EventStoreError as error:
                log.warning("draining %s is interrupted: %s", queue, error)
                self.stopping.wait(0.3)

    def stop(self) -> None:
        """End: finish what runs, give back what has not begun, leave."""
        self.stopping.set()
        for thread in self._threads:
            thread.join()
        for lane in self._lanes:
            lane.stop()
        if self._background:
            self._relay.stop()
            self._members.stop()
        self.runtime.watchdog.stop()
        self.runtime.keeper.stop()

    _background = False

    def _next(self) -> str:
        return f"{self.name}/{next(self._numbers)}"


class PublishesSpecs(Protocol):
    """Anything that has component specs to publish, by "name@version"."""

    def published(self) -> dict[str, object]:
        """Give the specs as JSON."""
        ...
