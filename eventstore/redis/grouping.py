"""Many streams read in pieces, so that what is in memory at a time does not grow with the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from eventstore.redis.client import RedisClient
from eventstore.redis.driver.scripts import PlainCall

PAGE: Final = 1000
"""How many events, or entries of a log, are asked for at a time."""

_MEASURED_AT_ONCE: Final = 500


def groups(
    store: RedisClient, streams: Iterable[str], most: int = PAGE
) -> Iterator[list[tuple[str, int]]]:
    """Return streams in their order, in groups that have fewer than `most` events together, or of one that has more.

    With each comes how many events it has.
    """
    names = list(streams)
    for start in range(0, len(names), _MEASURED_AT_ONCE):
        some = names[start : start + _MEASURED_AT_ONCE]
        lengths = store.call(
            [PlainCall((b"XLEN", store.keys.stream(name))) for name in some]
        )
        group: list[tuple[str, int]] = []
        total = 0
        for name, length in zip(some, lengths, strict=True):
            total += length + 1
            if group and total > most:
                yield group
                group = []
                total = length + 1
            group.append((name, length))
        yield group
