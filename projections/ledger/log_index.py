"""What the log of a partition says of positions, in few bytes for each entry: a check holds all of it at once."""

from __future__ import annotations

import bisect
from array import array
from collections.abc import Iterable, Iterator
from typing import Final

from eventstore.redis.ledger import LogEntry

LARGEST_COMMIT: Final = 1_000_000
_FARTHEST: Final = 2**62


class LogIndex:
    """The run and the version that the log has at a position, however many an entry claims.

    An entry that names more than a commit can have, or numbers that no log reaches, is none.
    """

    def __init__(self, log: Iterable[LogEntry]) -> None:
        self._ends = array("q")
        self._lasts = array("q")
        self._sizes = array("l")
        self._runs = array("l")
        self._names: list[str] = []
        numbers: dict[str, int] = {}
        rising = True
        for entry in log:
            size = entry.last - entry.first + 1
            if not _is_possible(entry, size):
                continue
            rising = rising and (not self._ends or entry.n >= self._ends[-1])
            self._ends.append(entry.n)
            self._lasts.append(entry.last)
            self._sizes.append(size)
            self._runs.append(numbers.setdefault(entry.stream, len(numbers)))
        self._names = list(numbers)
        if not rising:
            self._sort()

    def _sort(self) -> None:
        order = sorted(range(len(self._ends)), key=self._ends.__getitem__)
        for name in ("_ends", "_lasts", "_sizes", "_runs"):
            old = getattr(self, name)
            setattr(self, name, array(old.typecode, (old[i] for i in order)))

    def at(self, n: int) -> tuple[str, int] | None:
        """Return the run and the version at a position; None when no entry names it."""
        index = bisect.bisect_left(self._ends, n)
        if index == len(self._ends):
            return None
        end = self._ends[index]
        if n <= end - self._sizes[index]:
            return None
        return self._names[self._runs[index]], self._lasts[index] - (end - n)

    def doubled(self) -> Iterator[tuple[int, str, int]]:
        """Return position, run and version of the entries that begin before the one in front of them ends."""
        for i in range(1, len(self._ends)):
            if self._ends[i] - self._sizes[i] < self._ends[i - 1]:
                yield self._ends[i], self._names[self._runs[i]], self._lasts[i]


def _is_possible(entry: LogEntry, size: int) -> bool:
    # What a file claims goes into arrays of 64-bit numbers, and is counted up in memory.
    fits_in_arrays = entry.n < _FARTHEST and abs(entry.last) < _FARTHEST
    return fits_in_arrays and 0 < size <= min(entry.n, LARGEST_COMMIT)
