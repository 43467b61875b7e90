"""A run's inputs against the document's declarations: every problem at once, defaults applied."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from openagents_json.workflow.core.plan import Plan
from openagents_json.workflow.errors import InvalidInputs, InvalidPattern
from openagents_json.workflow.expressions.patterns import finds
from openagents_json.workflow.types import Json, quoted, type_name

SHOWN: Final = 20
TYPES: Final = ("string", "number", "integer", "boolean", "object", "array", "any")


def check_inputs(plan: Plan, inputs: Mapping[str, Json]) -> dict[str, Json]:
    """Check the inputs of a run and give them with defaults applied.

    A document that declares no inputs takes anything. Raises InvalidInputs.
    """
    if not isinstance(inputs, Mapping):
        raise InvalidInputs([("inputs", f"must be an object, not {type_name(inputs)}")])
    checked = dict(inputs)
    problems: list[tuple[str, str]] = []
    for name, declared in plan.parameters.items():
        spec = declared if isinstance(declared, Mapping) else {}
        if name in inputs:
            problems += [(name, reason) for reason in _wrong(spec, inputs[name])]
        elif spec.get("required") and "default" not in spec:
            problems.append((name, "is required"))
        else:
            checked[name] = spec.get("default")
    undeclared = inputs.keys() - plan.parameters.keys() if plan.parameters else ()
    for name in inputs:
        if name in undeclared:
            problems.append((name, _unknown(name, plan.parameters)))
    if problems:
        raise InvalidInputs(problems)
    return checked


def _wrong(spec: Mapping[str, Any], value: Json) -> list[str]:
    """Return what is wrong with an input; null stands for one that is not there, unless it has to be."""
    if value is None and not spec.get("required"):
        return []
    return check_value(spec, value)


def _unknown(name: Any, declared: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(str(name), list(declared), 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"is not an input of this workflow{hint}"


def check_value(spec: Mapping[str, Any], value: Json) -> list[str]:
    """Return the reasons why a value does not fit a parameter."""
    kind = spec.get("type", "any")
    if not is_of_type(value, kind):
        return [f"must be of type {kind}, not {type_name(value)}"]
    reasons = []
    if "enum" in spec and not any(_same(value, item) for item in spec["enum"]):
        reasons.append(f"must be one of {_choices(spec['enum'])}")
    if is_of_type(value, "number"):
        reasons += _check_number(spec, value)
    if isinstance(value, str):
        reasons += _check_text(spec, value)
    return reasons


def _check_number(spec: Mapping[str, Any], value: Json) -> list[str]:
    reasons = []
    if "minimum" in spec and value < spec["minimum"]:
        reasons.append(f"must be at least {spec['minimum']}")
    if "maximum" in spec and value > spec["maximum"]:
        reasons.append(f"must be at most {spec['maximum']}")
    return reasons


def _choices(values: Sequence[Json]) -> str:
    """Name the values that a parameter takes, in one way however they were written, and no more than anybody reads."""
    shown = [quoted(value) for value in values[:SHOWN]]
    if len(values) > SHOWN:
        shown.append(f"{len(values) - SHOWN} others")
    return ", ".join(shown)


def is_of_type(value: Json, kind: str) -> bool:
    """Tell whether a value is of a type of the format; 3.0 is an integer, as in JSON Schema, and true is none."""
    match kind:
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            whole = isinstance(value, float) and value.is_integer()
            return (isinstance(value, int) and not isinstance(value, bool)) or whole
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "object":
            return isinstance(value, Mapping)
        case "array":
            return isinstance(value, list | tuple)
        case _:
            return True


def _same(one: Json, other: Json) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _check_text(spec: Mapping[str, Any], value: str) -> list[str]:
    pattern, form = spec.get("pattern"), spec.get("format")
    if isinstance(pattern, str):
        try:
            if not finds(pattern, value):
                return [f"does not match the pattern {pattern!r}"]
        except InvalidPattern as error:  # of a definition that an older version took
            return [f"cannot be matched against the pattern {pattern!r}: {error}"]
    check = _FORMATS.get(form) if isinstance(form, str) else None
    return (
        [f"is not of format {form}"] if check is not None and not check(value) else []
    )


def _parses(parse: Any) -> Any:
    def check(value: str) -> bool:
        try:
            parse(value)
        except ValueError:
            return False
        return True

    return check


_FORMATS: Final = {
    "date": _parses(date.fromisoformat),
    "date-time": _parses(
        lambda text: datetime.fromisoformat(text.replace("Z", "+00:00"))
    ),
    "email": re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+\Z").match,
    "uri": re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+\Z").match,
    "uuid": re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z").match,
}
