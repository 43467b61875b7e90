"""The log: append with an expected version, read, tail, checkpoints; on Redis Streams and in memory.

The adapters are imported when they are asked for first (PEP 562): the words alone need no driver.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from eventstore.errors import (
    CheckpointNotRising,
    EventStoreError,
    InvalidRequest,
    LogTruncated,
    NotJson,
    NotReplicated,
    PayloadTooLarge,
    StoreRefused,
    StoreUnavailable,
    WrongExpectedVersion,
)
from eventstore.event import Appended, Checkpoint, Event, Position, Recorded
from eventstore.keys import Keyspace
from eventstore.store import Cursor, StreamStore, next_cursor
from eventstore.version import ANY, NO_STREAM, STREAM_EXISTS, Expected

if TYPE_CHECKING:
    from eventstore.memory.streams import MemoryStreamStore
    from eventstore.redis.driver.connection import Connection, connect
    from eventstore.redis.embedded.server import EmbeddedServer
    from eventstore.redis.streams import RedisStreamStore

__all__ = [
    "ANY",
    "NO_STREAM",
    "STREAM_EXISTS",
    "Appended",
    "Checkpoint",
    "CheckpointNotRising",
    "Connection",
    "Cursor",
    "EmbeddedServer",
    "Event",
    "EventStoreError",
    "Expected",
    "InvalidRequest",
    "Keyspace",
    "LogTruncated",
    "MemoryStreamStore",
    "NotJson",
    "NotReplicated",
    "PayloadTooLarge",
    "Position",
    "Recorded",
    "RedisStreamStore",
    "StoreRefused",
    "StoreUnavailable",
    "StreamStore",
    "WrongExpectedVersion",
    "connect",
    "next_cursor",
]

_HOMES = {
    "Connection": "redis.driver.connection",
    "EmbeddedServer": "redis.embedded.server",
    "MemoryStreamStore": "memory.streams",
    "RedisStreamStore": "redis.streams",
    "connect": "redis.driver.connection",
}


def __getattr__(name: str) -> Any:
    """Import an adapter when it is asked for first."""
    if name not in _HOMES:
        raise AttributeError(f"module 'eventstore' has no attribute {name!r}")
    return getattr(import_module(f"eventstore.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Name the words, imported or not."""
    return sorted(__all__)
