"""API keys of a store: a record each, without the secret."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eventstore import codec
from eventstore.redis.client import RedisClient
from eventstore.redis.driver.scripts import PlainCall


class ApiKeyTable:
    """Records of API keys by their ids."""

    def __init__(self, store: RedisClient) -> None:
        self._store = store
        self._key = store.keys.registry("api_keys")

    def add(self, key_id: str, record: Mapping[str, Any]) -> None:
        """Store the record of a key, or replace it."""
        raw = codec.encode(dict(record))
        self._store.call([PlainCall((b"HSET", self._key, key_id, raw))])

    def get(self, key_id: str) -> dict[str, Any] | None:
        """Return the record of a key, None where there is none."""
        raw = self._store.call([PlainCall((b"HGET", self._key, key_id))])[0]
        record: dict[str, Any] | None = None if raw is None else codec.decode(raw)
        return record

    def every(self) -> dict[str, dict[str, Any]]:
        """Return all records by id."""
        reply = self._store.call([PlainCall((b"HGETALL", self._key))])[0]
        entries = (
            reply.items()
            if isinstance(reply, dict)
            else zip(reply[::2], reply[1::2], strict=True)
        )
        return {name.decode(): codec.decode(raw) for name, raw in entries}

    def remove(self, key_id: str) -> bool:
        """Remove a key, and tell whether it was there."""
        removed = self._store.call([PlainCall((b"HDEL", self._key, key_id))])[0]
        return bool(removed)
