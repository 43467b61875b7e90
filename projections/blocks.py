"""Blocks of times and of durations, by which an index finds the runs of a range."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

HOUR_MS: Final = 3_600_000
_HOURS: Final = ((768, "m"), (24, "d"), (1, "h"))
"""Blocks of hours by which the time of an end is indexed."""

_LENGTHS: Final = ((4, "o"), (1, "f"))
"""Blocks of classes of duration: those of an octave, and single ones."""

_LONGEST: Final = 212
_MOST_BLOCKS: Final = 300


def of_end(ended_ms: int) -> Iterator[str]:
    """Return the blocks of hours that an end lies in, as facets."""
    hour = ended_ms // HOUR_MS
    for size, name in _HOURS:
        yield f"ended.{name}={hour // size}"


def of_duration(took_ms: int) -> Iterator[str]:
    """Return the blocks of classes that a duration lies in, as facets."""
    length = _length(took_ms)
    for size, name in _LENGTHS:
        yield f"took.{name}={length // size}"


def is_block(facet: str) -> bool:
    """Tell whether a facet is a block, which is for the index only."""
    return facet.startswith(("ended.", "took."))


def _length(took_ms: int) -> int:
    """Return the class of a duration; each is a fifth longer than the one before."""
    return int(4 * math.log2(max(0, took_ms) + 1))


def ended(low: int | None, high: int | None) -> tuple[str, ...]:
    """Cover a range of times with blocks of hours."""
    if low is None or high is None:  # there is no end to cover, or no beginning
        return ()
    return _cover("ended", low // HOUR_MS, (high - 1) // HOUR_MS + 1, _HOURS)


def took(low: int | None, high: int | None) -> tuple[str, ...]:
    """Cover a range of durations with blocks of classes."""
    if low is None and high is None:
        return ()
    end = _LONGEST if high is None else _length(high) + 1
    return _cover("took", _length(low or 0), end, _LENGTHS)


def _cover(
    facet: str, first: int, end: int, levels: tuple[tuple[int, str], ...]
) -> tuple[str, ...]:
    """Cover a range with blocks, large ones where they fit; one that takes too many is left to the documents."""
    covering: list[str] = []
    while first < end and len(covering) < _MOST_BLOCKS:
        size, name = next(level for level in levels if _fits_in(level[0], first, end))
        covering.append(f"{facet}.{name}={first // size}")
        first += size
    if first >= end:
        return tuple(covering)
    return ()


def _fits_in(size: int, first: int, end: int) -> bool:
    """Tell whether a block of a size can begin here; one of size 1 always can."""
    return size == 1 or (first % size == 0 and first + size <= end)
