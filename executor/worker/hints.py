"""Where a drain looks for work, and what it tells others of that: hints, which may be lost or wrong without harm."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from eventstore.runs import HintRequest
from executor.wakeup import Waker

AWAKE_MS: Final = 400
"""How long a working drain counts as awake without having looked at the bell."""

SLEEP_SLACK_MS: Final = 200
"""So much longer than it listens a sleeping drain counts as awake: it is not forgotten while it wakes up."""

TAKEN_AT_MOST: Final = 16
"""How many partitions a drain takes at a time; the others are for others."""


class Hints:
    """The partitions that may have work for one drain of a queue; used by its thread alone."""

    def __init__(
        self,
        waker: Waker,
        queue: str,
        drain: str,
        linger_ms: int,
        listen: Callable[[], int | None],
    ) -> None:
        """Look for work; `listen` sleeps until there is some, and gives where it has not been taken yet."""
        self._waker = waker
        self._listen = listen
        self._bell = waker.bell
        self._queue = queue
        self._drain = drain
        self._linger_ms = linger_ms
        self._sleeps = False
        self._has_asked = False
        self.partitions: list[int] = []
        self.kept: list[int] = []

    def wake(self) -> None:
        """Register a drain that a doorbell has started."""
        self.partitions = self._bell.woke(
            self._queue, self._drain, AWAKE_MS, TAKEN_AT_MOST
        )

    def take(self) -> None:
        """Take hints where there are none; if there are none to take, the drain counts as asleep and hears the bell."""
        self._sleeps = False
        has_asked, self._has_asked = self._has_asked, False
        kept = self.kept
        self.kept = []
        self.partitions = list(dict.fromkeys([*self.partitions, *kept]))
        if self.partitions:
            return
        if not has_asked:
            self.partitions = self._bell.take(
                self._queue, self._drain, AWAKE_MS, TAKEN_AT_MOST, self._asleep_ms
            )
        self._sleeps = not self.partitions

    @property
    def _asleep_ms(self) -> int:
        return self._linger_ms + SLEEP_SLACK_MS

    def request(self) -> HintRequest | None:
        """Return what `take` would ask now, to be sent with the last commits; None where there are hints already."""
        if self.partitions or self.kept:
            return None
        return HintRequest(
            self._queue, self._drain, TAKEN_AT_MOST, AWAKE_MS, self._asleep_ms
        )

    def answered(self, partitions: Sequence[int], *, goes_on: bool) -> None:
        """Take in what that was answered with; a drain that `goes_on` with other work asks again before it sleeps."""
        self.partitions += partitions
        self._has_asked = not goes_on

    def take_one(self) -> list[int]:
        """Return one partition, if there is one with a hint."""
        if not self.partitions:
            self.partitions = self._bell.take(self._queue, self._drain, AWAKE_MS, 1)
        return self.next(1)

    def next(self, count: int) -> list[int]:
        """Return the next partitions to claim in."""
        partitions = self.partitions[:count]
        del self.partitions[:count]
        return partitions

    def add(self, partitions: Iterable[int]) -> None:
        """Look again in partitions where something was left."""
        self.partitions += partitions

    def keep(self, partitions: Iterable[int]) -> None:
        """Look again in partitions, and tell nobody else of them."""
        self.kept = list(dict.fromkeys([*self.kept, *partitions]))

    def give_up(self) -> None:
        """Tell others of what this drain has kept after all; another thread may say so, as a hint may come twice."""
        kept = self.kept
        self.kept = []
        if kept:
            self._waker.hand_over(self._queue, self._drain, kept)

    def hand_over(self) -> None:
        """Tell others of what this drain cannot take, one of whom may have to be woken."""
        partitions = self.partitions
        self.partitions = []
        if partitions:
            self._waker.hand_over(self._queue, self._drain, partitions)

    def listen(self) -> bool:
        """Sleep until there is work, for as long as an idle drain lingers; False when there is none to look for."""
        if not self._sleeps:
            # Registered first, then asleep: who rings in between leaves a hint, which is heard at once.
            self.take()
            if self.partitions:
                return True
        partition = self._listen()
        if partition is not None:
            self.partitions.append(partition)
        # Whoever is woken with a claim may have noted where something was left of it.
        return bool(self.partitions)

    def leave(self) -> bool:
        """End the drain, unless there is work after all: then it goes on, and gives True."""
        self.partitions = self._bell.leave(self._queue, self._drain)
        return bool(self.partitions)

    def end(self) -> None:
        """End the drain whatever there is; what it would have looked at is for others."""
        self.partitions += [*self.kept, *self._bell.leave(self._queue, self._drain)]
        self.kept = []
        self.hand_over()
