"""What runs and archives say of events that are no longer what they were, or no longer there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from eventstore import codec
from eventstore.ledger_store import Stored
from eventstore.spans import Span
from projections.ledger.findings import CHANGED, REMOVED
from projections.ledger.records import digest


@dataclass(frozen=True, slots=True)
class Erasures:
    """What records of erasing name: (run, version) -> [(SHA-256 of what stands there, commitment to what stood)]."""

    known: dict[tuple[str, int], list[tuple[str, str]]] = field(default_factory=dict)

    @classmethod
    def of(cls, events: Iterable[Stored]) -> Erasures:
        """Read the records among events."""
        found = cls()
        for event in events:
            found.read(event)
        return found

    def read(self, event: Stored) -> None:
        """Read an event, if it is a record."""
        if event.type == "RunRedacted":
            for item in codec.members_of(event.data).get("erased") or ():
                if isinstance(item, list) and len(item) == 3 and type(item[0]) is int:
                    self.known.setdefault((event.stream, item[0]), []).append((str(item[1]), str(item[2])))

    def cover(self, run: str, version: int, stands: str, committed: bytes) -> bool:
        """Tell whether a record names an event with the SHA-256 of what stands there, and what stood there."""
        named = self.known.get((run, version), [])
        return any(now == stands for now, _ in named[-1:]) and any(was == committed.hex() for _, was in named)


def archived_spans(event: Stored) -> list[Span]:
    """Give the positions that an event says to be taken into an archive, from the first to the last of each piece."""
    if event.type not in ("RunArchived", "RunDeleted") or not event.stream.endswith("-archive"):
        return []
    return [
        (item[0], item[1])
        for item in codec.members_of(event.data).get("positions") or ()
        if isinstance(item, list) and len(item) == 2 and all(type(x) is int for x in item)
    ]


def payloads(event: Stored) -> list[str]:
    """Give the SHA-256 of the payloads of an event that are stored beside the log."""
    if b'"blobs"' not in event.data:
        return []
    listed = codec.members_of(event.data).get("blobs")
    items = listed if isinstance(listed, list) else []
    return [item[1] for item in items if isinstance(item, list) and len(item) > 1 and isinstance(item[1], str)]


def amiss(event: Stored, blob: Callable[[str], bytes | None]) -> Iterator[tuple[str, str]]:
    """Give what is wrong with the payloads of an event that are stored beside the log: kind of finding, and what."""
    for sha in payloads(event):
        raw = blob(sha)
        if raw is None or digest(raw) != sha:
            kind, what = (REMOVED, "is gone") if raw is None else (CHANGED, "is not what was sealed")
            yield kind, f"payload {sha} of {event.type} {what}"
