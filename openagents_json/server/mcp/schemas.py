"""JSON Schemas of what tools take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

TEXT: Final = {"type": "string"}
RUN: Final = {"type": "string", "description": "The id of a run."}
REASON: Final = {"type": "string", "description": "Why; it is kept in the history."}
SECONDS: Final = {
    "type": "number",
    "minimum": 0,
    "maximum": 300,
    "description": "How long to wait for the end of the run.",
}
LIMIT: Final = {"type": "integer", "minimum": 1, "maximum": 200}

_OF_PARAMETERS: Final = (
    "type",
    "description",
    "enum",
    "default",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
)
"""What a declared input says that a JSON Schema says by the same name."""


def object_of(*required: str, **properties: Any) -> dict[str, Any]:
    """Return the schema of an object with some properties and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def schema_of_inputs(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a workflow's inputs; one that declares none takes anything."""
    if not parameters:
        return {"type": "object"}
    required = [name for name, spec in parameters.items() if _is_required(spec)]
    properties = {name: _property(spec) for name, spec in parameters.items()}
    return object_of(*required, **properties)


def _is_required(spec: Any) -> bool:
    declares = isinstance(spec, Mapping)
    return declares and bool(spec.get("required")) and "default" not in spec


def _property(spec: Any) -> dict[str, Any]:
    """Return the schema of an input; `any` is none at all."""
    if not isinstance(spec, Mapping):
        return {}
    schema = {name: spec[name] for name in _OF_PARAMETERS if name in spec}
    if schema.get("type") == "any":
        del schema["type"]
    return schema
