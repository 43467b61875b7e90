"""The leaves and salts of a partition by position, as the bytes that they are: a check holds all of them at once."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field

from eventstore.redis.ledger import LEAF_BYTES, SALT_BYTES
from projections.ledger.records import ABSENT


@dataclass(frozen=True, slots=True)
class _Span:
    first: int
    leaves: bytes
    salts: bytes
    taken: bytearray
    """A byte for each leaf, not zero once its event was seen."""

    @property
    def end(self) -> int:
        return self.first + len(self.taken)

    def leaf(self, offset: int) -> bytes:
        return self.leaves[offset * LEAF_BYTES : (offset + 1) * LEAF_BYTES]

    def salt(self, offset: int) -> bytes:
        return self.salts[offset * SALT_BYTES : (offset + 1) * SALT_BYTES]

    def part(self, first: int, end: int) -> _Span:
        begin = first - self.first
        stop = end - self.first
        leaves = self.leaves[begin * LEAF_BYTES : stop * LEAF_BYTES]
        salts = self.salts[begin * SALT_BYTES : stop * SALT_BYTES]
        return _Span(first, leaves, salts, self.taken[begin:stop])


@dataclass(slots=True)
class Leaves:
    """Leaves by position, and for which of them an event was found."""

    _spans: list[_Span] = field(default_factory=list)
    _firsts: list[int] = field(default_factory=list)

    def add(self, first: int, leaves: bytes, salts: bytes) -> None:
        """Enter leaves from a position on; where some are known already, which nobody signs, the new ones count."""
        count = len(leaves) // LEAF_BYTES
        if not count:
            return
        new = _Span(first, leaves, salts, bytearray(count))
        begin = bisect.bisect_right(self._firsts, first) - 1
        if begin < 0 or self._spans[begin].end <= first:
            begin += 1
        end = bisect.bisect_left(self._firsts, new.end)
        spans = [new]
        if begin < end:
            before = self._spans[begin]
            behind = self._spans[end - 1]
            if before.first < first:
                spans.insert(0, before.part(before.first, first))
            if new.end < behind.end:
                spans.append(behind.part(new.end, behind.end))
        self._spans[begin:end] = spans
        self._firsts[begin:end] = [span.first for span in spans]

    def leaf(self, n: int) -> bytes | None:
        """Return the leaf at a position; None when there is none."""
        span = self._span(n)
        if span is None:
            return None
        return span.leaf(n - span.first)

    def salt(self, n: int) -> bytes:
        """Return the salt at a position, empty when there is none."""
        span = self._span(n)
        if span is None:
            return b""
        return span.salt(n - span.first)

    def take(self, n: int) -> bool:
        """Note that the event of a position was found; False when there is no leaf, or it was found before."""
        span = self._span(n)
        if span is None or span.taken[n - span.first]:
            return False
        span.taken[n - span.first] = 1
        return True

    def missing(self) -> Iterator[int]:
        """Return the positions where something was sealed, and nothing was found."""
        for span in self._spans:
            for offset, taken in enumerate(span.taken):
                if not taken and span.leaf(offset) != ABSENT:
                    yield span.first + offset

    def _span(self, n: int) -> _Span | None:
        index = bisect.bisect_right(self._firsts, n) - 1
        if index < 0 or n >= self._spans[index].end:
            return None
        return self._spans[index]
