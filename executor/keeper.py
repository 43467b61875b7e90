"""Leases of this process: one heartbeat for all of them, and the news that comes back with it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from eventstore.errors import EventStoreError
from eventstore.run_model import Lease
from eventstore.run_store import RunStore
from executor.clock import Clock
from executor.jobs import Job
from openagents_json.components.context import CancelToken

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Held:
    """A held lease: when it was taken and last extended (steady ms), and the token that its component can see."""

    job: Job
    token: CancelToken
    extended: float
    heartbeat: float
    overdue: bool = field(default=False)


class Keeper:
    """Extends leases of steps that run long; a lease that is lost cancels its token.

    Holding and dropping are plain dictionary operations, because they lie on the path of every step.
    """

    def __init__(
        self, store: RunStore, clock: Clock, lease_ms: int, on_overdue: Callable[[Job, int], None] | None = None
    ) -> None:
        self._store, self._clock, self._lease_ms = store, clock, lease_ms
        self._held: dict[Lease, Held] = {}
        self._on_overdue = on_overdue
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to beat."""
        self._thread = threading.Thread(target=self._loop, name="openagents-keeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the beat; leases run out by themselves."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def hold(self, job: Job) -> None:
        """Take a lease into the beat."""
        now = self._clock.steady_ms()
        self._held[job.lease] = Held(job, CancelToken(), now, now)

    def drop(self, lease: Lease) -> None:
        """Forget a lease: its outcome is recorded, or it is given back."""
        self._held.pop(lease, None)

    def held(self, lease: Lease) -> Held | None:
        """Give what is known about a lease; None when it is not held any more."""
        return self._held.get(lease)

    def heartbeat(self, lease: Lease) -> None:
        """Note that the component of a lease reported itself alive."""
        held = self._held.get(lease)
        if held is not None:
            held.heartbeat = self._clock.steady_ms()

    def jobs(self) -> list[Job]:
        """Give the jobs that are held."""
        return [held.job for held in list(self._held.values())]

    def beat(self) -> None:
        """Extend what is a third used up, and pass on what comes back; failures are left to the next beat."""
        now = self._clock.steady_ms()
        everything = list(self._held.values())
        due = [held for held in everything if now - held.extended >= self._lease_ms / 3]
        for held, answer in zip(due, self._store.beat([h.job.lease for h in due], self._lease_ms), strict=True):
            held.extended = now
            if answer == 0:
                held.token.cancel("the lease was lost")
            elif answer == 2:
                held.token.cancel("the run is being cancelled")
        for held in everything:
            limit = held.job.step.timeouts.heartbeat_ms
            if limit and not held.overdue and now - held.heartbeat > limit:
                held.overdue = True
                held.token.cancel(f"no heartbeat for {limit} ms")
                if self._on_overdue is not None:
                    self._on_overdue(held.job, limit)

    def _loop(self) -> None:
        while not self._stop.wait(min(self._lease_ms / 6, 1000) / 1000):
            try:
                if self._held:
                    self.beat()
            except EventStoreError as error:
                log.warning("leases could not be extended: %s", error)
