"""The values of expressions as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from jinja2.runtime import Undefined

from openagents_json.workflow.errors import OverBound
from openagents_json.workflow.expressions.budget import MAX_BITS, MAX_TEXT, Budget
from openagents_json.workflow.expressions.functions.members import Method
from openagents_json.workflow.expressions.null import Null
from openagents_json.workflow.types import Json

_DEPTH: Final = 200


def to_json(budget: Budget, value: Any, depth: int) -> Json:
    """Return the value of an expression as JSON; an undefined name raises."""
    if isinstance(value, Null):
        return None
    if value is None or isinstance(value, bool | int | str):
        return _bounded(budget, value)
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise OverBound("the result is not a finite number")
        return value
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()
    if depth > _DEPTH:
        raise OverBound("the result is nested too deeply")
    if isinstance(value, Mapping):
        budget.spend(1 + len(value))
        return {
            str(key): to_json(budget, item, depth + 1) for key, item in value.items()
        }
    if isinstance(value, Method):
        raise OverBound(f"{value.name} is a method: write {value.name}()")
    if not isinstance(value, list | tuple):
        raise OverBound(f"the result is not JSON but {type(value).__name__}")
    budget.spend(1 + len(value))
    return [to_json(budget, item, depth + 1) for item in value]


def _bounded(budget: Budget, value: str | int | None) -> Json:
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise OverBound(
                f"a text would be too long: more than {MAX_TEXT:,} characters"
            )
        budget.spend(len(value) >> 6)
        return value if type(value) is str else str(value)
    if value is not None and value.bit_length() > MAX_BITS:
        raise OverBound("a number would be too large")
    return value
