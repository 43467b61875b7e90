"""The log: append with an expected version, read, tail, checkpoints; on Redis Streams and in memory."""

from eventstore.errors import (
    CheckpointNotRising,
    EventStoreError,
    InvalidRequest,
    LogTruncated,
    NotJson,
    PayloadTooLarge,
    StoreRefused,
    StoreUnavailable,
    WrongExpectedVersion,
)
from eventstore.event import Appended, Checkpoint, Event, Position, Recorded
from eventstore.store import Cursor, StreamStore, next_cursor
from eventstore.version import ANY, NO_STREAM, STREAM_EXISTS, Expected

__all__ = [
    "ANY",
    "NO_STREAM",
    "STREAM_EXISTS",
    "Appended",
    "Checkpoint",
    "CheckpointNotRising",
    "Cursor",
    "Event",
    "EventStoreError",
    "Expected",
    "InvalidRequest",
    "LogTruncated",
    "NotJson",
    "PayloadTooLarge",
    "Position",
    "Recorded",
    "StoreRefused",
    "StoreUnavailable",
    "StreamStore",
    "WrongExpectedVersion",
    "next_cursor",
]
