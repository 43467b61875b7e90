"""Saving a workflow as an editor does, under its id: what is published never changes, so the next version is taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from eventstore import codec
from openagents_json.catalog.errors import UnknownWorkflow, VersionExists
from openagents_json.workflow.versions import in_order

if TYPE_CHECKING:
    from openagents_json.engine.facade import Engine

TRIES: Final = 20
"""So often may others save a workflow in the same moment before who saves it is told."""

FIRST: Final = "1.0.0"


def save(engine: Engine, document: Mapping[str, Any]) -> str:
    """Publish a document as the newest of its id, and return "id@version"; the newest one saved again changes nothing.

    It has the version that it says where that is above all others, and else the next patch behind them. Raises
    InvalidDefinition, and VersionExists when others were faster each time.
    """
    asked = document.get("version", FIRST)
    for _ in range(TRIES):
        newest = _newest(engine, document)
        version = _version(newest, asked)
        is_behind = version != asked
        if is_behind and _is_the_same(newest, document):
            return f"{newest['id']}@{newest.get('version', FIRST)}"
        try:
            return engine.publish({**document, "version": version})
        except VersionExists as error:
            taken = error
    raise taken


def _newest(engine: Engine, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the newest document of an id; one of the version "" where there is none."""
    try:
        return engine.workflows.document(str(document.get("id")))
    except UnknownWorkflow:
        return {"version": ""}


def _is_the_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return codec.same({**one, "version": FIRST}, {**other, "version": FIRST})


def _version(newest: Mapping[str, Any], asked: Any) -> Any:
    """Return the version to publish under; one that is none is left for the validation to tell."""
    before = str(newest.get("version", FIRST))
    lower = in_order({before, str(asked)})[:-1]
    if asked != before and asked not in lower:
        return asked
    release = before.partition("+")[0].partition("-")[0]
    major, minor, patch = release.split(".")
    behind = int(patch) + 1
    return f"{major}.{minor}.{behind}"
