"""JSON as a type."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

Json = Any
"""A JSON value: None, bool, int, float, str, a sequence of them, or a mapping from str to them."""

JsonObject = Mapping[str, Json]
JsonArray = Sequence[Json]

_LONGEST: Final = 80


def type_name(value: Json) -> str:
    """Name the JSON type of a value; what is not JSON is named as Python does."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case Mapping():
            return "object"
        case list() | tuple():
            return "array"
        case _:
            return type(value).__name__


def quoted(value: Json) -> str:
    """Return a value for a message: in one way, whatever the order of its names, and not at length."""
    is_text = isinstance(value, str)
    text = (
        repr(value)
        if is_text
        else json.dumps(value, ensure_ascii=False, sort_keys=True, default=repr)
    )
    if len(text) <= _LONGEST:
        return text
    return f"{text[: _LONGEST - 3]}..."


def in_order(value: Json) -> Json:
    """Return a value with its names in order and lists for tuples: what is said of it is then alike in every form."""
    if isinstance(value, Mapping):
        return {
            key: in_order(item)
            for key, item in sorted(value.items(), key=lambda member: str(member[0]))
        }
    if isinstance(value, list | tuple):
        return [in_order(item) for item in value]
    return value
