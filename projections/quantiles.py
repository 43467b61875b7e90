"""Latencies as counts in buckets that grow by a tenth, and add up (DDSketch: Masson, Rim and Lee, 2019)."""

from __future__ import annotations

import math
from collections.abc import Mapping

GROWTH = 1.1


def bucket(ms: float) -> int:
    """Return the bucket of a latency."""
    return max(0, math.ceil(math.log(max(ms, 1.0), GROWTH)))


def quantile(counts: Mapping[int, int], q: float) -> float | None:
    """Return the q-quantile in ms, to a twentieth, None without any."""
    total = sum(counts.values())
    rank, seen = q * max(0, total - 1), 0
    for place in sorted(counts):
        seen += counts[place]
        if seen > rank:
            return float(2 * GROWTH**place / (GROWTH + 1)) if place else 1.0
    return None
