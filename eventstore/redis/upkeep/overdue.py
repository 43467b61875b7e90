"""What time has brought and nobody has seen: whoever looks at it pushes it forward, so it is not overdue for long."""

from __future__ import annotations

from typing import Any

from eventstore.redis.client import RedisClient
from eventstore.redis.driver.scripts import PlainCall


def overdue_ms(store: RedisClient) -> int:
    """Return for how many ms the oldest due member of all partitions has been due, 0 for none; one round trip.

    Raises StoreUnavailable.
    """
    firsts = [
        PlainCall((b"ZRANGE", store.keys.due(partition), 0, 0, b"WITHSCORES"))
        for partition in range(store.partitions)
    ]
    (seconds, micros), *replies = store.call([PlainCall((b"TIME",)), *firsts])
    now_ms = int(seconds) * 1000 + int(micros) // 1000
    # A reply is a flat list, or one of pairs, as the protocol has it.
    due_ms = [_last(reply) for reply in replies if reply]
    return max(0, now_ms - min(due_ms, default=now_ms))


def _last(reply: list[Any]) -> int:
    last = reply[-1]
    score = last[-1] if isinstance(last, list) else last
    return round(float(score))
