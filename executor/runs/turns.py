"""Turns at a run: of the threads of a process, one at a time begins it or records outcomes of it.

Two that decide on the same state commit one after the other, and the second has decided in vain: it would fold what the
first has written, and decide again. Other processes are met in that way; threads share one interpreter anyhow.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from eventstore.redis.driver.forking import ForkSafeLock

PASSED_SECONDS: Final = 0.5
"""How long somebody lets others pass: it saves a reading, and leases run on while a node of theirs is away."""


class Turns:
    """Gives turns at runs to threads; who wants several gets them all at once, so that no two wait for each other.

    A forked child finds all of them free: the threads that have them are its parent's.
    """

    def __init__(self) -> None:
        self._lock = ForkSafeLock(self._begin)
        self._begin()

    def _begin(self) -> None:
        self._given_back = self._lock.condition()
        self._taken: set[str] = set()
        self._waiting = 0

    def take(self, runs: Collection[str]) -> None:
        """Wait until nobody has a turn at any of some runs, and have it."""
        with self._lock:
            while not self._taken.isdisjoint(runs):
                self._waiting += 1
                self._given_back.wait()
                self._waiting -= 1
            self._taken.update(runs)

    def let_pass(
        self, runs: Collection[str], at_most_seconds: float = PASSED_SECONDS
    ) -> None:
        """Wait for a while until those who have turns at some runs have given them back."""
        with self._lock:
            self._waiting += 1
            self._given_back.wait_for(
                lambda: self._taken.isdisjoint(runs), at_most_seconds
            )
            self._waiting -= 1

    def give_back(self, runs: Collection[str]) -> None:
        """Let others have their turn."""
        with self._lock:
            self._taken.difference_update(runs)
            if self._waiting:
                self._given_back.notify_all()
