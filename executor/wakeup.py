"""Ringing: tell whoever is awake where work is, and wake somebody when nobody is."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from eventstore.passwords import masked
from eventstore.redis.coordination.wakeups import WakeUps
from eventstore.redis.driver.forking import ForkSafeLock
from eventstore.redis.driver.outages import Outage
from eventstore.runs import WakeUp
from executor.clock import Clock, SystemClock

log = logging.getLogger(__name__)

CLOSE_SECONDS = 2.0
"""How long the end of a program waits for doorbells that are being sent."""


class Doorbell(Protocol):
    """Wakes a worker for a queue; may fail, be lost or come twice without harm."""

    def ring(self, queue: str) -> None:
        """Send one doorbell."""
        ...

    def close(self) -> None:
        """Wait a little for what is being sent."""
        ...


class NoDoorbell:
    """For programs whose own threads never sleep for long: hints in the store are enough."""

    def ring(self, queue: str) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class BackgroundDoorbell:
    """Rings on a thread of its own, so that a broker that hangs or is away keeps nobody waiting.

    What waits to be rung is a set of queues: it cannot grow, and ringing twice for one is no use. What rings is made
    there when it is rung first, as most who have one never ring it; a forked child has its own of both. `level` is how
    loud it says that the broker is away: where that is the store itself, others say so.
    """

    def __init__(
        self,
        make: Callable[[], Doorbell],
        clock: Clock | None = None,
        level: int = logging.WARNING,
    ) -> None:
        self._make = make
        steady_ms = (clock or SystemClock()).steady_ms
        self._outage = Outage(log, steady_ms, level)
        self._lock = ForkSafeLock(self._begin)
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._queues: dict[str, None] = {}
        self._wake = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._over = False
        self._thread: threading.Thread | None = None

    def ring(self, queue: str) -> None:
        """Have a doorbell sent soon; this never waits and never raises."""
        with self._lock:
            self._queues[queue] = None
            self._idle.clear()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._loop, name="openagents-doorbell", daemon=True
                )
                self._thread.start()
        self._wake.set()

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Wait a little for what is being sent, as a program that only starts runs may end at once; then end."""
        if self._pid == os.getpid():
            self._idle.wait(seconds)
            self._over = True
            self._wake.set()

    def _loop(self) -> None:
        doorbell: Doorbell | None = None
        while True:
            self._wake.wait()
            if self._over:
                break
            with self._lock:
                queues = list(self._queues)
                self._queues = {}
                self._wake.clear()
            for queue in queues:
                try:
                    doorbell = doorbell or self._make()
                    doorbell.ring(queue)
                    self._outage.end("doorbells can be sent")
                except Exception as error:  # brokers and their clients fail in many ways, and none of them matters
                    self._outage.begin(
                        "no doorbell for %s could be sent, workers look by themselves: %s",
                        queue,
                        masked(str(error)),
                    )
            with self._lock:
                if not self._queues:
                    self._idle.set()
        if doorbell is not None:
            with suppress(Exception):
                doorbell.close()


class Waker:
    """Hints in the store first; a doorbell only when the store says that nobody is awake."""

    def __init__(self, bell: WakeUps, doorbell: Doorbell) -> None:
        self.bell = bell
        self.doorbell = doorbell

    def wakeups(self, opens: Iterable[tuple[int, Mapping[str, int]]]) -> list[WakeUp]:
        """Say which partitions have work for which queues, of claimable steps given as (partition, count by queue)."""
        where: dict[str, list[int]] = {}
        for partition, queues in opens:
            for queue, count in queues.items():
                if count > 0 and partition not in where.setdefault(queue, []):
                    where[queue].append(partition)
        return [
            WakeUp(queue, partitions)
            for queue, partitions in where.items()
            if partitions
        ]

    def answer(self, wakeups: Sequence[WakeUp], unheard: Sequence[bool]) -> None:
        """Send the doorbells for those wake-ups that nobody in the store has heard."""
        for wakeup, is_unheard in zip(wakeups, unheard, strict=True):
            if is_unheard:
                self.doorbell.ring(wakeup.queue)

    def announce(self, queue: str, partitions: Sequence[int]) -> None:
        """Say that partitions have work for a queue."""
        if self.bell.ring(queue, partitions):
            self.doorbell.ring(queue)

    def for_others(self, queue: str, partitions: Sequence[int]) -> None:
        """Say that partitions have steps which need other components than those who looked have."""
        if self.bell.aside(queue, partitions):
            self.doorbell.ring(queue)

    def hand_over(self, queue: str, drain: str, partitions: Sequence[int]) -> None:
        """Say that a drain leaves the work of partitions to others."""
        if self.bell.hand_over(queue, drain, partitions):
            self.doorbell.ring(queue)

    def busy(self, queue: str, drain: str) -> None:
        """Say that a drain is out of reach for a while."""
        if self.bell.busy(queue, drain):
            self.doorbell.ring(queue)
