"""Ringing: tell whoever is awake where work is, and wake somebody when nobody is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from eventstore.bell import Bell
from eventstore.scripts import ScriptCall


class Doorbell(Protocol):
    """Wakes a worker for a queue; may fail, be lost or come twice without harm."""

    def ring(self, queue: str) -> None:
        """Send one doorbell."""
        ...


class NoDoorbell:
    """For programs whose own threads never sleep for long: hints in the store are enough."""

    def ring(self, queue: str) -> None:
        """Do nothing."""


class DoorbellOnDemand:
    """A doorbell that is made when it is rung first: most who have one never ring it; safe for threads."""

    def __init__(self, make: Callable[[], Doorbell]) -> None:
        self._make = make
        self._made: Doorbell | None = None
        self._lock = threading.Lock()

    def ring(self, queue: str) -> None:
        """Send one doorbell."""
        with self._lock:
            if self._made is None:
                self._made = self._make()
        self._made.ring(queue)


class Ringer:
    """Hints in the store first; a doorbell only when the store says that nobody is awake."""

    def __init__(self, bell: Bell, doorbell: Doorbell) -> None:
        self.bell, self.doorbell = bell, doorbell

    def calls(self, opens: Iterable[tuple[int, Mapping[str, int]]]) -> tuple[list[str], list[ScriptCall]]:
        """Build the calls that announce claimable steps, given as (partition, count by queue)."""
        where: dict[str, list[int]] = {}
        for partition, queues in opens:
            for queue, count in queues.items():
                if count > 0 and partition not in where.setdefault(queue, []):
                    where[queue].append(partition)
        queues_ = [queue for queue, partitions in where.items() if partitions]
        return queues_, [self.bell.ring_call(queue, where[queue]) for queue in queues_]

    def answer(self, queues: Sequence[str], replies: Sequence[Any]) -> None:
        """Send the doorbells that the store asked for in its replies."""
        for queue, reply in zip(queues, replies, strict=True):
            if reply == 1:
                self.doorbell.ring(queue)

    def announce(self, queue: str, partitions: Sequence[int]) -> None:
        """Say that partitions have work for a queue."""
        if self.bell.ring(queue, partitions):
            self.doorbell.ring(queue)

    def hand_over(self, queue: str, drain: str, partitions: Sequence[int]) -> None:
        """Say that a drain leaves the work of partitions to others."""
        if self.bell.hand_over(queue, drain, partitions):
            self.doorbell.ring(queue)

    def busy(self, queue: str, drain: str) -> None:
        """Say that a drain is out of reach for a while."""
        if self.bell.busy(queue, drain):
            self.doorbell.ring(queue)
