"""Which run each idempotency key stands for, beside the log; see lua/note.lua."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eventstore.errors import EventStoreError, StoreUnavailable
from eventstore.redis.client import RedisClient
from eventstore.redis.driver.retries import retrying
from eventstore.redis.driver.scripts import (
    PlainCall,
    Script,
    ScriptCall,
    essential,
    load_text,
)


@dataclass(frozen=True, slots=True)
class KeyNote:
    """What a key is to stand for from now on, unless it stands for something else than what this is `instead_of`."""

    key: str
    text: bytes
    instead_of: bytes = b""


@dataclass(frozen=True, slots=True)
class KeptNote:
    """What a key stood for already, and for how many ms that is still kept."""

    text: bytes
    left_ms: int


class KeyNoteStore:
    """Writes notes by the first who comes; what is sent again changes nothing."""

    def __init__(self, client: RedisClient, kept_ms: int) -> None:
        self._client = client
        self._kept_ms = kept_ms
        self._script = Script("note", load_text("note.lua"))

    def write(
        self, notes: Sequence[KeyNote]
    ) -> list[KeptNote | EventStoreError | None]:
        """Note keys in one round trip, again while a server is away; None for those that stand for that from now on.

        Each may have an error of its own. In a cluster, that may be that the node of a key is away; a server that is
        alone is waited for, and then raises StoreUnavailable.
        """
        calls = [
            ScriptCall(
                self._script, [self._name(x.key)], [x.text, self._kept_ms, x.instead_of]
            )
            for x in notes
        ]
        replies: list[Any] = [None for _ in calls]

        def write() -> None:
            replies[:] = self._client.answers(calls)
            for reply in replies:
                if isinstance(reply, StoreUnavailable):
                    raise reply

        try:
            retrying(write)
        except StoreUnavailable:
            if not self._client.is_cluster:
                raise
        return [
            reply
            if reply is None or isinstance(reply, EventStoreError)
            else KeptNote(*reply)
            for reply in replies
        ]

    def keep_for(self, keys: Sequence[str], ms: int) -> None:
        """Keep what keys stand for so long from now on, also in a server at its memory limit."""
        self._client.call([essential(b"PEXPIRE", self._name(key), ms) for key in keys])

    def whereabouts(self, run: str) -> tuple[str, bool]:
        """Read the status of the run that a key stands for, "" where it is not there, and whether it is archived."""
        keys = self._client.keys
        head = PlainCall((b"HGET", keys.head(run), b"st"))
        gone = PlainCall((b"HEXISTS", keys.gone(keys.partition_of(run)), run))
        status, is_archived = self._client.call([head, gone])
        return (status or b"").decode(), bool(is_archived)

    def _name(self, key: str) -> bytes:
        return self._client.keys.asked(
            hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        )
