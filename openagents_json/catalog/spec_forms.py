"""What a spec in the catalog has to be: it cannot be mended later, as no version changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from openagents_json.components.errors import InvalidDeclaration
from openagents_json.components.step_options import (
    OF_STEPS,
    nearest,
    wrong_for_steps,
)
from openagents_json.workflow.component_spec import EFFECTS, wrong_limit
from openagents_json.workflow.core.parameters import TYPES
from openagents_json.workflow.expressions.payload_schema import why_no_schema
from openagents_json.workflow.types import quoted, type_name

Kinds = Mapping[str, tuple[str, ...]]

MEMBERS: Final[Kinds] = {
    "name": ("string",),
    "version": ("string",),
    "kind": ("string",),
    "queue": ("string",),
    "is_async": ("boolean",),
    "inputs": ("array",),
    "output": ("string", "object"),
    "effect": ("string",),
    "description": ("string",),
    "tags": ("array",),
    "timeout_ms": ("integer",),
    "lost_limit": ("integer",),
    "retry": ("object",),
    "timeouts": ("object",),
    "metadata": ("object",),
    "build": ("string",),
    "author": ("string",),
    "examples": ("array",),
    "dependencies": ("array",),
    "resources": ("object",),
    "inputs_schema": ("object",),
    "output_schema": ("object", "boolean"),
    "lenient_inputs": ("array",),
}
"""The members of a spec, and the JSON types that each may have."""

_OF_INPUTS: Final[Kinds] = {
    "name": ("string",),
    "type": ("string",),
    "required": ("boolean",),
    "description": ("string",),
    "enum": ("array",),
    "pattern": ("string",),
    "minimum": ("integer", "number"),
    "maximum": ("integer", "number"),
    "format": ("string",),
}
_OF_TEXTS: Final = ("tags", "dependencies", "lenient_inputs")
_SCHEMAS: Final = ("inputs_schema", "output_schema")
_ARTICLES: Final = {"integer": "an", "object": "an", "array": "an"}


def written_spec(entry: dict[str, Any], where: str) -> dict[str, Any]:
    """Return a spec that somebody wrote; what `components show --json` prints holds one.

    A member that there is not is refused, and a schema that is none: nobody would notice that it means nothing.

    Raises InvalidDeclaration.
    """
    shown = entry.get("spec")
    spec = shown if isinstance(shown, dict) else entry
    wrong = _wrong_as_written(spec)
    if wrong:
        raise InvalidDeclaration(f"{where}: {wrong}")
    return spec


def _wrong_as_written(spec: Mapping[str, Any]) -> str:
    for name in spec:
        if name not in MEMBERS:
            return f"there is no member {str(name)!r} of a spec; {nearest(str(name), MEMBERS)}"
    return wrong_member(spec) or _no_schema(spec)


def wrong_member(spec: Mapping[str, Any]) -> str:
    """Say what is wrong with the members of a spec, empty when nothing is; those of newer programs are passed over."""
    return next(filter(None, _complaints(spec)), "")


def _complaints(spec: Mapping[str, Any]) -> Iterator[str]:
    yield _wrong_kind(spec, MEMBERS, "")
    yield from _of_inputs(spec.get("inputs") or ())
    yield from (_no_text(name, spec.get(name) or ()) for name in _OF_TEXTS)
    effect = spec.get("effect")
    if effect is not None and effect not in EFFECTS:
        yield f"effect {effect!r} is no effect; {nearest(effect, EFFECTS)}"
    for name in OF_STEPS:
        wrong = wrong_for_steps(name, spec.get(name) or {})
        yield f"{name} {wrong}" if wrong else ""
    limit = wrong_limit(spec.get("resources") or {})
    yield f"resources: {limit} is no limit; give a number, 0 for none" if limit else ""


def _no_schema(spec: Mapping[str, Any]) -> str:
    for name in _SCHEMAS:
        wrong = why_no_schema(spec.get(name, True))
        if wrong:
            return f"{name} is no JSON Schema: {wrong}"
    return ""


def _of_inputs(inputs: Iterable[Any]) -> Iterator[str]:
    for number, item in enumerate(inputs):
        where = f"inputs[{number}]"
        if not isinstance(item, Mapping):
            yield f'{where} is {_named(item)}; write an object, such as {{"name": "text", "type": "string"}}'
            continue
        if not item.get("name"):
            yield f"{where} has no name"
        yield _wrong_kind(item, _OF_INPUTS, f"{where}.")
        kind = item.get("type", "any")
        if kind not in TYPES:
            yield f"{where}.type {kind!r} is no type; {nearest(kind, TYPES)}"


def _wrong_kind(value: Mapping[str, Any], kinds: Kinds, where: str) -> str:
    """Say which member is of a type that it cannot have."""
    for name, allowed in kinds.items():
        member = value.get(name)
        if member is None or type_name(member) in allowed:
            continue
        hint = f"write {str(member)!r}, in quotes" if allowed == ("string",) else ""
        takes = f"it takes {' or '.join(map(_with_article, allowed))}"
        return f"{where}{name} is {_named(member)}; {hint or takes}"
    return ""


def _no_text(name: str, values: Iterable[Any]) -> str:
    """Say which of some values is no text."""
    for number, value in enumerate(values):
        if not isinstance(value, str):
            return f"{name}[{number}] is {_named(value)}; it takes a string"
    return ""


def _named(value: Any) -> str:
    return f"{_with_article(type_name(value))}, {quoted(value)}"


def _with_article(kind: str) -> str:
    return f"{_ARTICLES.get(kind, 'a')} {kind}"
