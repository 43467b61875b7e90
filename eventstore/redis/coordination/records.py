"""Records that people keep in a store by name, such as API keys and hooks: each table is one hash."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eventstore import codec
from eventstore.redis.client import RedisClient
from eventstore.redis.driver.scripts import PlainCall


class RecordTable:
    """The records of one kind."""

    def __init__(self, store: RedisClient, kind: str) -> None:
        self._store = store
        self._key = store.keys.registry(kind)

    def put(self, name: str, record: Mapping[str, Any]) -> None:
        """Store a record, or replace it."""
        raw = codec.encode(dict(record))
        self._store.call([PlainCall((b"HSET", self._key, name, raw))])

    def get(self, name: str) -> dict[str, Any] | None:
        """Return a record, None where there is none."""
        raw = self._store.call([PlainCall((b"HGET", self._key, name))])[0]
        record: dict[str, Any] | None = None if raw is None else codec.decode(raw)
        return record

    def every(self) -> dict[str, dict[str, Any]]:
        """Return all records by name."""
        reply = self._store.call([PlainCall((b"HGETALL", self._key))])[0]
        entries = (
            reply.items()
            if isinstance(reply, dict)
            else zip(reply[::2], reply[1::2], strict=True)
        )
        return {name.decode(): codec.decode(raw) for name, raw in entries}

    def remove(self, name: str) -> bool:
        """Remove a record, and tell whether it was there."""
        removed = self._store.call([PlainCall((b"HDEL", self._key, name))])[0]
        return bool(removed)
