"""What runs and archives say of events that are no longer what they were, or no longer there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from eventstore import codec
from eventstore.intervals import Span
from eventstore.redis.ledger import Stored
from openagents_json.workflow.core import events as ev
from projections.ledger.findings import CHANGED, REMOVED
from projections.ledger.records import digest

EMPTY: Final = digest(b"")
"""The SHA-256 of metadata that is not there."""


def listed(data: Mapping[str, Any], name: str) -> list[Any]:
    """Return a list of an event's data, empty for what is none: the event may be one that others have made up."""
    value = data.get(name)
    return value if isinstance(value, list) else []


@dataclass(frozen=True, slots=True)
class ErasedHashes:
    """What stands in the place of what is erased: SHA-256 of data and of metadata, "" where a record is without it."""

    data: str
    metadata: str

    @classmethod
    def of(cls, event: Stored) -> ErasedHashes:
        """Return what an event has now."""
        return cls(digest(event.data), digest(event.metadata))


@dataclass(frozen=True, slots=True)
class _Named:
    record: int
    stands: ErasedHashes
    stood: str


@dataclass(frozen=True, slots=True)
class Erasures:
    """What the last record of erasing says of an event, by run and version; a file may have records in any order."""

    by_event: dict[tuple[str, int], _Named] = field(default_factory=dict)

    @classmethod
    def of(cls, events: Iterable[Stored]) -> Erasures:
        """Read the records among events."""
        erasures = cls()
        for event in events:
            erasures.read(event)
        return erasures

    def read(self, event: Stored) -> None:
        """Read an event, if it is a record."""
        if event.type != ev.RunRedacted.__name__:
            return
        data = codec.members_of(event.data)
        metadata = data.get("metadata")
        for item in listed(data, "erased"):
            if not _is_erasure(item):
                continue
            version, data_hash, committed = item
            # A record of an earlier version says nothing of metadata; one that does names all that is not empty.
            metadata_hash = ""
            if isinstance(metadata, dict):
                metadata_hash = str(metadata.get(str(version), EMPTY))
            stands = ErasedHashes(str(data_hash), metadata_hash)
            named = _Named(event.version, stands, str(committed))
            before = self.by_event.get((event.stream, version))
            # Records may come in any order: of an event the latest counts, not the one that is read last.
            if before is None or before.record < named.record:
                self.by_event[event.stream, version] = named

    def cover(
        self, run: str, version: int, stands: ErasedHashes, committed: bytes
    ) -> bool:
        """Tell whether the last record of an event names what stands there, and what stood there."""
        last = self.by_event.get((run, version))
        if last is None or last.stood != committed.hex():
            return False
        if last.stands.data != stands.data:
            return False
        return last.stands.metadata in ("", stands.metadata)


def _is_erasure(item: Any) -> bool:
    return isinstance(item, list) and len(item) == 3 and type(item[0]) is int


def archived_spans(event: Stored) -> list[Span]:
    """Return the positions that an event says to be taken into an archive, from the first to the last of each piece."""
    if event.type not in ("RunArchived", "RunDeleted"):
        return []
    if not event.stream.endswith("-archive"):
        return []
    positions = listed(codec.members_of(event.data), "positions")
    return [(item[0], item[1]) for item in positions if _is_span(item)]


def _is_span(item: Any) -> bool:
    if not isinstance(item, list) or len(item) != 2:
        return False
    return all(type(position) is int for position in item)


def payloads(event: Stored) -> list[str]:
    """Return the SHA-256 of the payloads of an event that are stored beside the log."""
    if b'"blobs"' not in event.data:
        return []
    blobs = listed(codec.members_of(event.data), "blobs")
    return [item[1] for item in blobs if _names_payload(item)]


def _names_payload(item: Any) -> bool:
    return isinstance(item, list) and len(item) > 1 and isinstance(item[1], str)


def amiss(
    event: Stored, blob: Callable[[str], bytes | None]
) -> Iterator[tuple[str, str]]:
    """Return what is wrong with the payloads of an event that are stored beside the log: kind of finding, and what."""
    for sha in payloads(event):
        raw = blob(sha)
        if raw is None:
            yield REMOVED, f"payload {sha} of {event.type} is gone"
        elif digest(raw) != sha:
            yield CHANGED, f"payload {sha} of {event.type} is not what was sealed"
