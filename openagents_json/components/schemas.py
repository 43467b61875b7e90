"""JSON Schema of what a component takes and returns, from its type hints and its docstring."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic.json_schema import JsonSchemaMode

from openagents_json.components.binding import Signature

Schema = dict[str, Any]

_SECTION: Final = re.compile(
    r"^ *(?:Args|Arguments|Parameters|Inputs): *\n((?:[ \t]+\S.*\n?)+)", re.M
)
_GOOGLE: Final = re.compile(r"^( +)(\w+) *(?:\([^)\n]*\))?: *(.*(?:\n\1 +\S.*)*)", re.M)
_LENIENT: Final = frozenset(
    {
        "function-before",
        "function-wrap",
        "function-plain",
        "generator",  # looks at each item when it is asked for
        "named-tuple",  # by names as well
        "call",  # what a named tuple was before
        "json-or-python",
        "complex",  # a text by its schema, and a number as well
    }
)
"""What pydantic calls validators that may take what their JSON Schema would not."""

_SPHINX: Final = re.compile(
    r"^ *:param (?:[\w.\[\], ]+ )?(\w+): *(.*(?:\n +\w.*)*)", re.M
)


def input_schema(function: Callable[..., Any], signature: Signature) -> Schema:
    """Return the schema of the inputs: an object with the parameters, and no others unless the component is open."""
    declared = signature.declared_schema()
    if declared is not None:
        return dict(declared)
    adapters = {x.name: signature.adapter(x.name) for x in signature.parameters}
    parts, shared = _schemas(adapters)
    texts = described(inspect.getdoc(function) or "")
    for name in parts.keys() & texts.keys():
        parts[name]["description"] = texts[name]
    optional = [x for x in signature.parameters if not x.required]
    for parameter in optional:
        parts[parameter.name].setdefault("default", parameter.default)
    schema: Schema = {
        "type": "object",
        "properties": parts,
        "required": [x.name for x in signature.parameters if x.required],
        "additionalProperties": signature.open,
    }
    return {**schema, **shared}


def lenient_inputs(signature: Signature) -> list[str]:
    """Return the inputs that are read by code of their own, which may take more than their schemas say."""
    if signature.declared_schema() is not None:
        return []
    names = [parameter.name for parameter in signature.parameters]
    adapters = {name: signature.adapter(name) for name in names}
    return [
        name
        for name, adapter in adapters.items()
        if adapter is not None and _has_own_code(adapter.core_schema)
    ]


def _has_own_code(schema: Any) -> bool:
    """Tell whether a value is seen by a function before it is checked, or by one that takes what is no member."""
    return any(map(_is_lenient, _parts_of(schema)))


def _is_lenient(part: Mapping[str, Any]) -> bool:
    # Members of a model may be called so too: what is under them is no word, and no function.
    if part.get("coerce_numbers_to_str"):
        return True
    return str(part.get("type")) in _LENIENT or callable(part.get("missing"))


def _is_written_by_code(schema: Any) -> bool:
    """Tell whether a result is made JSON by functions that do not say of what type, or under other names."""
    return any(map(_is_rewritten, _parts_of(schema)))


def _is_rewritten(part: Mapping[str, Any]) -> bool:
    config, writing = part.get("config"), part.get("serialization")
    if isinstance(config, Mapping) and config.get("serialize_by_alias"):
        return True
    if not isinstance(writing, Mapping):
        return False
    return str(writing.get("type")) in _LENIENT and "return_schema" not in writing


def _parts_of(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Return all objects in a schema of pydantic's core."""
    todo = [schema]
    while todo:
        part = todo.pop()
        if isinstance(part, Mapping):
            yield part
            todo += part.values()
        elif isinstance(part, list | tuple):
            todo += part


def output_schema(signature: Signature) -> Schema:
    """Return the schema of the result as JSON; {} where nothing is said of it."""
    returned = signature.returned()
    if returned is not None and _is_written_by_code(returned.core_schema):
        return {}
    # With what models make of their fields, under the names of these.
    parts, shared = _schemas({"result": returned}, "serialization", by_alias=False)
    return {**parts["result"], **shared}


def _schemas(
    adapters: Mapping[str, TypeAdapter[Any] | None],
    mode: JsonSchemaMode = "validation",
    *,
    by_alias: bool = True,
) -> tuple[dict[str, Schema], Schema]:
    """Return schemas by name, {} for what has none, and the definitions that they share."""
    told = {
        name: adapter for name, adapter in adapters.items() if _is_told(adapter, mode)
    }
    asked: list[Any] = [(name, mode, adapter) for name, adapter in told.items()]
    parts: dict[str, Schema] = {name: {} for name in adapters}
    if not asked:
        return parts, {}
    by_key, shared = TypeAdapter.json_schemas(asked, by_alias=by_alias)
    for (name, _), schema in by_key.items():
        parts[str(name)] = dict(schema)
        parts[str(name)].pop("title", None)
    return parts, dict(shared)


def _is_told(adapter: TypeAdapter[Any] | None, mode: JsonSchemaMode) -> bool:
    """Tell whether JSON Schema can say what an adapter takes."""
    if adapter is None:
        return False
    try:
        adapter.json_schema(mode=mode)
    except PydanticUserError:
        return False
    return True


def described(docstring: str) -> dict[str, str]:
    """Return what a docstring says of parameters, in the style of Google or of Sphinx."""
    section = _SECTION.search(docstring)
    google = _GOOGLE.findall(section[1]) if section else []
    pairs = [*_SPHINX.findall(docstring), *[(name, text) for _, name, text in google]]
    return {name: " ".join(text.split()) for name, text in pairs}
