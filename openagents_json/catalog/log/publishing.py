"""What may happen to workflows of the catalog, beside what may happen to any name: published, and taken away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from openagents_json.catalog.errors import (
    UnknownWorkflow,
    VersionExists,
    VersionWithdrawn,
)
from openagents_json.catalog.log.decisions import Request, Spec
from openagents_json.catalog.log.entries import CatalogEvent, Entry
from openagents_json.statuses import ALIASED, REGISTERED, WITHDRAWN, WORKFLOW


def publish(spec: Spec, reason: str = "") -> Request:
    """Ask for a version of a workflow; the same document again changes nothing, whatever it would be bound to now.

    `spec` has `name`, `version`, and the hashes `definition` and `document`. It raises VersionExists and
    VersionWithdrawn.
    """
    name, version = str(spec["name"]), str(spec["version"])
    full_name = f"{name}@{version}"

    def decide(entry: Entry) -> list[CatalogEvent]:
        there = entry.versions.get(version)
        if there is None:
            data = {"name": name, "version": version, "spec": spec}
            why = {"reason": reason} if reason else {}
            return [CatalogEvent(WORKFLOW, REGISTERED, {**data, **why})]
        if there.withdrawn is not None:
            raise VersionWithdrawn(WORKFLOW, full_name, there.withdrawn)
        if there.spec["document"] != spec["document"]:
            raise VersionExists(full_name)
        return []

    return Request(WORKFLOW, name, decide)


def unpublish(name: str, version: str, reason: str = "") -> Request:
    """Ask that a version is taken away with the aliases that mean it; it may be published again, with any content.

    It raises UnknownWorkflow.
    """
    full_name = f"{name}@{version}"

    def decide(entry: Entry) -> list[CatalogEvent]:
        if version not in entry.versions:
            there = [f"{name}@{text}" for text in entry.versions]
            raise UnknownWorkflow(full_name, there)
        data = {"name": name, "version": version, "reason": reason, "free": True}
        # First the aliases: who folds half of it never sees one that means nothing.
        return [
            *_left_aliases(entry, name, full_name),
            CatalogEvent(WORKFLOW, WITHDRAWN, data),
        ]

    return Request(WORKFLOW, name, decide)


def _left_aliases(entry: Entry, name: str, full_name: str) -> Iterator[CatalogEvent]:
    for word, means in sorted(entry.aliases.items()):
        left = without(means, f"{name}@{word}", full_name)
        if left != means:
            data: dict[str, Any] = {"name": name, "alias": word, "means": left}
            reason = f"{full_name} is published no more"
            yield CatalogEvent(WORKFLOW, ALIASED, {**data, "reason": reason})


def without(
    entry: Mapping[str, Any], alias: str, name: str
) -> Mapping[str, Any] | None:
    """Return what an alias means without a version, "id@version"; None when it means nothing else."""
    id_, _, version = name.partition("@")
    if alias.partition("@")[0] != id_:
        return entry
    if entry["version"] == version:
        return None
    canary = entry.get("canary")
    if canary and canary["version"] == version:
        return {"version": entry["version"]}
    return entry
