"""A run's inputs against the document's declarations: every problem at once, defaults applied."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from openagents_json.workflow.core.plan import Plan
from openagents_json.workflow.errors import InvalidInputs, InvalidPattern
from openagents_json.workflow.expressions.patterns import finds
from openagents_json.workflow.types import Json, quoted, type_name

SHOWN: Final = 20
TYPES: Final = ("string", "number", "integer", "boolean", "object", "array", "any")


def check_inputs(plan: Plan, inputs: Mapping[str, Json]) -> dict[str, Json]:
    """Check the inputs of a run and give them with defaults applied, those that are integers as whole numbers.

    A document that declares no inputs takes anything. Raises InvalidInputs.
    """
    if not isinstance(inputs, Mapping):
        raise InvalidInputs([("inputs", f"must be an object, not {type_name(inputs)}")])
    declared = {name: _spec_of(value) for name, value in plan.parameters.items()}
    problems = list(_problems_of_declared(declared, inputs))
    if declared:
        problems += _problems_of_others(declared, inputs)
    if problems:
        raise InvalidInputs(problems)
    checked = dict(inputs)
    for name, spec in declared.items():
        checked.setdefault(name, spec.get("default"))
        if spec.get("type") == "integer":
            checked[name] = _as_integer(checked[name])
    return checked


def _as_integer(value: Json) -> Json:
    """Return 3 for 3.0: a text or an index that is made of it is the same, however its caller wrote it."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _spec_of(declared: Any) -> Mapping[str, Any]:
    """Return what is declared of an input; it may be declared without a word about it."""
    if isinstance(declared, Mapping):
        return declared
    return {}


def _problems_of_declared(
    declared: Mapping[str, Mapping[str, Any]], inputs: Mapping[str, Json]
) -> Iterator[tuple[str, str]]:
    for name, spec in declared.items():
        is_required = spec.get("required") and "default" not in spec
        if name in inputs:
            for reason in _wrong(spec, inputs[name]):
                yield name, reason
        elif is_required:
            yield name, "is required"


def _problems_of_others(
    declared: Mapping[str, Mapping[str, Any]], inputs: Mapping[str, Json]
) -> Iterator[tuple[str, str]]:
    for name in inputs:
        if name not in declared:
            yield name, _unknown(name, declared)


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
    reasons = _check_enum(spec, value)
    if is_of_type(value, "number"):
        reasons += _check_number(spec, value)
    if isinstance(value, str):
        reasons += _check_text(spec, value)
    return reasons


def _check_enum(spec: Mapping[str, Any], value: Json) -> list[str]:
    choices = spec.get("enum")
    if choices is None or any(_same(value, choice) for choice in choices):
        return []
    return [f"must be one of {_choices(choices)}"]


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
    is_value_of = _TYPE_CHECKS.get(kind)
    return is_value_of is None or is_value_of(value)


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(value: Json) -> bool:
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


_TYPE_CHECKS: Final[Mapping[str, Callable[[Json], bool]]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": _is_integer,
    "number": _is_number,
    "object": lambda value: isinstance(value, Mapping),
    "array": lambda value: isinstance(value, list | tuple),
}
"""How a value is seen to be of a type; it may be of any other one, as "any" is."""


def _same(one: Json, other: Json) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _check_text(spec: Mapping[str, Any], value: str) -> list[str]:
    reason = _check_pattern(spec.get("pattern"), value)
    if reason:
        return [reason]
    form = spec.get("format")
    check = _FORMATS.get(form) if isinstance(form, str) else None
    if check is None or check(value):
        return []
    return [f"is not of format {form}"]


def _check_pattern(pattern: object, value: str) -> str:
    """Say how a text does not fit a pattern, "" where it does."""
    if not isinstance(pattern, str):
        return ""
    try:
        fits = finds(pattern, value)
    except InvalidPattern as error:  # of a definition that an older version took
        return f"cannot be matched against the pattern {pattern!r}: {error}"
    if fits:
        return ""
    return f"does not match the pattern {pattern!r}"


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
