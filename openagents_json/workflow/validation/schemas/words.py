"""JSON Schemas in a few words, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from openagents_json.workflow.language.checks.shapes import array_of, object_of
from openagents_json.workflow.types import quoted
from openagents_json.workflow.validation.schemas.contradictions import (
    Schema,
    values_of,
)

_TYPES: Final = {
    "null": "null",
    "boolean": "true or false",
    "integer": "an integer",
    "number": "a number",
    "string": "a string",
    "array": "an array",
    "object": "an object",
}
_BOUNDS: Final = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "more than",
    "exclusiveMaximum": "less than",
}
_MOST: Final = 5


def in_words(schema: Schema, *, is_brief: bool = False) -> str:
    """Say what values a schema allows; in brief, without what is in arrays."""
    if not isinstance(schema, Mapping) or not schema:
        return "anything"
    values = values_of(schema)
    if values is not None:
        return _listed([quoted(value) for value in values])
    for word in ("anyOf", "oneOf"):
        if word in schema:
            parts = [in_words(part, is_brief=True) for part in array_of(schema[word])]
            return _listed([*dict.fromkeys(parts)])
    names = schema.get("type", [])
    types = [names] if isinstance(names, str) else array_of(names)
    words = [
        _type_in_words(str(name), schema, is_brief or len(types) > 1) for name in types
    ]
    return _listed(words) if words else "something else"


def _listed(words: list[str]) -> str:
    """Return some words, joined by "or"."""
    if len(words) > _MOST:
        words = [*words[:_MOST], f"{len(words) - _MOST} others"]
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def _type_in_words(name: str, schema: Mapping[str, Any], is_brief: bool) -> str:
    word = _TYPES.get(name, name)
    if name in ("integer", "number"):
        bounds = [
            f"{text} {schema[rule]}" for rule, text in _BOUNDS.items() if rule in schema
        ]
        return " of ".join([word, " and ".join(bounds)]) if bounds else word
    items = object_of(schema.get("items"))
    if name == "array" and items and not is_brief:
        return f"{word} of which each item is {in_words(items, is_brief=True)}"
    return word
