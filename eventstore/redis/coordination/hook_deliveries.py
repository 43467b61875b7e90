"""What has come to inbound hooks; see lua/hook.lua."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from eventstore.redis.client import RedisClient
from eventstore.redis.driver.retries import retrying
from eventstore.redis.driver.scripts import PlainCall, Script, ScriptCall, load_text

MOST_DELIVERIES: Final = 1_000
"""So many deliveries of a hook are kept."""

MOST_BYTES: Final = 16 * 1024 * 1024
"""So much of their contents is kept of a hook."""

KEPT_MS: Final = 7 * 24 * 3_600_000
"""So long they are kept."""

_FIELDS: Final = 5


@dataclass(frozen=True, slots=True)
class StoredDelivery:
    """A delivery as it is kept; `outcome` is the run that it has come to, or what went wrong."""

    id: str
    digest: str
    content: bytes
    status: str
    outcome: str = ""
    received_ms: int = 0
    replays: int = 0
    is_new: bool = False


class HookDeliveryStore:
    """The deliveries to hooks; each method may be sent again."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._script = Script("hook", load_text("hook.lua"))

    def take(self, hook: str, delivery: StoredDelivery) -> StoredDelivery:
        """Keep a delivery, and return what is kept under its id: that, or an earlier one."""
        bounds = (MOST_DELIVERIES, MOST_BYTES, KEPT_MS)
        asked = (delivery.digest, delivery.content, delivery.status, delivery.outcome)
        reply = self._call(hook, "take", delivery.id, *asked, *bounds)
        return StoredDelivery(
            id=delivery.id,
            digest=reply[1].decode(),
            content=reply[2],
            status=reply[3].decode(),
            outcome=reply[4].decode(),
            is_new=bool(reply[0]),
        )

    def note(
        self, hook: str, delivery: str, status: str, outcome: str, *, again: bool
    ) -> None:
        """Note what a delivery has come to."""
        self._call(hook, "note", delivery, status, outcome, int(again))

    def newest(self, hook: str, limit: int) -> list[StoredDelivery]:
        """Return the newest deliveries of a hook, the newest first."""
        _, order = self._client.keys.hook(hook)
        command = (b"ZREVRANGE", order, 0, limit - 1, b"WITHSCORES")
        flat = self._client.call([PlainCall(command)])[0]
        times = {raw: int(float(ms)) for raw, ms in _pairs(flat)}
        return self._read(hook, times)

    def get(self, hook: str, delivery: str) -> StoredDelivery | None:
        """Return a delivery, None where there is none, or it is no longer kept."""
        _, order = self._client.keys.hook(hook)
        ms = self._client.call([PlainCall((b"ZSCORE", order, delivery))])[0]
        if ms is None:
            return None
        kept = self._read(hook, {delivery.encode(): int(float(ms))})
        return kept[0] if kept else None

    def drop(self, hook: str) -> None:
        """Remove all deliveries of a hook."""
        self._client.call([PlainCall((b"DEL", *self._client.keys.hook(hook)))])

    def _read(self, hook: str, times: dict[bytes, int]) -> list[StoredDelivery]:
        if not times:
            return []
        content, _ = self._client.keys.hook(hook)
        fields = [kind + raw for raw in times for kind in _KINDS]
        flat = self._client.call([PlainCall((b"HMGET", content, *fields))])[0]
        rows = [flat[at : at + _FIELDS] for at in range(0, len(flat), _FIELDS)]
        return [
            StoredDelivery(
                id=raw.decode(),
                digest=row[0].decode(),
                content=row[1],
                status=row[2].decode(),
                outcome=row[3].decode(),
                received_ms=ms,
                replays=int(row[4] or 0),
            )
            for (raw, ms), row in zip(times.items(), rows, strict=True)
            if row[0] is not None  # it made room since the ids were read
        ]

    def _call(self, hook: str, *args: Any) -> Any:
        call = ScriptCall(self._script, list(self._client.keys.hook(hook)), list(args))
        return retrying(lambda: self._client.call([call])[0])


_KINDS: Final = (b"g:", b"c:", b"s:", b"o:", b"r:")


def _pairs(flat: Sequence[Any]) -> list[tuple[bytes, Any]]:
    """Return ids with their times; drivers of a newer protocol give pairs already."""
    if flat and isinstance(flat[0], list | tuple):
        return [(pair[0], pair[1]) for pair in flat]
    return list(zip(flat[::2], flat[1::2], strict=True))
