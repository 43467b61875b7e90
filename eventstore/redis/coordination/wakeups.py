"""Who is awake for a queue, and where its work is: hints only, see lua/bell.lua."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from eventstore.errors import EventStoreError
from eventstore.keys import Keyspace
from eventstore.redis.driver.connection import Connection
from eventstore.redis.driver.scripts import (
    PlainCall,
    Script,
    ScriptCall,
    Scripts,
    load_text,
)
from eventstore.runs import HintRequest


@functools.cache
def _script() -> Script:
    return Script("bell", load_text("bell.lua"))


@functools.lru_cache(maxsize=256)
def _names(prefix: str, queue: str) -> tuple[bytes, ...]:
    tag = f"{prefix}:{{q:{queue}}}:"
    return tuple(
        (tag + name).encode()
        for name in ("bell", "awake", "rung", "unanswered", "aside", "latest")
    )


def _keys(keyspace: Keyspace, queue: str) -> tuple[bytes, ...]:
    return _names(keyspace.prefix, queue)


def bell_of(keyspace: Keyspace, queue: str) -> bytes:
    """Name the hints of a queue, which whoever sleeps for it waits at."""
    return _keys(keyspace, queue)[0]


def latest_of(keyspace: Keyspace, queue: str) -> tuple[bytes, bytes]:
    """Name the partition that was rung for last, and those who are awake."""
    _, awake, *_, latest = _keys(keyspace, queue)
    return latest, awake


def ring_call(keyspace: Keyspace, queue: str, partitions: Sequence[int]) -> ScriptCall:
    """Build the call that says: these partitions have work; it replies 1 when a doorbell should be sent."""
    return ScriptCall(_script(), _keys(keyspace, queue), ["ring", *partitions])


def take_call(keyspace: Keyspace, request: HintRequest) -> ScriptCall:
    """Build the call by which a drain takes partitions to look at, and stays registered."""
    queue, drain, at_most, awake_ms, asleep_ms = request
    args = ["take", drain, awake_ms, at_most, asleep_ms]
    return ScriptCall(_script(), _keys(keyspace, queue), args)


class WakeUps:
    """The hints of one store; every call is one short round trip; who sleeps for them uses `RunStore.listen`."""

    def __init__(self, connection: Connection, keyspace: Keyspace) -> None:
        self._scripts = Scripts(connection)
        self._script = _script()
        self._keyspace = keyspace
        self._seen: dict[tuple[str, int], bytes] = {}

    def _keys(self, queue: str) -> tuple[bytes, ...]:
        return _keys(self._keyspace, queue)

    def ring(self, queue: str, partitions: Sequence[int]) -> bool:
        """Say that partitions have work; True when nobody is awake and the caller should send a doorbell."""
        return bool(self._run(ring_call(self._keyspace, queue, partitions)))

    def woke(self, queue: str, drain: str, ttl_ms: int, at_most: int) -> list[int]:
        """Register a drain that a doorbell started and take partitions to look at."""
        args = ["woke", drain, ttl_ms, at_most]
        call = ScriptCall(self._script, self._keys(queue), args)
        return self.taken(queue, self._run(call))

    def take(
        self,
        queue: str,
        drain: str,
        ttl_ms: int,
        at_most: int,
        asleep_ms: int | None = None,
    ) -> list[int]:
        """Stay registered for `ttl_ms` and take partitions to look at; for `asleep_ms` when there are none."""
        asleep = ttl_ms if asleep_ms is None else asleep_ms
        request = HintRequest(queue, drain, at_most, ttl_ms, asleep)
        return self.taken(queue, self._run(take_call(self._keyspace, request)))

    def taken(self, queue: str, reply: Sequence[bytes]) -> list[int]:
        """Read the partitions taken, and those where something was set aside since this process last looked there."""
        partitions: dict[int, None] = {}
        for item in reply:
            number, _, since = item.partition(b"@")
            partition = int(number)
            if since and self._seen.get((queue, partition)) == since:
                continue
            if since:
                self._seen[queue, partition] = since
            partitions[partition] = None
        return list(partitions)

    def aside(self, queue: str, partitions: Sequence[int]) -> bool:
        """Say that partitions have steps which those who looked cannot run; True when a doorbell should be sent."""
        return bool(
            self._run(
                ScriptCall(self._script, self._keys(queue), ["aside", *partitions])
            )
        )

    def hand_over(self, queue: str, drain: str, partitions: Sequence[int]) -> bool:
        """Say that partitions have work which the drain leaves to others; True as for `ring`."""
        return bool(
            self._run(
                ScriptCall(
                    self._script, self._keys(queue), ["pass", drain, *partitions]
                )
            )
        )

    def busy(self, queue: str, drain: str) -> bool:
        """Say that the drain will not look at the bell for a while; True when the caller should send a doorbell."""
        return bool(
            self._run(ScriptCall(self._script, self._keys(queue), ["busy", drain]))
        )

    def leave(self, queue: str, drain: str) -> list[int]:
        """End a drain, unless there is work after all: then those partitions are its."""
        return [
            int(p)
            for p in self._run(
                ScriptCall(self._script, self._keys(queue), ["leave", drain])
            )
        ]

    def waiting(self, queues: Sequence[str]) -> dict[str, int]:
        """Return in how many partitions queues have work that no drain has taken; one round trip for all of them."""
        replies = self._scripts.run_many(
            [PlainCall((b"ZCARD", self._keys(queue)[0])) for queue in queues]
        )
        for reply in replies:
            if isinstance(reply, EventStoreError):
                raise reply
        return {queue: int(reply) for queue, reply in zip(queues, replies, strict=True)}

    def _run(self, call: ScriptCall) -> Any:
        return self._scripts.run(call)
