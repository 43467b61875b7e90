"""The projection of the catalog: a document for each name, with what it is found by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from eventstore.event import Json, Recorded
from openagents_json.catalog.log.entries import (
    NOTHING,
    Entry,
    Version,
    folded,
    read_event,
)
from openagents_json.catalog.log.words import described, words
from openagents_json.statuses import COMPONENT, WORKFLOW
from projections.projection import Index

_SHOWN: Final = (
    "kind",
    "queue",
    "description",
    "tags",
    "author",
    "build",
    "effect",
    "definition",
    "steps",
)
"""The fields of specs that lists show."""


_USUAL: Final[Mapping[str, Mapping[str, str]]] = {
    COMPONENT: {"kind": "tool", "queue": "tool"},
    WORKFLOW: {"kind": "workflow", "queue": ""},
}
"""What a spec is that says nothing else, by the kind of its name."""


@dataclass(frozen=True, slots=True)
class CatalogRow:
    """A name of the catalog as lists show it, by the version that is meant without a range."""

    kind: str
    name: str
    version: str
    status: str
    type: str
    worker_type: str
    description: str
    tags: tuple[str, ...]
    author: str
    build: str
    versions: tuple[str, ...]
    aliases: tuple[str, ...]
    changed_ms: int
    changed_by: str

    @property
    def key(self) -> str:
        """Return what it stands under."""
        return f"{self.kind}:{self.name}"


def apply(document: Any, event: Recorded) -> Json:
    """Apply an event of the catalog to the document of its name."""
    happened = read_event(event.type, _brief(event.data))
    if happened is None:
        return document
    before = NOTHING if document is None else msgspec.convert(document["entry"], Entry)
    entry = folded(before, happened)
    if not entry.versions and not entry.aliases:
        return None
    return {
        "kind": happened.kind,
        "name": str(event.data["name"]),
        "entry": msgspec.to_builtins(entry),
        "at_ms": event.time_ms,
        "by": event.actor,
    }


def _brief(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an event with what is shown of its spec, and found by, and no more."""
    spec = data.get("spec")
    if not isinstance(spec, Mapping):
        return data
    brief: dict[str, Any] = {name: spec[name] for name in _SHOWN if name in spec}
    brief["words"] = described(spec)
    brief["takes"] = [
        [str(x.get("name")), str(x.get("type", "any"))] for x in spec.get("inputs", ())
    ]
    return {**data, "spec": brief}


def row_of(document: Any) -> CatalogRow:
    """Return a document of the view as it is shown."""
    entry = msgspec.convert(document["entry"], Entry)
    version = entry.versions.get(entry.latest, Version({}))
    spec: Mapping[str, Any] = {**_USUAL[document["kind"]], **version.spec}
    return CatalogRow(
        kind=str(document["kind"]),
        name=str(document["name"]),
        version=entry.latest,
        status=version.status,
        type=str(spec["kind"]),
        worker_type=str(spec["queue"]),
        description=str(spec.get("description", "")),
        tags=tuple(spec.get("tags", ())),
        author=str(spec.get("author", "")),
        build=str(spec.get("build", "")),
        versions=tuple(entry.versions),
        aliases=tuple(sorted(entry.aliases)),
        changed_ms=int(document["at_ms"]),
        changed_by=str(document["by"]),
    )


def index(document: Any) -> Index:
    """Return what a name is found by."""
    row = row_of(document)
    spec = document["entry"]["versions"].get(row.version, {}).get("spec", {})
    return Index(row.changed_ms, frozenset(_facets(row, spec)))


def _facets(row: CatalogRow, spec: Mapping[str, Any]) -> Iterator[str]:
    yield f"kind={row.kind}"
    yield f"status={row.status}"
    yield f"type={row.type}"
    yield f"queue={row.worker_type}"
    yield from map("tag={}".format, row.tags)
    yield from map("n={}".format, words(row.name))
    yield from map("w={}".format, spec.get("words", ()))
    yield from map("param={0[0]}".format, spec.get("takes", ()))
    yield from map("takes={0[1]}".format, spec.get("takes", ()))
    agent, _, capability = row.name.rpartition(".")
    if agent and row.type == "agent":
        yield f"agent={agent}"
        yield f"capability={capability}"
