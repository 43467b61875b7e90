"""JSON Schemas that documents have for payloads: checked under a limit of work, and with linear patterns."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from openagents_json.workflow.errors import InvalidPattern, OverBound
from openagents_json.workflow.expressions.budget import Budget, weigh
from openagents_json.workflow.expressions.patterns import compile_pattern, finds
from openagents_json.workflow.types import in_order

Keyword = Callable[[Any, Any, Any, Any], Iterator[Any] | None]

_KEYWORD: Final = 10
"""Looking at one value for one keyword takes about as long as so many other steps of work."""

_PATTERNS: Final = ("pattern", "patternProperties", "additionalProperties")


def first_problem(schema: Any, payload: Any) -> str:
    """Return why a payload does not fit a schema, empty when it does, and when there is none."""
    if schema is None:
        return ""
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    try:
        errors = _validator()(in_order(schema), registry=Registry()).iter_errors(
            in_order(payload)
        )
        first = next(iter(errors), None)
    except OverBound:
        return "checking it against its schema would be too much work"
    except (Unresolvable, RecursionError, InvalidPattern) as error:
        return f"its schema cannot be used: {type(error).__name__}: {error}"[:500]
    if first is None:
        return ""
    location = "".join(f"/{key}" for key in first.absolute_path) or "the payload"
    return f"{location}: {first.message}"[:500]


def why_no_schema(schema: Any) -> str:
    """Return why something cannot be used as a JSON Schema, empty when it can."""
    from jsonschema import (
        Draft202012Validator,
    )  # imported for documents that have a schema: it takes its time
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
    if isinstance(schema, Mapping):
        if "unevaluatedProperties" in schema and "patternProperties" in json.dumps(
            schema
        ):
            raise ValueError("unevaluatedProperties cannot go with patternProperties")
        reference, pattern, patterns = (
            schema.get("$ref", "#"),
            schema.get("pattern"),
            schema.get("patternProperties"),
        )
        if isinstance(reference, str) and not reference.startswith("#"):
            raise ValueError(f"{reference!r} lies outside of it")
        for text in ([pattern] if isinstance(pattern, str) else []) + list(
            patterns or ()
        ):
            compile_pattern(text)
    members = (
        schema.values()
        if isinstance(schema, Mapping)
        else schema
        if isinstance(schema, list | tuple)
        else ()
    )
    for inner in members:
        _check_inside(inner)


def _validator() -> Any:
    """Return a validator class with a budget of its own, for one validation."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    budget = Budget()
    keywords: dict[str, Keyword] = dict(Draft202012Validator.VALIDATORS)
    keywords |= {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional,
    }
    strict: Any = extend
    return strict(
        Draft202012Validator,
        {name: _charged(name, keyword, budget) for name, keyword in keywords.items()},
    )


def _charged(name: str, keyword: Keyword, budget: Budget) -> Keyword:
    """Return a keyword that takes from the budget what looking at one value costs, before it does."""

    def run(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
        budget.spend(_KEYWORD)
        if name in ("enum", "const", "uniqueItems", "contains"):
            weigh(budget, instance)
            weigh(budget, value)
        if name == "uniqueItems" and isinstance(instance, list | tuple):
            budget.spend(
                len(instance) ** 2 // 8
            )  # arrays and objects in it are compared each with each
        if name in _PATTERNS:
            weigh(budget, instance)
        for error in keyword(validator, value, instance, schema) or ():
            budget.spend(1)
            yield error

    return run


def _pattern(_: Any, pattern: str, instance: Any, __: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if isinstance(instance, str) and not finds(pattern, instance):
        yield ValidationError(f"the text does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: Mapping[str, Any], instance: Any, _: Any
) -> Iterator[Any]:
    if isinstance(instance, Mapping):
        for pattern, schema in patterns.items():
            for name, value in instance.items():
                if finds(pattern, name):
                    yield from validator.descend(
                        value, schema, path=name, schema_path=pattern
                    )


def _additional(
    validator: Any, allowed: Any, instance: Any, schema: Any
) -> Iterator[Any]:
    from jsonschema import ValidationError

    if not isinstance(instance, Mapping):
        return
    named, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    extra = [
        name
        for name in instance
        if name not in named and not any(finds(p, name) for p in patterns)
    ]
    if isinstance(allowed, Mapping):
        for name in extra:
            yield from validator.descend(instance[name], allowed, path=name)
    elif not allowed and extra:
        yield ValidationError(
            f"Additional properties are not allowed: {', '.join(map(repr, extra[:5]))}"
        )
