"""What has happened to names of the catalog, and what they were at a time: read from the log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from eventstore.event import Json, Recorded
from openagents_json.catalog.errors import UnknownEntry
from openagents_json.catalog.log.entries import NOTHING, Entry, folded, read_event
from openagents_json.catalog.names import Names
from openagents_json.engine.projections import key_of
from projections.catalog.view import CatalogRow, apply, row_of


@dataclass(frozen=True, slots=True)
class CatalogChange:
    """What happened to a name: when, by whom, and why."""

    number: int
    time_ms: int
    actor: str
    type: str
    version: str
    reason: str
    data: Mapping[str, Any]


def history_of(names: Names, kind: str, name: str) -> list[CatalogChange]:
    """Return what happened to a name, oldest first.

    Raises UnknownEntry.
    """
    events = names.history(f"{kind}:{name}")
    if not events:
        raise UnknownEntry(kind, name)
    return [_change(event) for event in events]


def entry_at(names: Names, key: str, time_ms: int) -> Entry:
    """Return what was known under a key at a time."""
    entry = NOTHING
    for event in names.history(key):
        happened = read_event(event.type, event.data)
        if event.time_ms <= time_ms and happened is not None:
            entry = folded(entry, happened)
    return entry


def rows_at(names: Names, kind: str, time_ms: int) -> list[CatalogRow]:
    """Return all names of a kind as they were at a time, in their order."""
    documents: dict[str, Json] = {}
    events = names.store.all_events()
    for event in takewhile(lambda event: event.time_ms <= time_ms, events):
        key = key_of(event)
        if key.startswith(f"{kind}:"):
            documents[key] = apply(documents.get(key), event)
    return [row_of(document) for _, document in sorted(documents.items()) if document]


def _change(event: Recorded) -> CatalogChange:
    data: Mapping[str, Any] = event.data
    return CatalogChange(
        number=event.version,
        time_ms=event.time_ms,
        actor=event.actor,
        type=event.type,
        version=str(data.get("version", data.get("alias"))),
        reason=str(data.get("reason", "")),
        data=data,
    )
