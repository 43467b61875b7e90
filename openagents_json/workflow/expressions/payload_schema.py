"""JSON Schemas that documents have for payloads: checked under a limit of work, and with linear patterns."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from functools import cache
from typing import Any, Final

from openagents_json.workflow.errors import InvalidPattern, OverBound
from openagents_json.workflow.expressions.budget import Budget, weigh
from openagents_json.workflow.expressions.patterns import compile_pattern, finds
from openagents_json.workflow.types import in_order

Keyword = Callable[[Any, Any, Any, Any], Iterator[Any] | None]

_KEYWORD: Final = 10
"""Looking at one value for one keyword takes about as long as so many other steps of work."""

_BUDGET: Final = ContextVar[Budget]("budget of a validation")

_COMPARING: Final = ("enum", "const", "uniqueItems", "contains")
_PATTERNS: Final = ("pattern", "patternProperties", "additionalProperties")


def first_problem(schema: Any, payload: Any) -> str:
    """Return why a payload does not fit a schema, empty when it does, and when there is none."""
    if schema is None:
        return ""
    from referencing.exceptions import Unresolvable

    try:
        first = _first_error(in_order(schema), in_order(payload))
    except OverBound:
        return "checking it against its schema would be too much work"
    except (Unresolvable, RecursionError, InvalidPattern) as error:
        return f"its schema cannot be used: {type(error).__name__}: {error}"[:500]
    if first is None:
        return ""
    location = "".join(f"/{key}" for key in first.absolute_path) or "the payload"
    return f"{location}: {first.message}"[:500]


def fits(schema: Any, value: Any) -> bool | None:
    """Tell whether a value is valid under a schema; None where that cannot be told, or is too much work."""
    from referencing.exceptions import Unresolvable

    try:
        return _first_error(schema, value) is None
    except (OverBound, Unresolvable, RecursionError, InvalidPattern):
        return None
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError):
        return None  # it is no schema


def why_no_schema(schema: Any) -> str:
    """Return why something cannot be used as a JSON Schema, empty when it can."""
    # Imported for documents that have a schema: it takes its time.
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
        schema = in_order(schema)
        Draft202012Validator.check_schema(schema)
        _check_inside(schema)
    except (SchemaError, ValueError, RecursionError) as error:
        return str(getattr(error, "message", error))[:200] or type(error).__name__
    return ""


def _check_inside(schema: Any) -> None:
    """Refuse references to what lies outside of a schema, as nothing is fetched, and patterns that cannot be used.

    Raises ValueError.
    """
    members: Iterable[Any] = ()
    if isinstance(schema, Mapping):
        _check_here(schema)
        members = schema.values()
    elif isinstance(schema, list | tuple):
        members = schema
    for inner in members:
        _check_inside(inner)


def _check_here(schema: Mapping[str, Any]) -> None:
    """Refuse what cannot be used of one object of a schema.

    Raises ValueError.
    """
    is_strict = "unevaluatedProperties" in schema
    if is_strict and "patternProperties" in json.dumps(schema):
        raise ValueError("unevaluatedProperties cannot go with patternProperties")
    reference = schema.get("$ref", "#")
    if isinstance(reference, str) and not reference.startswith("#"):
        raise ValueError(f"{reference!r} lies outside of it")
    patterns = list(schema.get("patternProperties") or ())
    if isinstance(schema.get("pattern"), str):
        patterns.insert(0, schema["pattern"])
    for pattern in patterns:
        compile_pattern(pattern)


def _first_error(schema: Any, value: Any) -> Any:
    """Return what is wrong with a value first, None when nothing is; each value has a budget of its own."""
    from referencing import Registry

    validator = _validator()(schema, registry=Registry())
    token = _BUDGET.set(Budget())
    try:
        return next(iter(validator.iter_errors(value)), None)
    finally:
        _BUDGET.reset(token)


@cache
def _validator() -> Any:
    """Return the class of validators whose keywords take from the budget; to make it takes longer than to use it."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    keywords: dict[str, Keyword] = dict(Draft202012Validator.VALIDATORS)
    keywords |= {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional,
    }
    strict: Any = extend
    charged = {name: _charged(name, keyword) for name, keyword in keywords.items()}
    return strict(Draft202012Validator, charged)


def _charged(name: str, keyword: Keyword) -> Keyword:
    """Return a keyword that takes from the budget what looking at one value costs, before it does."""

    def run(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
        budget = _BUDGET.get()
        _charge(name, value, instance, budget)
        for error in keyword(validator, value, instance, schema) or ():
            budget.spend(1)
            yield error

    return run


def _charge(name: str, value: Any, instance: Any, budget: Budget) -> None:
    """Take from the budget what looking at a value for a keyword costs."""
    budget.spend(_KEYWORD)
    if name in _COMPARING:
        weigh(budget, instance)
        weigh(budget, value)
    if name == "uniqueItems" and isinstance(instance, list | tuple):
        # Arrays and objects in it are compared each with each.
        budget.spend(len(instance) ** 2 // 8)
    if name in _PATTERNS:
        weigh(budget, instance)


def _pattern(_: Any, pattern: str, instance: Any, __: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if isinstance(instance, str) and not finds(pattern, instance):
        yield ValidationError(f"the text does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: Mapping[str, Any], instance: Any, _: Any
) -> Iterator[Any]:
    if not isinstance(instance, Mapping):
        return
    for pattern, schema in patterns.items():
        names = [name for name in instance if finds(pattern, name)]
        for name in names:
            yield from validator.descend(
                instance[name], schema, path=name, schema_path=pattern
            )


def _additional(
    validator: Any, allowed: Any, instance: Any, schema: Any
) -> Iterator[Any]:
    from jsonschema import ValidationError

    if not isinstance(instance, Mapping):
        return
    extra = _additional_names(instance, schema)
    if isinstance(allowed, Mapping):
        for name in extra:
            yield from validator.descend(instance[name], allowed, path=name)
    elif extra and not allowed:
        names = ", ".join(map(repr, extra[:5]))
        yield ValidationError(f"Additional properties are not allowed: {names}")


def _additional_names(
    instance: Mapping[str, Any], schema: Mapping[str, Any]
) -> list[str]:
    """Return the members that a schema says nothing about, neither by name nor by a pattern."""
    properties = schema.get("properties", {})
    patterns = schema.get("patternProperties", {})
    unnamed = [name for name in instance if name not in properties]
    return [
        name
        for name in unnamed
        if not any(finds(pattern, name) for pattern in patterns)
    ]
