"""Values that may be valid under a JSON Schema, at the bounds of it: to be tried, as nothing is sure of them."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Any, Final

from openagents_json.workflow.language.checks.shapes import array_of, object_of
from openagents_json.workflow.types import Json
from openagents_json.workflow.validation.schemas.contradictions import (
    Rules,
    Schema,
    alternatives_of,
    item_of,
    member_of,
    types_of,
    values_of,
)

_MOST: Final = 12
_LONGEST: Final = 20
_DEEPEST: Final = 4

_PLAIN: Final[dict[str, tuple[Json, ...]]] = {
    "null": (None,),
    "boolean": (True, False),
    "integer": (0, 1, -1),
    "fraction": (0.5, -0.5),
    "string": ("x", ""),
}
_BOUNDS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")


def samples_of(schema: Schema, depth: int = 0) -> list[Json]:
    """Return some values, the plainest first."""
    if depth > _DEEPEST:
        return []
    samples: list[Json] = []
    for rules in alternatives_of([schema]):
        samples += _of_rules(rules, depth)
    return samples[:_MOST]


def _of_rules(rules: Rules, depth: int) -> Iterator[Json]:
    for rule in rules:
        values = values_of(rule)
        if values is not None:
            yield from values[:_MOST]
            return
    for name in sorted(types_of(rules)):
        yield from _PLAIN.get(name, ())
        if name in ("integer", "fraction"):
            yield from _near_bounds(rules)
        elif name == "string":
            yield from _long_enough(rules)
        elif name == "array":
            yield from _arrays(rules, depth + 1)
        elif name == "object":
            yield from _objects(rules, depth + 1)


def _near_bounds(rules: Rules) -> Iterator[Json]:
    bounds = [rule[name] for rule in rules for name in _BOUNDS if name in rule]
    for bound in bounds:
        if isinstance(bound, int | float) and abs(bound) < inf:
            yield from (bound, bound + 1, bound - 1)


def _long_enough(rules: Rules) -> Iterator[Json]:
    for rule in rules:
        length = rule.get("minLength")
        if isinstance(length, int) and length <= _LONGEST:
            yield "x" * length


def _arrays(rules: Rules, depth: int) -> Iterator[Json]:
    least = max((rule.get("minItems", 0) for rule in rules), default=0)
    if not isinstance(least, int) or least > _LONGEST:
        return
    if not least:
        yield []
    items: list[Json] = []
    for index in range(max(least, 1)):
        choices = samples_of({"allOf": [item_of(rule, index) for rule in rules]}, depth)
        if not choices:
            return
        items.append(choices[0])
    yield items


def _objects(rules: Rules, depth: int) -> Iterator[Json]:
    required = {name for rule in rules for name in array_of(rule.get("required"))}
    smallest: dict[str, Any] = {}
    for name in sorted(required):
        choices = _members(rules, name, depth)
        if not choices:
            return
        smallest[name] = choices[0]
    yield smallest
    for name in sorted(
        {name for rule in rules for name in object_of(rule.get("properties"))}
    ):
        for choice in _members(rules, name, depth):
            yield {**smallest, name: choice}


def _members(rules: Rules, name: str, depth: int) -> list[Json]:
    return samples_of({"allOf": [member_of(rule, name) for rule in rules]}, depth)
