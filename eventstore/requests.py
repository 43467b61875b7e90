"""What every adapter checks before it appends."""

from __future__ import annotations

from collections.abc import Sequence

from eventstore.codec import encode, normalise
from eventstore.errors import InvalidRequest, LogTruncated, NotJson, PayloadTooLarge
from eventstore.event import Checkpoint, Event

MAX_EVENT_BYTES = 1024 * 1024
COMMIT_WINDOW = 10_000
"""How many of a stream's newest events are searched for a commit id."""


def encoded(
    stream: str, events: Sequence[Event], max_bytes: int
) -> list[tuple[str, bytes, bytes]]:
    """Return type, data and metadata of events as they are stored.

    Raises InvalidRequest, NotJson and PayloadTooLarge.
    """
    if not events:
        raise InvalidRequest(f"stream {stream!r}: an append needs at least one event")
    drafts = []
    for index, event in enumerate(events):
        try:
            data = encode(normalise(event.data))
            metadata = (
                encode(normalise(dict(event.metadata))) if event.metadata else b""
            )
        except NotJson as error:
            raise NotJson(
                f"stream {stream!r}, event {index}: {error}", "append JSON only"
            ) from error
        size = len(data) + len(metadata)
        if size > max_bytes:
            raise PayloadTooLarge(f"stream {stream!r}, event {index}", size, max_bytes)
        drafts.append((event.type, data, metadata))
    return drafts


def check_checkpoint(
    checkpoint: Checkpoint | None, stream: str, partition: int
) -> None:
    """Check that a checkpoint can be stored with an append.

    Raises InvalidRequest.
    """
    if checkpoint is None:
        return
    if checkpoint.position.partition != partition:
        raise InvalidRequest(
            f"the checkpoint lies in partition {checkpoint.position.partition}, stream {stream!r} in {partition}: "
            "only what lies in one partition can be stored in one step"
        )
    if checkpoint.position.n < 1:
        raise InvalidRequest(
            f"a checkpoint of {checkpoint.position.n} says nothing; positions begin at 1"
        )


def check_partition(partition: int, count: int) -> int:
    """Return a partition that is there.

    Raises InvalidRequest.
    """
    if not 0 <= partition < count:
        raise InvalidRequest(
            f"there is no partition {partition}; the store has 0 to {count - 1}"
        )
    return partition


def check_cursor(partition: int, after: int, head: int) -> int:
    """Return the position behind which to read.

    Raises LogTruncated when the log ends before it: it was read once, so it has been lost.
    """
    if after > head:
        raise LogTruncated(partition, after, head)
    return max(0, after)
