"""Schedules in the store: each in the partition of its name, with its next time in that partition's due set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eventstore import codec
from eventstore.redis.client import RedisClient
from eventstore.redis.driver.scripts import PlainCall, Script, ScriptCall, load_text


@dataclass(frozen=True, slots=True)
class StoredSchedule:
    """A schedule as it is kept: what was asked for, and how far it has come."""

    name: str
    revision: str
    spec: Mapping[str, Any]
    state: Mapping[str, Any]


class ScheduleStore:
    """Reads and changes schedules; a change is refused when somebody else has made one meanwhile."""

    def __init__(self, store: RedisClient) -> None:
        self._store = store
        self._script = Script("schedule", load_text("schedule.lua"))

    def get(self, name: str) -> StoredSchedule | None:
        """Return a schedule, None when there is none of that name."""
        reply = self._store.call(
            [PlainCall((b"HMGET", self._key(name), b"rev", b"spec", b"state"))]
        )[0]
        if reply[0] is None:
            return None
        return StoredSchedule(
            name=name,
            revision=reply[0].decode(),
            spec=codec.decode(reply[1]),
            state=codec.decode(reply[2]),
        )

    def names(self) -> list[str]:
        """Return the names of all schedules."""
        keys = self._store.keys
        calls = [
            PlainCall((b"SMEMBERS", keys.view(p, "schedules")))
            for p in range(keys.partitions)
        ]
        return sorted(
            name.decode() for reply in self._store.call(calls) for name in reply
        )

    def put(
        self,
        name: str,
        expected: str,
        spec: Mapping[str, Any],
        state: Mapping[str, Any],
        next_ms: int | None,
    ) -> bool:
        """Create or change a schedule; `expected` is the revision seen, "0" none yet, "" any; False when it differs."""
        at = -1 if next_ms is None else next_ms
        return self._call(
            "put", name, expected, codec.encode(spec), codec.encode(state), at
        )

    def drop(self, name: str) -> None:
        """Remove a schedule."""
        self._call("drop", name, "", b"", b"", -1)

    def now_ms(self) -> int:
        """Return the server's time."""
        return self._store.now_ms()

    def _key(self, name: str) -> bytes:
        return self._store.keys.schedule(name)

    def _call(self, *args: Any) -> bool:
        keys = self._store.keys
        name = args[1]
        partition = keys.partition_of(name)
        names = [
            keys.meta(partition),
            self._key(name),
            keys.due(partition),
            keys.view(partition, "schedules"),
        ]
        return bool(
            self._store.call([ScriptCall(self._script, names, list(args))])[0][0]
        )
