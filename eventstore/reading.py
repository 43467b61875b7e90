"""Reading several partitions as one: by time, but never out of order within a partition."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from eventstore.event import Recorded


def merged(logs: Sequence[Sequence[Recorded]]) -> list[Recorded]:
    """Merge the logs of partitions by time; each keeps its own order, also when the server's clock went back."""
    heads = [(log[0].time_ms, index, 0) for index, log in enumerate(logs) if log]
    heapq.heapify(heads)
    out: list[Recorded] = []
    while heads:
        time_ms, index, place = heapq.heappop(heads)
        out.append(logs[index][place])
        if place + 1 < len(logs[index]):
            following = max(time_ms, logs[index][place + 1].time_ms)
            heapq.heappush(heads, (following, index, place + 1))
    return out


def bounded(items: list[Recorded], limit: int | None) -> list[Recorded]:
    """Return the first items, all without a limit."""
    return items if limit is None else items[: max(0, limit)]
