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
    found: bytearray

    @property
    def end(self) -> int:
        return self.first + len(self.found)

    def part(self, first: int, end: int) -> _Span:
        a, b = first - self.first, end - self.first
        leaves, salts = (
            self.leaves[a * LEAF_BYTES : b * LEAF_BYTES],
            self.salts[a * SALT_BYTES : b * SALT_BYTES],
        )
        return _Span(first, leaves, salts, self.found[a:b])


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
        put = [new]
        if begin < end:
            before, behind = self._spans[begin], self._spans[end - 1]
            put = [before.part(before.first, first)] * (before.first < first) + put
            put += [behind.part(new.end, behind.end)] * (new.end < behind.end)
        self._spans[begin:end] = put
        self._firsts[begin:end] = [span.first for span in put]

    def leaf(self, n: int) -> bytes | None:
        """Return the leaf at a position; None when there is none."""
        found = self._at(n)
        return (
            None
            if found is None
            else found[0].leaves[found[1] * LEAF_BYTES : (found[1] + 1) * LEAF_BYTES]
        )

    def salt(self, n: int) -> bytes:
        """Return the salt at a position, empty when there is none."""
        found = self._at(n)
        return (
            b""
            if found is None
            else found[0].salts[found[1] * SALT_BYTES : (found[1] + 1) * SALT_BYTES]
        )

    def take(self, n: int) -> bool:
        """Note that the event of a position was found; False when there is no leaf, or it was found before."""
        found = self._at(n)
        if found is None or found[0].found[found[1]]:
            return False
        found[0].found[found[1]] = 1
        return True

    def missing(self) -> Iterator[int]:
        """Return the positions where something was sealed, and nothing was found."""
        for span in self._spans:
            for i, there in enumerate(span.found):
                if (
                    not there
                    and span.leaves[i * LEAF_BYTES : (i + 1) * LEAF_BYTES] != ABSENT
                ):
                    yield span.first + i

    def _at(self, n: int) -> tuple[_Span, int] | None:
        at = bisect.bisect_right(self._firsts, n) - 1
        return (
            (self._spans[at], n - self._firsts[at])
            if at >= 0 and n < self._spans[at].end
            else None
        )
