"""Reading several partitions as one: by time, but never out of order within a partition."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from eventstore.event import Recorded


def merged(logs: Sequence[Sequence[Recorded]]) -> list[Recorded]:
    """Merge the logs of partitions by time; each keeps its own order, also when the server's clock went back."""
    heads = [(log[0].time_ms, number, 0) for number, log in enumerate(logs) if log]
    heapq.heapify(heads)
    events: list[Recorded] = []
    while heads:
        time_ms, number, at = heapq.heappop(heads)
        events.append(logs[number][at])
        if at + 1 < len(logs[number]):
            following = max(time_ms, logs[number][at + 1].time_ms)
            heapq.heappush(heads, (following, number, at + 1))
    return events


def bounded(items: list[Recorded], limit: int | None) -> list[Recorded]:
    """Return the first items, all without a limit."""
    if limit is None:
        return items
    return items[: max(0, limit)]
