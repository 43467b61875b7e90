"""What workers were told from elsewhere: what holds now, and a log of who said it and why; see lua/order.lua."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eventstore import codec
from eventstore.redis.client import RedisClient
from eventstore.redis.driver.scripts import PlainCall, Script, ScriptCall, load_text
from eventstore.redis.stored_texts import pairs_of

InForce = Mapping[str, Mapping[str, Any]]
"""What holds, by "<what> <for whom>"."""


class WorkerOrders:
    """The orders of one store; safe for threads."""

    def __init__(self, store: RedisClient) -> None:
        self._store = store
        self._script = Script("order", load_text("order.lua"))
        self._orders, self._log = store.keys.orders(), store.keys.orders("log")

    def give(
        self, name: str, order: Mapping[str, Any], *, holds: bool
    ) -> dict[str, Any]:
        """Say something, or that it holds no more; returns it with when that was."""
        arguments = [name, codec.encode(dict(order)), int(holds)]
        call = ScriptCall(self._script, [self._orders, self._log], arguments)
        noted: dict[str, Any] = codec.decode(self._store.call([call])[0])
        return noted

    def reading(self) -> PlainCall:
        """Return the call that reads what holds; `in_force_of` reads its reply."""
        return PlainCall((b"HGETALL", self._orders))

    def in_force(self) -> InForce:
        """Return what holds."""
        return in_force_of(self._store.call([self.reading()])[0])

    def forget(self, names: Sequence[str]) -> None:
        """Let nothing hold any more of what was said to workers that have ended."""
        if names:
            self._store.call([PlainCall((b"HDEL", self._orders, *names))])

    def log(self, at_most: int) -> list[tuple[str, dict[str, Any]]]:
        """Return what was said, the latest first."""
        call = PlainCall((b"XREVRANGE", self._log, "+", "-", b"COUNT", at_most))
        entries = self._store.call([call])[0]
        return [
            (fields[b"o"].decode(), codec.decode(fields[b"d"]))
            for fields in (dict(pairs_of(entry[1])) for entry in entries)
        ]


def in_force_of(reply: Any) -> InForce:
    """Return what holds, from the reply of what reads it."""
    return {name.decode(): codec.decode(order) for name, order in pairs_of(reply)}
