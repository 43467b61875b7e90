"""What the ledger seals of events that were written in another store: that they are here as they came, and no more."""

from __future__ import annotations

from eventstore import codec
from eventstore.redis.ledger import Stored


def written_in(event: Stored) -> str:
    """Name the store that an event was written in, "" for this one, by the mark that it got when it came in."""
    if b'"imported"' not in event.metadata:
        return ""
    try:
        metadata = codec.decode(event.metadata)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(metadata, dict):
        return ""
    return str(metadata.get("imported") or "")
