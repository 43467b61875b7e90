"""What a store has lost although it had been acknowledged: read from where those who missed it have kept it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eventstore.redis.client import RedisClient
from eventstore.redis.driver.scripts import PlainCall


@dataclass(frozen=True, slots=True)
class Loss:
    """Acknowledged commits of a partition that were gone when somebody looked for them.

    `kept` is the last position before it that is known to be there, 0 where none is; `first` and `lost` are the first
    and the last one that are known to be gone, written at `first_ms` and `lost_ms`. They were missed at `at_ms`.
    """

    partition: int
    epoch: int
    at_ms: int
    kept: int
    first: int
    first_ms: int
    lost: int
    lost_ms: int


def read_losses(store: RedisClient) -> list[Loss]:
    """Read what is on record, of all partitions."""
    partitions = range(store.keys.partitions)
    replies = store.call(
        [PlainCall((b"LRANGE", store.keys.losses(p), 0, -1)) for p in partitions]
    )
    return [
        _loss(p, raw)
        for p, reply in zip(partitions, replies, strict=True)
        for raw in reply
    ]


def _loss(partition: int, raw: bytes) -> Loss:
    fields: Mapping[str, Any] = json.loads(raw)
    names = ("epoch", "at", "kept", "first", "first_ms", "lost", "lost_ms")
    return Loss(partition, *(int(fields[name]) for name in names))
