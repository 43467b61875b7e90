"""Sets of ordinals as integers: bit `CHUNK - 1 - i` stands for the i-th of a chunk, so the lowest bit is the newest.

A page of any combination of facets is a few `and`s of 8 KB integers: bitmap indexes (O'Neil, 1987), cut into chunks of
which sparse ones are kept as lists, as in Roaring (Chambi, Lemire, Kaser and Godin, 2016).
"""

from __future__ import annotations

from collections.abc import Iterator

from eventstore.views import CHUNK


def between(low: int, high: int, chunk: int) -> int:
    """Return the ordinals of a chunk from `low` on and below `high`."""
    first = max(0, low - chunk * CHUNK)
    end = min(CHUNK, high - chunk * CHUNK)
    if first >= end:
        return 0
    return ((1 << (CHUNK - first)) - 1) & ~((1 << (CHUNK - end)) - 1)


def falling(bits: int, chunk: int) -> Iterator[int]:
    """Return the ordinals of a set, highest first."""
    while bits:
        lowest = bits & -bits
        yield chunk * CHUNK + CHUNK - lowest.bit_length()
        bits ^= lowest
