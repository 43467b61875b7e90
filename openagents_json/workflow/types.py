"""JSON as a type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Json = Any
"""A JSON value: None, bool, int, float, str, a sequence of them, or a mapping from str to them."""

JsonObject = Mapping[str, Json]
JsonArray = Sequence[Json]


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
