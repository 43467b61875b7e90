"""Whose steps wait: the fairness keys of queues, with how many steps they have and since when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from eventstore.redis.client import RedisClient
from eventstore.redis.driver.scripts import PlainCall


@dataclass(frozen=True, slots=True)
class WaitingKey:
    """The steps of a fairness key that wait in a queue of a partition.

    `apparent_ms` is how old the first of them is, each point of its priority counting as a minute; `weight` is what
    that step says.
    """

    queue: str
    key: str
    partition: int
    steps: int
    apparent_ms: int
    weight: int


def waiting_keys(
    store: RedisClient, queues: Sequence[str], at_most: int
) -> list[WaitingKey]:
    """Return the keys of queues that have turns next, up to so many of each queue in each partition.

    Raises StoreUnavailable.
    """
    queue_partitions = list(product(queues, range(store.partitions)))
    rings = store.call(
        [
            PlainCall((b"ZRANGE", store.keys.ring(partition, queue), 0, at_most - 1))
            for queue, partition in queue_partitions
        ]
    )
    lines = [
        (queue, partition, key)
        for (queue, partition), ring in zip(queue_partitions, rings, strict=True)
        for key in ring
        if key
    ]
    names = [store.keys.fair(where, queue) + b"|" + key for queue, where, key in lines]
    counts = [PlainCall((b"ZCARD", name)) for name in names]
    firsts = [PlainCall((b"ZRANGE", name, 0, 0, b"WITHSCORES")) for name in names]
    (seconds, micros), *replies = store.call([PlainCall((b"TIME",)), *counts, *firsts])
    now_ms = int(seconds) * 1000 + int(micros) // 1000
    steps, first = replies[: len(names)], map(_first_of, replies[len(names) :])
    standing = [
        (line, count, member, score)
        for line, count, (member, score) in zip(lines, steps, first, strict=True)
        if member
    ]
    weights = _weights(store, [member for _, _, member, _ in standing])
    return [
        WaitingKey(queue, key.decode(), where, int(count), now_ms - score, weight)
        for ((queue, where, key), count, _, score), weight in zip(
            standing, weights, strict=True
        )
    ]


def _first_of(reply: Sequence[Any]) -> tuple[str, int]:
    """Return the only member in a reply and its score: a flat list, or one of pairs, as the protocol has it."""
    if not reply:
        return "", 0
    member, score = reply[0] if isinstance(reply[0], list) else reply
    return member.decode(), round(float(score))


def _weights(store: RedisClient, members: Sequence[str]) -> list[int]:
    """Return what steps say of the weights of their keys."""
    steps = [member.partition("|") for member in members]
    calls = [
        PlainCall((b"HGET", store.keys.head(run), f"k:{step}"))
        for run, _, step in steps
    ]
    shares = store.call(calls) if calls else []
    return [int((share or b"1|").partition(b"|")[0]) for share in shares]
