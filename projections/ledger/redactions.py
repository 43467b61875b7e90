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
    found = data.get(name)
    return found if isinstance(found, list) else []


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

    known: dict[tuple[str, int], _Named] = field(default_factory=dict)

    @classmethod
    def of(cls, events: Iterable[Stored]) -> Erasures:
        """Read the records among events."""
        found = cls()
        for event in events:
            found.read(event)
        return found

    def read(self, event: Stored) -> None:
        """Read an event, if it is a record."""
        if event.type != ev.RunRedacted.__name__:
            return
        data = codec.members_of(event.data)
        metadata = data.get("metadata")
        for item in listed(data, "erased"):
            if isinstance(item, list) and len(item) == 3 and type(item[0]) is int:
                version, now, was = item
                # A record of an earlier version says nothing of metadata; one that does names all that is not empty.
                other = (
                    str(metadata.get(str(version), EMPTY))
                    if isinstance(metadata, dict)
                    else ""
                )
                named = _Named(event.version, ErasedHashes(str(now), other), str(was))
                before = self.known.get((event.stream, version))
                if before is None or before.record < named.record:
                    self.known[event.stream, version] = named

    def cover(
        self, run: str, version: int, stands: ErasedHashes, committed: bytes
    ) -> bool:
        """Tell whether the last record of an event names what stands there, and what stood there."""
        last = self.known.get((run, version))
        if last is None or last.stood != committed.hex():
            return False
        return last.stands.data == stands.data and last.stands.metadata in (
            "",
            stands.metadata,
        )


def archived_spans(event: Stored) -> list[Span]:
    """Return the positions that an event says to be taken into an archive, from the first to the last of each piece."""
    if event.type not in ("RunArchived", "RunDeleted") or not event.stream.endswith(
        "-archive"
    ):
        return []
    return [
        (item[0], item[1])
        for item in listed(codec.members_of(event.data), "positions")
        if isinstance(item, list)
        and len(item) == 2
        and all(type(x) is int for x in item)
    ]


def payloads(event: Stored) -> list[str]:
    """Return the SHA-256 of the payloads of an event that are stored beside the log."""
    if b'"blobs"' not in event.data:
        return []
    items = listed(codec.members_of(event.data), "blobs")
    return [
        item[1]
        for item in items
        if isinstance(item, list) and len(item) > 1 and isinstance(item[1], str)
    ]


def amiss(
    event: Stored, blob: Callable[[str], bytes | None]
) -> Iterator[tuple[str, str]]:
    """Return what is wrong with the payloads of an event that are stored beside the log: kind of finding, and what."""
    for sha in payloads(event):
        raw = blob(sha)
        if raw is None or digest(raw) != sha:
            kind, what = (
                (REMOVED, "is gone")
                if raw is None
                else (CHANGED, "is not what was sealed")
            )
            yield kind, f"payload {sha} of {event.type} {what}"
