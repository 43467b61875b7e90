"""What the JSON Schema of documents says of a place in one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any, Final

from openagents_json.engine.editing.tokens import Path
from openagents_json.workflow.language.checks.shapes import array_of, object_of
from openagents_json.workflow.language.schema import SCHEMA

_DEEPEST: Final = 20
_CHOICES: Final = ("allOf", "anyOf", "oneOf")


def members_at(path: Path) -> dict[str, Mapping[str, Any]]:
    """Return the members that an object may have, with what is said of each."""
    members: dict[str, Mapping[str, Any]] = {}
    for schema in _schemas(path):
        members = {**object_of(schema.get("properties")), **members}
    return members


def values_at(path: Path) -> list[str]:
    """Return the words that a value is one of, none where it may be another one."""
    words = [array_of(schema.get("enum")) for schema in _schemas(path)]
    return list(map(str, filter(_is_word, chain.from_iterable(words))))


def _is_word(value: Any) -> bool:
    return isinstance(value, str)


def _schemas(path: Path) -> list[Mapping[str, Any]]:
    """Return the schemas of what stands at a path."""
    here = list(_alternatives(SCHEMA))
    for part in path:
        inner = map(partial(_inner, part=part), here)
        here = list(chain.from_iterable(map(_alternatives, inner)))
    return here


def _inner(schema: Mapping[str, Any], part: str | int) -> Any:
    if isinstance(part, int):
        return schema.get("items")
    members = object_of(schema.get("properties"))
    return members.get(part, schema.get("additionalProperties"))


def _alternatives(schema: Any, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """Give a schema and all that it refers to or consists of."""
    rules = object_of(schema)
    if not rules or depth > _DEEPEST:
        return
    yield rules
    name = str(rules.get("$ref", "")).rpartition("/")[2]
    referred = object_of(SCHEMA["$defs"]).get(name)
    choices = map(array_of, map(rules.get, _CHOICES))
    for one in chain([referred], *choices):
        yield from _alternatives(one, depth + 1)
