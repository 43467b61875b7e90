"""A store as the holder of a lease has it: each write says under which lease it is, and the server looks first.

Nothing here believes the holder's clock, or that it still holds the lease: a process that was paused does not know.
The token and the end of the lease travel with each write; the script that writes compares them, in the same atomic
step, with the highest token that came to its slot and with the server's clock (lua/fenced.lua).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Final, Protocol

from eventstore.errors import LockLost, StoreUnavailable
from eventstore.keys import Keyspace
from eventstore.redis.client import RedisClient
from eventstore.redis.driver.connection import Connection
from eventstore.redis.driver.scripts import (
    Call,
    PlainCall,
    Script,
    ScriptCall,
    Scripts,
    essential,
    load_text,
)
from eventstore.redis.streams import RedisStreamStore


class Guard(Protocol):
    """What is said with each write: the lease, and until when it is held as far as is known here."""

    @property
    def name(self) -> str:
        """Return the name of the lease."""
        ...

    @property
    def token(self) -> int:
        """Return the token of the lease."""
        ...

    @property
    def until_ms(self) -> int:
        """Return the end of the lease by the store's clock."""
        ...


_READS: Final = frozenset(
    b"GET MGET STRLEN EXISTS HGET HMGET HGETALL HLEN HSCAN HEXISTS SMEMBERS SCARD ZSCORE ZCARD ZRANGE "
    b"ZRANGEBYLEX ZRANGEBYSCORE XLEN XRANGE XREVRANGE".split()
)
"""Commands that read the key behind their name. What is not among them is taken for a write."""

UNSURE: Final = "nothing was written but what was sent before a connection broke"

_ASIDE: Final = frozenset({b"TIME", b"MEMORY", b"SCAN"})
"""Commands that name no key behind their name, and write nothing."""


class FencedScripts(Scripts):
    """Sends calls under a lease: who held it before has come to an end in each slot that is read or written here."""

    def __init__(self, connection: Connection, keys: Keyspace, guard: Guard) -> None:
        super().__init__(connection)
        self._keys = keys
        self._guard = guard
        self._raised: set[bytes] = set()
        self._is_unsure = False

    def run_many(self, calls: Sequence[Call]) -> list[Any]:
        """Send calls as those of a holder; a write is answered by LockLost where the lease is not held any more.

        Raises StoreUnavailable, and LockLost where it is lost before anything was sent.
        """
        try:
            self._raise_fences(calls)
            replies = super().run_many([self._guarded(call) for call in calls])
        except StoreUnavailable:
            self._is_unsure = True
            raise
        return [self._told(reply) for reply in replies]

    def _raise_fences(self, calls: Sequence[Call]) -> None:
        """Come to slots for the first time; before anything is read there, and so not in the same pipeline."""
        keys = [key for key in map(_key_of, calls) if key is not None]
        fences = {self._fence(key) for key in keys} - self._raised
        if not fences:
            return
        guard = self._guard
        raises = [
            raising(fence, guard.name, guard.token, guard.until_ms) for fence in fences
        ]
        for reply in super().run_many(raises):
            if isinstance(reply, Exception):
                raise self._told(reply)
        self._raised |= fences

    def _guarded(self, call: Call) -> Call:
        if isinstance(call, PlainCall):
            command, *rest = call.args
            if command in _READS or command in _ASIDE:
                return call
            call = essential(command, rest[0], *rest[1:])
        guard = self._guard
        return ScriptCall(
            _fenced(call.script.name, call.script.text),
            [*call.keys, self._fence(call.keys[0])],
            [*call.args, guard.name, guard.token, guard.until_ms],
        )

    def _fence(self, key: bytes) -> bytes:
        return self._keys.fence(key, self._guard.name)

    def _told(self, reply: Any) -> Any:
        """Say of a lost lease what is not known: what was sent before a connection broke may have been carried out."""
        if isinstance(reply, LockLost) and self._is_unsure:
            return LockLost(reply.name, reply.token, reply.why, UNSURE)
        return reply


def _key_of(call: Call) -> bytes | None:
    if isinstance(call, ScriptCall):
        return call.keys[0]
    return None if call.args[0] in _ASIDE else call.args[1]


@functools.cache
def _fenced(name: str, text: str) -> Script:
    """Return a script that looks at the lease first; its name stays, and with it what is known of its replies."""
    shebang, _, body = text.partition("\n")
    return Script(name, f"{shebang}\n{load_text('fenced.lua')}{body}")


@functools.cache
def _fence_script() -> Script:
    return Script("fence", load_text("fence.lua"))


def raising(fence: bytes, name: str, token: int, until_ms: int) -> ScriptCall:
    """Return the call by which nobody with an older token writes in a slot any more."""
    return ScriptCall(_fence_script(), [fence], [name, token, until_ms])


def fenced_client(connection: Connection, keys: Keyspace, guard: Guard) -> RedisClient:
    """Return a client whose writes are refused when a lease is lost."""
    return RedisClient(connection, keys, scripts=FencedScripts(connection, keys, guard))


def fenced_streams(
    connection: Connection, keys: Keyspace, guard: Guard
) -> RedisStreamStore:
    """Return the log of a store, to which nothing is written when a lease is lost."""
    return RedisStreamStore(
        connection, keys, scripts=FencedScripts(connection, keys, guard)
    )
