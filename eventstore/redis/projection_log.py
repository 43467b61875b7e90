"""Reading the logs of many partitions for projections: one round trip, and only events of the types that matter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from eventstore.codec import decode
from eventstore.event import Position, Recorded
from eventstore.redis.client import RedisClient
from eventstore.redis.driver.scripts import PlainCall, Script, ScriptCall, load_text
from eventstore.redis.upkeep.removal import archive_stream
from eventstore.store import ReadPosition

_WIDTH = 10


class LogReader:
    """Reads on behind positions."""

    def __init__(self, store: RedisClient) -> None:
        self._store = store
        self._script = Script("view_read", load_text("view_read.lua"))

    def read(
        self,
        positions: Sequence[tuple[int, int]],
        limit: int,
        types: Iterable[str] | None = None,
    ) -> list[tuple[int, list[Recorded]]]:
        """Return, for each (partition, position), how far it was read and the events of some types, None for all.

        At most `limit` positions are gone through in each partition. How far is a `Place`, by which a lost tail shows.
        """
        keys = self._store.keys
        type_names = () if types is None else sorted(types)
        calls = [
            ScriptCall(
                self._script,
                [keys.meta(p), keys.log(p)],
                [int(after), limit, *type_names],
            )
            for p, after in positions
        ]
        replies = self._store.call(calls)
        answers = zip(positions, replies, strict=True)
        return [
            (ReadPosition(to, int(ms) if ms else None), _events(p, flat))
            for (p, _), (to, ms, *flat) in answers
        ]

    def counts(self, partitions: Sequence[int]) -> list[int]:
        """Return how many events each partition has, in one round trip."""
        meta = self._store.keys.meta
        calls = [PlainCall((b"HGET", meta(each), b"n")) for each in partitions]
        return [int(count or 0) for count in self._store.call(calls)] if calls else []

    def left(self, partitions: Sequence[int]) -> list[int]:
        """Return those of some partitions that runs have left."""
        calls = [
            PlainCall((b"EXISTS", self._store.keys.head(archive_stream(p))))
            for p in partitions
        ]
        replies = self._store.call(calls)
        return [p for p, there in zip(partitions, replies, strict=True) if there]


def _events(partition: int, flat: Sequence[Any]) -> list[Recorded]:
    return [
        _event(partition, flat[i : i + _WIDTH]) for i in range(0, len(flat), _WIDTH)
    ]


def _event(partition: int, fields: Sequence[Any]) -> Recorded:
    stream, version, n, time_ms, actor, kind, data, commit, cause, metadata = fields
    return Recorded(
        stream=_text(stream),
        version=int(version),
        position=Position(partition, int(n)),
        time_ms=int(time_ms),
        commit=_text(commit),
        actor=_text(actor),
        cause=_text(cause),
        type=_text(kind),
        data=decode(data),
        metadata=decode(metadata) if metadata else {},
    )


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")
