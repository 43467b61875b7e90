"""What Python components take beyond their schemas: values are turned into what type hints say, "5" into a number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from openagents_json.workflow.language.checks.shapes import array_of, object_of
from openagents_json.workflow.validation.schemas.contradictions import (
    Schema,
    type_of,
    types_of,
    values_of,
)

_SCALARS: Final = {"type": ["boolean", "number", "string"]}
_READ_AS: Final[Mapping[str, Schema]] = {
    "boolean": {"anyOf": [{"type": ["boolean", "string"]}, {"enum": [0, 1]}]},
    "integer": {"type": ["boolean", "integer", "string"], "pattern": "[0-9]"},
    "fraction": {
        "type": ["boolean", "number", "string"],
        "pattern": "[0-9]|[nN][aA][nN]|[iI][nN][fF]",
    },
}
"""Texts, numbers and truth values are read as one another where that is possible. A text is no more than a text."""

_OTHER_TEXTS: Final = frozenset({"format", "contentEncoding", "contentMediaType"})
"""Texts by which something else is written, such as a date, may be given as a number too."""


def as_read_by_python(schema: Schema) -> Schema:
    """Return a schema of all that may be taken where type hints have given a schema; it has no references."""
    if not isinstance(schema, Mapping) or "$ref" in schema:
        return True
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            parts = [as_read_by_python(part) for part in array_of(schema[word])]
            return {"allOf" if word == "allOf" else "anyOf": parts}
    values = values_of(schema)
    if values is None and "type" not in schema:
        return True
    if values and all(isinstance(value, str) for value in values):
        return {"type": "string", "enum": [*values]}
    names = types_of([schema]) if values is None else {*map(type_of, values)}
    return _one_of([_by_type(name, schema) for name in sorted(names)])


def _by_type(name: str, schema: Mapping[str, Any]) -> Schema:
    if name == "null":
        return {"type": "null"}
    if name == "array":
        return _array(schema)
    if name == "object":
        return _object(schema)
    if name == "string":
        return _SCALARS if _OTHER_TEXTS & schema.keys() else {"type": "string"}
    return _READ_AS[name]


def _array(schema: Mapping[str, Any]) -> Schema:
    taken: dict[str, Any] = {"type": "array"}
    if "items" in schema:
        taken["items"] = as_read_by_python(schema["items"])
    if "prefixItems" in schema:
        taken["prefixItems"] = [
            *map(as_read_by_python, array_of(schema["prefixItems"]))
        ]
    if "minItems" in schema:
        taken["minItems"] = schema["minItems"]
    return taken


def _object(schema: Mapping[str, Any]) -> Schema:
    """Return what is taken as an object; its members may have other names, which schemas do not say."""
    members = object_of(schema.get("properties"))
    read = {name: as_read_by_python(member) for name, member in members.items()}
    taken: dict[str, Any] = {"type": "object"}
    if read:
        taken["properties"] = read
    if isinstance(schema.get("additionalProperties"), Mapping):
        taken["additionalProperties"] = as_read_by_python(
            schema["additionalProperties"]
        )
    return taken


def _one_of(schemas: list[Schema]) -> Schema:
    different = [x for index, x in enumerate(schemas) if x not in schemas[:index]]
    return different[0] if len(different) == 1 else {"anyOf": different}
