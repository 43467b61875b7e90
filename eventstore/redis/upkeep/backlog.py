"""How many steps wait in queues, and since when, from the ready sets of all partitions: for whoever scales workers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, Final

from eventstore.redis.client import RedisClient
from eventstore.redis.driver.scripts import PlainCall

_POINT_MS: Final = 60_000
"""How far a point of priority moves a step in its queue."""


def backlogs(store: RedisClient, queues: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return how many steps wait in each ready queue, and for how many ms the oldest of them has; one round trip.

    A step of a high priority stands before older ones and counts as older than it is. One of a priority below zero may
    stand in the future: then it is the part of its age beyond whole minutes. Raises StoreUnavailable.
    """
    kinds = (store.keys.ready, store.keys.fair)
    sets = list(product(queues, range(store.partitions), kinds))
    names = [name_of(partition, queue) for queue, partition, name_of in sets]
    counts = [PlainCall((b"ZCARD", name)) for name in names]
    firsts = [PlainCall((b"ZRANGE", name, 0, 0, b"WITHSCORES")) for name in names]
    (seconds, micros), *replies = store.call([PlainCall((b"TIME",)), *counts, *firsts])
    now_ms = int(seconds) * 1000 + int(micros) // 1000
    waiting = dict.fromkeys(queues, (0, 0))
    by_set = zip(sets, replies[: len(sets)], replies[len(sets) :], strict=True)
    for (queue, _, _), count, first in by_set:
        steps, oldest_ms = waiting[queue]
        age_ms = _age_of(now_ms - _score_of(first)) if first else 0
        waiting[queue] = steps + int(count), max(oldest_ms, age_ms)
    return waiting


def _age_of(apparent_ms: int) -> int:
    """Return how old a step is at least that seems so old, as each point of priority moves it by a minute."""
    return apparent_ms if apparent_ms >= 0 else apparent_ms % _POINT_MS


def _score_of(first: Sequence[Any]) -> int:
    """Return the score of the only member in a reply: a flat list, or one of pairs, as the protocol has it."""
    _, score = first[0] if isinstance(first[0], list) else first
    return round(float(score))
