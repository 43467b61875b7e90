"""Steps with a fairness key that wait in a queue in memory, and the round in which keys get their turns.

The rules are those of lua/claim.lua: deficit round robin (Shreedhar and Varghese 1995) where each step costs 1, so that
nothing is left of a turn but the number of steps that the first key may still have.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from eventstore.memory.records import ScoredSet

StepKey = tuple[str, str]

UNKEYED: Final = ""
"""The key for which all steps without one stand in the round."""


class FairQueue:
    """The steps of one queue by key; `turn` is the first key and how many steps it may still have, after a claim."""

    def __init__(self) -> None:
        self.lines: dict[str, ScoredSet[StepKey]] = {}
        self.ring: dict[str, None] = {}
        self.turn: tuple[str, int] | None = None
        self._emptied: set[str] = set()

    def __len__(self) -> int:
        return sum(map(len, self.lines.values()))

    def add(self, key: str, step: StepKey, score: int) -> None:
        """Add a step; a key that had none joins the round at its end."""
        self.lines.setdefault(key, ScoredSet()).add(step, score)
        self.ring.setdefault(key)

    def discard(self, key: str, step: StepKey) -> int | None:
        """Remove a step, if it is there, and return its score."""
        line = self.lines.get(key, ScoredSet())
        score = line.score(step)
        line.discard(step)
        if score is not None and not line:
            del self.lines[key]
            self._emptied.add(key)
        return score

    def prune(self) -> None:
        """Take keys that have no steps left out of the round, when all of a commit or a claim is done."""
        for key in self._emptied.difference(self.lines):
            self.ring.pop(key, None)
        self._emptied.clear()

    def oldest(self) -> list[int]:
        """Return the lowest score of each key."""
        return [next(iter(line))[1] for line in self.lines.values()]

    def others_wait(self, key: str) -> bool:
        """Tell whether another key waits for its turn."""
        return len(self.ring) > int(key in self.ring)

    def close(self) -> None:
        """End a claim: forget a turn of a key without steps, and the round where no key has any."""
        self.prune()
        if self.turn is not None and self.turn[0] not in self.ring:
            self.turn = None
        if not self.lines:
            self.ring.clear()
            self.turn = None


class FairQueues:
    """The steps with fairness keys of a partition, by queue."""

    def __init__(self) -> None:
        self._queues: dict[str, FairQueue] = {}

    def of(self, queue: str) -> FairQueue:
        """Return those of a queue."""
        return self._queues.setdefault(queue, FairQueue())

    def prune(self) -> None:
        """Take keys without steps out of their rounds."""
        for fair in self._queues.values():
            fair.prune()


class Round:
    """The turns of one claim; `first` is the key whose turn it is."""

    def __init__(self, fair: FairQueue, *, unkeyed: bool) -> None:
        self._fair = fair
        self._order = deque(fair.ring)
        self._spent: list[str] = []
        self._turn = fair.turn
        if unkeyed and UNKEYED not in fair.ring:
            self._order.append(UNKEYED)

    @property
    def first(self) -> str | None:
        """Return the key whose turn it is, None when all have nothing more."""
        return self._order[0] if self._order else None

    def begin(self) -> int | None:
        """Begin the turn of the first key; gives what an earlier claim has left of it, None where it is a new one."""
        turn, self._turn = self._turn, None
        is_under_way = turn is not None and turn[0] == self._order[0]
        return turn[1] if turn is not None and is_under_way else None

    def end(self) -> None:
        """Let the first key go to the end of the round."""
        self._order.rotate(-1)

    def spend(self) -> None:
        """Ask a key no more that has nothing for this worker."""
        self._spent.append(self._order.popleft())

    def stay(self, left: int) -> None:
        """Leave the first key so many steps for the next claim."""
        self._turn = self._order[0], left

    def settle(self) -> None:
        """Let the next claim go on from here."""
        spent = (key for key in self._spent if key != UNKEYED)
        self._fair.ring = dict.fromkeys([*self._order, *spent])
        self._fair.turn = self._turn
