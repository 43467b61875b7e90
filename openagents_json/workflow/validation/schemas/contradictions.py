"""Whether no value at all can be valid under some JSON Schemas together.

Each schema is taken as alternatives, each alternative as rules that hold together. A rule that is not understood here
says nothing, so that an answer of "none" is sure, and any other is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, product
from math import inf, prod
from typing import Any, Final, NamedTuple

from openagents_json.workflow.expressions.budget import Budget
from openagents_json.workflow.expressions.payload_schema import fits
from openagents_json.workflow.language.checks.shapes import array_of, object_of

Schema = Any
"""A JSON Schema: an object, true or false."""

Rules = Sequence[Mapping[str, Any]]
"""Objects of schemas that hold together, without their alternatives."""

_FRACTION: Final = "fraction"
_TYPES: Final[Mapping[str, frozenset[str]]] = {
    "null": frozenset({"null"}),
    "boolean": frozenset({"boolean"}),
    "integer": frozenset({"integer"}),
    "number": frozenset({"integer", _FRACTION}),
    "string": frozenset({"string"}),
    "array": frozenset({"array"}),
    "object": frozenset({"object"}),
}
_EVERY_TYPE: Final = frozenset[str]().union(*_TYPES.values())

_MOST_ALTERNATIVES: Final = 64
_MOST_ITEMS: Final = 20
_DEEPEST: Final = 8
_VALUE: Final = 20
"""Looking whether a value is valid costs about as much as so many comparisons of rules."""


class Effort(NamedTuple):
    """How deep a comparison has come, and what it may still cost: large schemas are not compared to the end."""

    budget: Budget
    depth: int = 0

    def deeper(self) -> Effort:
        """Return the effort of what is inside of a schema."""
        return Effort(self.budget, self.depth + 1)


def is_contradiction(schemas: Sequence[Schema], effort: Effort) -> bool:
    """Tell whether surely no value is valid under all of some schemas.

    Raises OverBound when that is too much work.
    """
    if any(schema is False for schema in schemas):
        return True
    if effort.depth > _DEEPEST:
        return False
    alternatives = alternatives_of(schemas)
    effort.budget.spend(len(alternatives))
    return all(_contradict(rules, effort) for rules in alternatives)


# -- alternatives ------------------------------------------------------------------------------------------


def alternatives_of(schemas: Sequence[Schema]) -> list[Rules]:
    """Return the alternatives of schemas that hold together."""
    return _combined([_alternatives(schema, 0) for schema in schemas], otherwise=())


def _combined(choices: Sequence[Sequence[Rules]], otherwise: Rules) -> list[Rules]:
    """Return each choice of one alternative of each; where that are too many, rules that hold in all of them."""
    count = prod(map(len, choices))
    if count > _MOST_ALTERNATIVES:
        return [otherwise]
    return [[*chain.from_iterable(parts)] for parts in product(*choices)]


def _alternatives(schema: Schema, depth: int) -> list[Rules]:
    """Return the alternatives of one schema; false has none."""
    if schema is False:
        return []
    own = [object_of(schema)]
    if depth > _DEEPEST:
        return [own]
    branches = [*_branches(own[0], depth + 1)]
    return _combined([[own], *branches], otherwise=own)


def _branches(rules: Mapping[str, Any], depth: int) -> Iterator[list[Rules]]:
    """Return the alternatives of each part of a schema that holds beside its own rules."""
    for part in array_of(rules.get("allOf")):
        yield _alternatives(part, depth)
    for word in ("anyOf", "oneOf"):
        parts = array_of(rules.get(word))
        if parts:
            yield [*chain.from_iterable(_alternatives(part, depth) for part in parts)]


# -- what cannot hold together -----------------------------------------------------------------------------


def _contradict(rules: Rules, effort: Effort) -> bool:
    for rule in rules:
        values = values_of(rule)
        if values is not None:
            effort.budget.spend(_VALUE * len(values) * len(rules))
            return all(_is_refused(value, rules) for value in values)
    types = types_of(rules)
    return all(_CHECKS[name](rules, effort) for name in types)


def values_of(rule: Mapping[str, Any]) -> Sequence[Any] | None:
    """Return the values that a rule lists, None where it lists none."""
    if "const" in rule:
        return [rule["const"]]
    listed = rule.get("enum")
    return listed if isinstance(listed, list | tuple) else None


def types_of(rules: Rules) -> frozenset[str]:
    """Return the types that values under some rules may have: a number is an integer or a fraction."""
    types = _EVERY_TYPE
    for rule in rules:
        types &= _types_of(rule.get("type"))
    return types


def _types_of(stated: Any) -> frozenset[str]:
    names = [stated] if isinstance(stated, str) else array_of(stated)
    if not names:
        return _EVERY_TYPE
    return frozenset[str]().union(*[_TYPES.get(str(x), _EVERY_TYPE) for x in names])


def _is_refused(value: Any, rules: Rules) -> bool:
    return any(refuses(rule, value) for rule in rules)


def refuses(schema: Schema, value: Any) -> bool:
    """Tell whether a value is surely not valid under a schema."""
    if isinstance(schema, Mapping):
        if type_of(value) not in _types_of(schema.get("type")):
            return True
        if schema.keys() <= {"type"}:
            return False
    return fits(schema, value) is False


def type_of(value: Any) -> str:
    """Return the type of a value; 2.0 is an integer, as JSON Schema has it."""
    if isinstance(value, float):
        return "integer" if value.is_integer() else _FRACTION
    return _NAMES.get(type(value), "object")


_NAMES: Final[Mapping[type, str]] = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    str: "string",
    list: "array",
    tuple: "array",
}


# -- by type -----------------------------------------------------------------------------------------------


def _never(rules: Rules, effort: Effort) -> bool:
    del rules, effort
    return False


def _numbers(rules: Rules, effort: Effort) -> bool:
    """Tell whether the bounds of numbers leave none between them."""
    del effort
    least = _most(rules, "minimum", -inf)
    most = _least(rules, "maximum", inf)
    above = _most(rules, "exclusiveMinimum", -inf)
    below = _least(rules, "exclusiveMaximum", inf)
    return least > most or above >= min(most, below) or least >= below


def _texts(rules: Rules, effort: Effort) -> bool:
    del effort
    return _most(rules, "minLength", 0) > _least(rules, "maxLength", inf)


def _arrays(rules: Rules, effort: Effort) -> bool:
    """Tell whether the lengths leave none, or an item that has to be there cannot be."""
    least = _most(rules, "minItems", 0)
    if least > _least(rules, "maxItems", inf):
        return True
    count = int(min(least, _MOST_ITEMS))
    items = ([item_of(rule, index) for rule in rules] for index in range(count))
    return any(is_contradiction(schemas, effort.deeper()) for schemas in items)


def _objects(rules: Rules, effort: Effort) -> bool:
    """Tell whether a member that has to be there cannot be."""
    names = {name for rule in rules for name in array_of(rule.get("required"))}
    if len(names) > _least(rules, "maxProperties", inf):
        return True
    members = ([member_of(rule, name) for rule in rules] for name in sorted(names))
    return any(is_contradiction(schemas, effort.deeper()) for schemas in members)


_CHECKS: Final = {
    "null": _never,
    "boolean": _never,
    "integer": _numbers,
    _FRACTION: _numbers,
    "string": _texts,
    "array": _arrays,
    "object": _objects,
}


def item_of(rule: Mapping[str, Any], index: int) -> Schema:
    """Return what a rule says of an item of arrays."""
    first = array_of(rule.get("prefixItems"))
    return first[index] if index < len(first) else rule.get("items", True)


def member_of(rule: Mapping[str, Any], name: str) -> Schema:
    """Return what a rule says of a member of objects."""
    members = object_of(rule.get("properties"))
    if name in members:
        return members[name]
    # Patterns may allow it, and say what it is.
    return (
        True if "patternProperties" in rule else rule.get("additionalProperties", True)
    )


def _most(rules: Rules, name: str, default: float) -> float:
    return max((bound(rule, name, default) for rule in rules), default=default)


def _least(rules: Rules, name: str, default: float) -> float:
    return min((bound(rule, name, default) for rule in rules), default=default)


def bound(rule: Mapping[str, Any], name: str, default: float) -> float:
    """Return a bound of numbers that a rule states, or else the default."""
    value = rule.get(name, default)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number else default
