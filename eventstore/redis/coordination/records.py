"""Records that people keep in a store by name, such as API keys and hooks: each table is one hash."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from eventstore import codec
from eventstore.redis.client import RedisClient
from eventstore.redis.driver.scripts import PlainCall, Script, ScriptCall, load_text


class RecordTable:
    """The records of one kind."""

    def __init__(self, store: RedisClient, kind: str) -> None:
        self._store = store
        self._key = store.keys.registry(kind)
        self._swap = Script("record", load_text("record.lua"))

    def put(self, name: str, record: Mapping[str, Any]) -> None:
        """Store a record, or replace it."""
        raw = codec.encode(dict(record))
        self._store.call([PlainCall((b"HSET", self._key, name, raw))])

    def get(self, name: str) -> dict[str, Any] | None:
        """Return a record, None where there is none."""
        raw = self._read(name)
        record: dict[str, Any] | None = None if raw is None else codec.decode(raw)
        return record

    def change(
        self, name: str, change: Callable[[dict[str, Any]], Mapping[str, Any]]
    ) -> dict[str, Any] | None:
        """Put what `change` makes of a record in its place, and return that; None where there is none."""
        while (raw := self._read(name)) is not None:
            changed = dict(change(codec.decode(raw)))
            # Compared with what was read: what was removed meanwhile must not come back, nor what was replaced.
            arguments = [name, raw, codec.encode(changed)]
            [swapped] = self._store.call(
                [ScriptCall(self._swap, [self._key], arguments)]
            )
            if swapped:
                return changed
        return None

    def _read(self, name: str) -> bytes | None:
        raw: bytes | None = self._store.call([PlainCall((b"HGET", self._key, name))])[0]
        return raw

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
