"""The structure of a document as JSON Schema (draft 2020-12), made of the model; `scripts/schema` publishes it."""

from __future__ import annotations

from typing import Any, Final

from openagents_json.workflow.language.document import Document
from openagents_json.workflow.language.options import (
    CONDITION,
    EXPRESSION,
    NOTES,
    Object,
    Schema,
)
from openagents_json.workflow.language.steps import Connection, Retry, Step
from openagents_json.workflow.language.waits import DURATION

ID: Final = "urn:openagents-json:workflow"
"""The name of the schema. It never changes; what a version adds is optional, so that older documents go on to fit."""


_SCHEMA_ADDRESS: Final = {
    "description": "where an editor has this schema from",
    "examples": ["workflow.schema.json"],
}


def _document() -> dict[str, Schema]:
    """Return the document as JSON Schema, in which it says too where that is."""
    form = Document.json_schema()
    properties = {"$schema": _SCHEMA_ADDRESS, **form["properties"]}
    return {**form, "properties": properties}


def _published() -> dict[str, Any]:
    step = Step.json_schema()
    required = step.pop("required")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        "title": "OpenAgents JSON workflow",
        "description": "A workflow: its inputs, its steps, how they follow each other, and what comes out.",
        **_document(),
        "$defs": {
            "work": step,
            "step": {"$ref": "#/$defs/work", "required": required},
            "connection": Connection.json_schema(),
            "retry": Retry.json_schema(),
            "sleep": DURATION.schema,
        },
    }


SCHEMA: Final = _published()


def without_notes(schema: Schema) -> Schema:
    """Return a schema without what it says to people, which says nothing of what is valid."""
    if isinstance(schema, list):
        return [without_notes(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    rules = {
        key: _rule(key, value) for key, value in schema.items() if key not in NOTES
    }
    return rules or True


def _rule(key: str, value: Any) -> Any:
    if key in ("properties", "$defs"):
        return {name: without_notes(member) for name, member in value.items()}
    if key in ("required", "enum"):
        return value
    return without_notes(value)


def _keys(kind: type[Object]) -> frozenset[str]:
    return frozenset(kind.options) | kind.others


KNOWN_KEYS: Final = {
    "document": _keys(Document),
    "step": _keys(Step),
    "connection": _keys(Connection),
}

_OPTIONS: Final = [
    item for kind in Object.__subclasses__() for item in kind.options.values()
]

RENAMED: Final = {item.name: item.old for item in _OPTIONS if item.old is not None}
"""Options that had another word before, by their name."""

BARE: Final = frozenset(
    item.name for item in _OPTIONS if item.kind in (CONDITION, EXPRESSION)
)
"""Options that may be an expression without braces."""
