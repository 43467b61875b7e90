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
    last_rank = max(0, sum(counts.values()) - 1)
    rank = q * last_rank
    seen = 0
    for number in sorted(counts):
        seen += counts[number]
        if seen > rank:
            return _middle(number)
    return None


def _middle(number: int) -> float:
    """Return the latency that stands for a bucket: no other of it is more than a twentieth away."""
    if number:
        return float(2 * GROWTH**number / (GROWTH + 1))
    return 1.0
