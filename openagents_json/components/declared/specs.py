"""Specs of components from files: read strictly, so that a misspelt member is not passed over in silence."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import filterfalse
from typing import Any, Final

from openagents_json.components.build import LENGTH
from openagents_json.components.declared.http_call import WHERE, Body, HttpCall, Slot
from openagents_json.components.declared.signature import DeclaredSignature
from openagents_json.components.errors import InvalidDeclaration
from openagents_json.workflow.component_spec import (
    EFFECTS,
    LIMITS,
    ComponentSpec,
    Parameter,
    wrong_limit,
)
from openagents_json.workflow.expressions.payload_schema import why_no_schema
from openagents_json.workflow.language.checks.shapes import array_of, object_of
from openagents_json.workflow.versions import is_version

_KINDS: Final[Mapping[str, type | tuple[type, ...]]] = {
    "name": str,
    "version": str,
    "description": str,
    "build": str,
    "queue": str,
    "effect": str,
    "tags": list,
    "timeout": (int, float),
    "retry": dict,
    "timeouts": dict,
    "metadata": dict,
    "resources": dict,
    "memory_mb": int,
    "step_seconds": (int, float),
    "max_attempts": int,
    "parameters": dict,
    "result": dict,
    "http": dict,
}
"""The members of a spec, and what each is."""

_OF_HTTP: Final[Mapping[str, type | tuple[type, ...]]] = {
    "method": str,
    "base": str,
    "path": str,
    "connection": str,
    "inputs": list,
    "body": dict,
    "accept": list,
    "timeout_seconds": (int, float),
    "max_bytes": int,
}
_OF_SLOTS: Final[Mapping[str, type | tuple[type, ...]]] = {
    "input": str,
    "name": str,
    "in": str,
    "style": str,
    "explode": bool,
    "reserved": bool,
    "media": str,
}
_OF_BODY: Final[Mapping[str, type | tuple[type, ...]]] = {
    "input": str,
    "media": str,
    "files": list,
}
_WORD: Final = re.compile(r"[A-Za-z0-9_.-]+")
_DEEPEST: Final = 20
_SIMPLE_TYPES: Final = frozenset(
    {"string", "number", "integer", "boolean", "object", "array"}
)


@dataclass(frozen=True, slots=True)
class Declared:
    """A component of a file: its spec and, if it can run here, what it takes and what it does."""

    spec: ComponentSpec
    signature: DeclaredSignature | None = None
    call: HttpCall | None = None
    hashed: bool = True
    """Its build is a hash of the spec: nobody has given one."""


def declared_in(content: Any, source: str = "") -> Iterator[Declared]:
    """Return the components that the content of a file declares: one, or those under `components`.

    `source` names the file in errors.

    Raises InvalidDeclaration.
    """
    if not is_specs(content):
        raise InvalidDeclaration(
            "it declares no components: give one with a name and a version, or an array of them under components"
        )
    entries = content.get("components", [content])
    yield from map(partial(declared, source=source), entries)


def is_specs(content: Any) -> bool:
    """Tell whether the content of a file looks like specs of components."""
    if not isinstance(content, Mapping):
        return False
    is_list = isinstance(content.get("components"), list)
    return is_list or ("name" in content and "steps" not in content)


def declared(entry: Any, source: str = "") -> Declared:
    """Return a component of a file.

    Raises InvalidDeclaration.
    """
    name = entry.get("name") if isinstance(entry, Mapping) else None
    where = f"component {name}" if isinstance(name, str) else "a component"
    _check_members(where, entry, _KINDS, required=("name",))
    effect = entry.get("effect", "pure")
    if effect not in EFFECTS:
        listed = ", ".join(EFFECTS)
        raise InvalidDeclaration(f"{where}: effect {effect!r} is none of {listed}")
    _check_schema(f"{where}: parameters", entry.get("parameters", {}))
    _check_schema(f"{where}: result", entry.get("result", {}))
    spec = _spec(entry)
    _check_words(spec)
    if wrong := wrong_limit(spec.resources):
        raise InvalidDeclaration(
            f"{where}: {wrong} {spec.resources[wrong]!r} is no limit: give a number, 0 for none"
        )
    if "http" not in entry:
        return Declared(spec)
    schema = entry.get("parameters", {"type": "object"})
    signature = DeclaredSignature(spec.name, schema, spec.inputs or ())
    hashed = "build" not in entry
    return Declared(
        spec, signature, _http(where, spec.name, entry["http"], source), hashed
    )


def _check_schema(where: str, schema: Any) -> None:
    """Refuse what is no JSON Schema.

    Raises InvalidDeclaration.
    """
    wrong = why_no_schema(schema)
    if wrong:
        raise InvalidDeclaration(f"{where} is no JSON Schema: {wrong}")


def _check_words(spec: ComponentSpec) -> None:
    """Refuse a name, a version or a worker type that no step could refer to.

    Raises InvalidDeclaration.
    """
    if not _WORD.fullmatch(spec.name):
        raise InvalidDeclaration(
            f"component name {spec.name!r} must be one word of letters, digits, ., - and _"
        )
    if not _WORD.fullmatch(spec.queue):
        raise InvalidDeclaration(
            f"component {spec.name}: queue {spec.queue!r} must be one word of letters, digits, ., - and _"
        )
    if not is_version(spec.version):
        raise InvalidDeclaration(
            f"component {spec.name}: {spec.version!r} is not a semantic version, such as 1.4.2"
        )


def _spec(entry: Mapping[str, Any]) -> ComponentSpec:
    schemas = filter(entry.__contains__, ("parameters", "result"))
    described = {member: entry[member] for member in schemas}
    metadata = {**entry.get("metadata", {}), **described}
    has_inputs = "parameters" in entry or "http" in entry
    return ComponentSpec(
        name=entry["name"],
        version=entry.get("version", "0.1.0"),
        queue=entry.get("queue", "tool"),
        inputs=tuple(_parameters(entry.get("parameters", {}))) if has_inputs else None,
        output=_type_of(entry.get("result", {}), {}),
        effect=entry.get("effect"),
        description=entry.get("description", ""),
        tags=tuple(map(str, entry.get("tags", ()))),
        timeout_ms=round(entry.get("timeout", 0) * 1000),
        retry=entry.get("retry"),
        timeouts=entry.get("timeouts"),
        metadata=metadata,
        build=entry.get("build") or _build(entry),
        resources={
            **entry.get("resources", {}),
            **{name: entry[name] for name in LIMITS if entry.get(name)},
        },
    )


def _build(entry: Mapping[str, Any]) -> str:
    """Return what changes when the spec does, and only then."""
    text = json.dumps(entry, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:LENGTH]


def _parameters(schema: Mapping[str, Any]) -> Iterator[Parameter]:
    """Return the inputs of a schema of an object."""
    required = schema.get("required", ())
    definitions = schema.get("$defs", {})
    for name, own in schema.get("properties", {}).items():
        rules = object_of(own)
        allowed = array_of(rules.get("enum"))
        yield Parameter(
            name=name,
            type=_type_of(rules, definitions),
            required=name in required,
            default=rules.get("default"),
            description=str(rules.get("description", "")),
            enum=tuple(allowed) or None,
        )


def _type_of(schema: Any, definitions: Mapping[str, Any], depth: int = 0) -> str:
    """Return the type of a schema as the format names types; `any` where there are several, or where it is not said."""
    if depth > _DEEPEST:
        return "any"
    rules = object_of(schema)
    kinds = array_of(rules.get("type")) or [rules.get("type")]
    reference = str(rules.get("$ref", "")).removeprefix("#/$defs/")
    inner = (definitions.get(reference), *array_of(rules.get("allOf")))
    parts = filter(None, inner)
    types = {_type_of(part, definitions, depth + 1) for part in parts}
    named = {*kinds, *types} & _SIMPLE_TYPES
    return str(named.pop()) if len(named) == 1 else "any"


def _http(where: str, name: str, entry: Mapping[str, Any], source: str) -> HttpCall:
    """Return the request of a component.

    Raises InvalidDeclaration.
    """
    inside = f"{where}: http"
    _check_members(inside, entry, _OF_HTTP, required=("method", "path"))
    body = entry.get("body")
    if body is not None:
        _check_members(f"{inside}.body", body, _OF_BODY, required=("input", "media"))
    return HttpCall(
        component=name,
        method=entry["method"].upper(),
        path=entry["path"],
        base=entry.get("base", ""),
        connection=entry.get("connection", ""),
        slots=tuple(_slot(inside, slot) for slot in entry.get("inputs", ())),
        body=None if body is None else _body(body),
        accept=tuple(entry.get("accept", ())),
        timeout_seconds=entry.get("timeout_seconds", 30.0),
        max_bytes=entry.get("max_bytes", 1_000_000),
        source=source,
    )


def _body(entry: Mapping[str, Any]) -> Body:
    return Body(entry["input"], entry["media"], tuple(entry.get("files", ())))


def _slot(where: str, entry: Any) -> Slot:
    inside = f"{where}.inputs"
    _check_members(inside, entry, _OF_SLOTS, required=("input", "name", "in"))
    if entry["in"] not in WHERE:
        raise InvalidDeclaration(
            f"{inside}: in {entry['in']!r} is none of {', '.join(WHERE)}"
        )
    options = {key: value for key, value in entry.items() if key != "in"}
    return Slot(where=entry["in"], **options)


def _check_members(
    where: str,
    entry: Any,
    kinds: Mapping[str, type | tuple[type, ...]],
    *,
    required: Sequence[str],
) -> None:
    """Refuse members that there are not, that are of another kind, and those that are missing.

    Raises InvalidDeclaration.
    """
    if not isinstance(entry, Mapping):
        raise InvalidDeclaration(f"{where} has to be an object")
    unknown = next(filterfalse(kinds.__contains__, entry), None)
    if unknown is not None:
        near = difflib.get_close_matches(str(unknown), kinds, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(kinds)}"
        raise InvalidDeclaration(f"{where} has no member {unknown!r}; {hint}")
    missing = next(filterfalse(entry.__contains__, required), None)
    if missing is not None:
        raise InvalidDeclaration(f"{where} has no {missing}")
    wrong = [name for name in entry if not isinstance(entry[name], kinds[name])]
    if wrong:
        raise InvalidDeclaration(f"{where}: {wrong[0]} is of the wrong type")
