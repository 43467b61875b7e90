"""Spans of positions, from the first to the last of each, and whether others are in them."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence

Span = tuple[int, int]


def joined(spans: Iterable[Span]) -> list[Span]:
    """Return spans in order, those in one that meet or overlap."""
    out: list[Span] = []
    for first, last in sorted(span for span in spans if span[0] <= span[1]):
        if out and first <= out[-1][1] + 1:
            out[-1] = out[-1][0], max(last, out[-1][1])
        else:
            out.append((first, last))
    return out


def within(spans: Sequence[Span], first: int, last: int) -> bool:
    """Tell whether each position from the first to the last is in spans that are joined."""
    at = bisect.bisect_right(spans, first, key=lambda span: span[0]) - 1
    return first > last or (at >= 0 and spans[at][1] >= last)
