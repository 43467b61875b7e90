"""Names of the catalog that are not what their events come to: told by the doctor, and written anew from the events.

A catalog may be larger than the memory of who looks: of all names, only where their events are is held at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final

import msgspec

from eventstore.redis.coordination.catalog import (
    CatalogStore,
    Place,
    StoredName,
    as_stored,
)
from eventstore.redis.driver.fitness.findings import Finding
from executor.integrity.mending import RepairResult
from openagents_json.catalog.log.entries import (
    NOTHING,
    CatalogEvent,
    decoded,
    encoded,
    folded,
    read_event,
)
from openagents_json.catalog.names import searched_words
from openagents_json.engine.wiring.client import Core

_MOST_NAMED: Final = 5

_AT_ONCE: Final = 200
"""So many names are compared with their events in one go."""

_MISSING: Final = hashlib.sha256().digest()

Positions = Mapping[str, Sequence[Place]]
"""Where the events of each name are, oldest first."""


@dataclass(frozen=True, slots=True)
class DamagedName:
    """A name that is stored otherwise than its events have it; `stored` is None where it is missing."""

    key: str
    stored: bytes | None
    due: StoredName
    events: Sequence[CatalogEvent]


def damaged_names(store: CatalogStore) -> Iterator[DamagedName]:
    """Compare all names of the catalog with its events; those that change meanwhile are left out."""
    # In this order: a name that is the same before the events were looked at and behind it has got none in between.
    before = {key: _digest(raw) for key, raw in store.entries_as_stored()}
    positions, unknown = _positions(store)
    # What those come to, nobody knows here: they are left as they are.
    keys = sorted(
        key for key in {*before, *positions} if key.partition(":")[2] not in unknown
    )
    for start in range(0, len(keys), _AT_ONCE):
        part = keys[start : start + _AT_ONCE]
        now = zip(part, store.as_stored(part), strict=True)
        still = {
            key: raw for key, raw in now if _digest(raw) == before.get(key, _MISSING)
        }
        yield from _differing(store, still, positions)


def _digest(raw: bytes | None) -> bytes:
    return hashlib.sha256(raw or b"").digest()


def _positions(store: CatalogStore) -> tuple[Positions, Set[str]]:
    """Return where the events of names are, and the names of which a later version has written what is unknown here."""
    positions: dict[str, list[Place]] = {}
    unknown = set[str]()
    for item in store.all_events():
        event = read_event(item.type, item.data)
        if event is None:
            unknown.add(str(item.data.get("name")))
            continue
        key = f"{event.kind}:{event.data['name']}"
        positions.setdefault(key, []).append(Place(item.version, item.time_ms))
    return positions, unknown


def _differing(
    store: CatalogStore, stored: Mapping[str, bytes | None], positions: Positions
) -> Iterator[DamagedName]:
    versions = [
        position.version for key in stored for position in positions.get(key, ())
    ]
    events_by_version = {
        item.version: read_event(item.type, item.data) for item in store.read(versions)
    }
    for key, raw in stored.items():
        at = tuple(positions.get(key, ()))
        happened = (events_by_version[position.version] for position in at)
        events = [*filter(None, happened)]
        due = _due(at, events)
        if _differs(raw, due):
            yield DamagedName(key, raw, due, events)


def _due(at: tuple[Place, ...], events: Sequence[CatalogEvent]) -> StoredName:
    """Return a name as it has to be stored."""
    if not events:
        return StoredName()
    entry = NOTHING
    for event in events:
        entry = folded(entry, event)
    return StoredName(at, encoded(entry))


def _differs(raw: bytes | None, due: StoredName) -> bool:
    if raw is None or due.entry is None:
        return True
    at, _, entry = raw.partition(b"|")
    if at != as_stored(due).partition(b"|")[0]:
        return True
    try:
        return decoded(entry) != decoded(due.entry)
    except msgspec.DecodeError:
        return True


def damaged_entries(core: Core) -> Iterator[Finding]:
    """Tell of names that are not what their events come to."""
    keys = [name.key for name in damaged_names(core.registered.names.store)]
    if keys:
        some = ", ".join(keys[:_MOST_NAMED])
        what = f"{len(keys)} names of the catalog are not what their events come to: {some}"
        remedy = "repair the store: it writes them from the events"
        yield Finding("error", "catalog", what, remedy)


def write_anew(core: Core) -> list[RepairResult]:
    """Write damaged names as their events have them; one that others write to meanwhile is left to them."""
    store = core.registered.names.store
    results = []
    for name in damaged_names(store):
        words = searched_words(name.key, name.events)
        is_written = store.write_anew(name.key, name.stored, name.due, words)
        what = "written anew from its events" if is_written else "it changes just now"
        results.append(RepairResult(name.key, is_written, what))
    core.registered.names.forget_all()
    return results
