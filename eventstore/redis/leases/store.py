"""Leases in the store: each call is one script, and safe to repeat; the rules are in lua/lease.lua."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, cast

from eventstore.errors import LockLost
from eventstore.keys import CATALOG
from eventstore.redis.client import RedisClient
from eventstore.redis.driver.scripts import PlainCall, Script, ScriptCall, load_text
from eventstore.redis.leases.fenced import raising
from eventstore.redis.leases.record import LeaseRecord, LeaseReply, LeaseState
from eventstore.redis.stored_texts import pairs_of

_SCRIPT: Final = "lease"

_PUBLISHED: Final = ("components", "workflows", "aliases")
"""Parts of what older versions have published: whoever carries them over takes them away under a lease."""


class LeaseStore:
    """The leases of a store; all of them lie in one slot."""

    def __init__(self, store: RedisClient) -> None:
        self._store = store
        self._keys = store.keys
        self._script = Script(_SCRIPT, load_text("lease.lua"))
        self._names = [store.keys.leases(), store.keys.lease_ends()]

    def take(
        self, name: str, holder: str, request: str, lease_ms: int
    ) -> tuple[bool, int, LeaseRecord]:
        """Take a lease unless somebody has it; the same request again gives the same lease.

        Gives whether it is taken, the store's time, and the lease: the new one, or that of who has it.
        """
        reply = self._raw("take", name, lease_ms, request, _bytes(holder))
        done, now_ms, *fields = reply
        return done == 1, int(now_ms), _record(name, fields)

    def renew(self, name: str, token: int, lease_ms: int) -> LeaseReply:
        """Hold a lease for longer, unless it has run out."""
        return self._call("renew", name, token, lease_ms)

    def give_back(self, name: str, token: int) -> LeaseReply:
        """Give a lease back; not done when it is lost."""
        return self._call("free", name, token)

    def look(self, name: str, token: int = 0) -> LeaseReply:
        """Look at a lease; done when it is held with that token."""
        return self._call("look", name, token)

    def take_away(
        self, name: str, token: int, *, by: str = "", reason: str = ""
    ) -> LeaseReply:
        """Take a lease from its holder, whose writes are refused from the beginning of this call on.

        First the writes, then the lease: who dies in between leaves a holder that cannot write, and not two that can.
        Whoever has taken it by then is another holder, and goes on: the fences are lower than what is taken after this.
        """
        done, now_ms, *fields = self._raw("token", name, token)
        if done != 1:
            record = _record(name, fields) if fields else None
            return LeaseReply(False, int(now_ms), record)
        fresh = int(fields[0])
        now_ms = int(now_ms)
        calls = [
            raising(self._keys.fence(key, name), name, fresh, now_ms + _LONG_MS)
            for key in self._slots()
        ]
        for reply in self._store.answers(calls):
            # Where somebody has taken it since, with a higher token, the holder before cannot write either.
            if isinstance(reply, Exception) and not isinstance(reply, LockLost):
                raise reply
        return self._call("break", name, token, _taken_away(by, reason))

    def _slots(self) -> list[bytes]:
        """Return a key of each slot in which stores write under leases."""
        keys = self._keys
        partitions = (*range(keys.partitions), CATALOG)
        alone = [keys.views(), keys.audit(), *map(keys.registry, _PUBLISHED)]
        return [*map(keys.meta, partitions), *alone]

    def all(self) -> list[LeaseRecord]:
        """Return the leases that are held, and those that ran out or were taken away within a day, by name."""
        [reply] = self._store.call([PlainCall((b"HGETALL", self._names[0]))])
        return sorted(_listed(pairs_of(reply)), key=lambda record: record.name)

    def _call(self, operation: str, name: str, *args: Any) -> LeaseReply:
        done, now_ms, *fields = self._raw(operation, name, *args)
        record = _record(name, fields) if fields else None
        return LeaseReply(done == 1, int(now_ms), record)

    def _raw(self, operation: str, name: str, *args: Any) -> Sequence[Any]:
        call = ScriptCall(self._script, self._names, [operation, name, *args])
        reply: Sequence[Any] = self._store.call([call])[0]
        return reply


_LONG_MS: Final = 86_400_000
"""How long a fence stays that was raised for nobody: longer than a lease may be without being renewed."""


def _listed(pairs: Iterable[tuple[bytes, bytes]]) -> Iterator[LeaseRecord]:
    for raw_name, raw in pairs:
        if raw_name:  # the last token stands among them, under no name
            record = _record(_text(raw_name), raw.split(b"|", 6))
            if record.state != "free":
                yield record


def _record(name: str, fields: Sequence[bytes]) -> LeaseRecord:
    token, since, until, lease, state, request, holder = fields
    told = _told_of(request) if state == b"broken" else {}
    return LeaseRecord(
        name=name,
        token=int(token),
        holder=_text(holder),
        since_ms=int(since),
        until_ms=int(until),
        lease_ms=int(lease),
        state=cast(LeaseState, _text(state)),
        by=told.get("by", ""),
        reason=told.get("reason", ""),
    )


def _taken_away(by: str, reason: str) -> str:
    """Write who has taken a lease away, and why, without the character between the fields of a record."""
    return json.dumps({"by": by, "reason": reason}).replace("|", "\\u007c")


def _told_of(raw: bytes) -> dict[str, str]:
    """Read who has taken a lease away; earlier versions have kept the request of its holder there."""
    if not raw.startswith(b"{"):
        return {}
    told: dict[str, str] = json.loads(raw)
    return told


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")
