"""Specs of components as the catalog holds them, and as the tools that language models and MCP take."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from eventstore import codec
from eventstore.errors import NotJson
from openagents_json.catalog.component import Component, check_spec
from openagents_json.catalog.spec_forms import wrong_member
from openagents_json.components.errors import InvalidDeclaration
from openagents_json.components.schemas import (
    input_schema,
    lenient_inputs,
    output_schema,
)
from openagents_json.workflow.component_spec import Schemas, from_json, to_json

Spec = dict[str, Any]

_UNFIT: Final = re.compile(r"[^a-zA-Z0-9_-]")
_TYPES: Final = frozenset({"string", "integer", "number", "boolean", "object", "array"})


def published_spec(component: Component) -> Spec:
    """Return the spec of a component as it is registered: with the schemas of what goes in and comes out."""
    spec = component.spec
    schemas = {
        "inputs_schema": input_schema(component.function, component.signature),
        "output_schema": output_schema(component.signature),
        "lenient_inputs": lenient_inputs(component.signature),
    }
    return registrable({**to_json(spec), "version": spec.version, **schemas})


def schemas_of_component(component: Component) -> Schemas:
    """Return what the code of a component says of what goes in and comes out."""
    signature = component.signature
    return Schemas(
        inputs=input_schema(component.function, signature),
        result=output_schema(signature),
        lenient=frozenset(lenient_inputs(signature)),
    )


def registered_schemas(spec: Mapping[str, Any]) -> Schemas:
    """Return the same of a component that is registered; older programs have not said it."""
    inputs = spec.get("inputs_schema")
    return Schemas(
        inputs=inputs if isinstance(inputs, Mapping) else None,
        result=spec.get("output_schema"),
        lenient=frozenset(spec.get("lenient_inputs", ())),
    )


def registrable(spec: Mapping[str, Any]) -> Spec:
    """Return a spec as the catalog holds it: plain JSON, without what is empty, so that equal specs are written alike.

    Raises InvalidDeclaration when it could not be a component's.
    """
    if not spec.get("name"):
        raise InvalidDeclaration("the spec of a component needs a name")
    try:
        kept = {name: value for name, value in spec.items() if _says(name, value)}
        whole: Spec = dict(codec.normalise({"version": "0.1.0", **kept}))
    except NotJson as error:
        raise InvalidDeclaration(f"component {spec['name']}: {error}") from error
    wrong = wrong_member(whole)
    if wrong:
        raise InvalidDeclaration(f"component {spec['name']}: {wrong}")
    check_spec(from_json(whole))
    return whole


def _says(name: str, value: Any) -> bool:
    """Tell whether a field of a spec says anything; no inputs at all are another thing than any inputs."""
    return value is not None and (name == "inputs" or value not in ({}, [], ""))


def schema_of_inputs(spec: Mapping[str, Any]) -> Spec:
    """Return the JSON Schema of what a component takes; of one that says no more, from its parameters."""
    given = spec.get("inputs_schema")
    if isinstance(given, Mapping):
        return dict(given)
    inputs = spec.get("inputs")
    if inputs is None:
        return {"type": "object"}
    return {
        "type": "object",
        "properties": {x["name"]: _schema_of_parameter(x) for x in inputs},
        "required": [x["name"] for x in inputs if x.get("required", True)],
        "additionalProperties": False,
    }


def _schema_of_parameter(parameter: Mapping[str, Any]) -> Spec:
    schema: Spec = {}
    if parameter.get("type") in _TYPES:
        schema["type"] = parameter["type"]
    for name in ("description", "enum", "pattern", "minimum", "maximum", "format"):
        if parameter.get(name):
            schema[name] = parameter[name]
    if not parameter.get("required", True):
        schema["default"] = parameter.get("default")
    return schema


def mcp_tool(spec: Mapping[str, Any]) -> Spec:
    """Return a component as a tool of the Model Context Protocol."""
    tool: Spec = {
        "name": tool_name(str(spec["name"])),
        "description": str(spec.get("description", "")),
        "inputSchema": schema_of_inputs(spec),
    }
    output = spec.get("output_schema")
    # The protocol takes objects alone for results with a structure.
    if isinstance(output, Mapping) and output.get("type") == "object":
        tool["outputSchema"] = dict(output)
    if spec.get("effect") in ("pure", "idempotent"):
        hints = {"idempotentHint": True, "readOnlyHint": spec["effect"] == "pure"}
        tool["annotations"] = hints
    return tool


def function_tool(spec: Mapping[str, Any]) -> Spec:
    """Return a component as a function that language models call."""
    function = {
        "name": tool_name(str(spec["name"])),
        "description": str(spec.get("description", "")),
        "parameters": schema_of_inputs(spec),
    }
    return {"type": "function", "function": function}


def tool_name(name: str) -> str:
    """Return a name as tools may have it: letters, digits, _ and -, 64 of them at most."""
    return _UNFIT.sub("_", name)[:64]
