"""Locks with lines, rates and debounces by key: each key lives in one partition, whoever asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from eventstore.redis.client import RedisClient
from eventstore.redis.driver.scripts import Script, ScriptCall, load_text


@dataclass(frozen=True, slots=True)
class Token:
    """What a rate says: to wait so long, 0 for a token that was taken.

    `early` are others who may come earlier than they were told, `overdue` is the first in line if it does not come.
    """

    wait_ms: int
    early: tuple[str, ...] = ()
    overdue: str = ""


class Left(NamedTuple):
    """What leaving says: who may have room now, or the version of a `later` admission, which holds the lock still."""

    later: int
    followers: tuple[str, ...]


class Semaphores:
    """Gates by name; members are "run|step". Every call is one round trip and safe to repeat."""

    def __init__(self, store: RedisClient) -> None:
        self._store = store
        self._script = Script("gate", load_text("gate.lua"))

    def take(
        self, name: str, member: str, limit: int, priority: int = 0, version: int = 0
    ) -> tuple[int, tuple[str, ...]]:
        """Take a place among `limit` holders, or one in the line.

        Gives the fence, 0 while there is no room, and then some who hold the gate, oldest first, and the first in line.
        `version` is that of the member's run when it was found to need the lock.
        """
        taken, *rest = self._call(name, "take", member, limit, priority, version)
        if taken:
            return int(rest[0]), ()
        return 0, tuple(_text(x) for x in rest)

    def leave(self, name: str, member: str, version: int | None = None) -> Left:
        """Give a place back, or leave the line, and return who may have room now.

        `version` is that of the member's run when it was found to have no use for the lock: an admission that came
        later is left alone. Without one, the member leaves whatever it holds.
        """
        bound = "" if version is None else version
        later, *followers = self._call(name, "leave", member, bound)
        return Left(int(later), tuple(_text(x) for x in followers))

    def rate(self, name: str, member: str, limit: int, period_ms: int) -> Token:
        """Take a token from a bucket of `limit` that fills in a period, or a place in the line for one."""
        taken, *rest = self._call(name, "rate", member, limit, period_ms)
        if taken:
            return Token(0, early=tuple(_text(x) for x in rest))
        return Token(max(1, int(rest[0])), overdue=_text(rest[1]))

    def drop(
        self, name: str, member: str, limit: int, period_ms: int
    ) -> tuple[str, ...]:
        """Leave the line for a token; gives those who may come earlier than they were told."""
        return tuple(
            _text(x) for x in self._call(name, "drop", member, limit, period_ms)
        )

    def newest(
        self, name: str, member: str, started_ms: int, period_ms: int
    ) -> tuple[bool, str]:
        """Take the place of whoever came before; tells whether it is the newest, and whose place it took, if any."""
        newest, before = self._call(name, "newest", member, started_ms, period_ms)
        return bool(newest), _text(before)

    def _call(self, name: str, *args: Any) -> Sequence[Any]:
        keys = self._store.keys
        partition = keys.partition_of(name)
        names = [
            keys.meta(partition),
            keys.gate(partition, name),
            keys.line(partition, name),
        ]
        reply: Sequence[Any] = self._store.call(
            [ScriptCall(self._script, names, list(args))]
        )[0]
        return reply


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogatepass")
    return str(value)
