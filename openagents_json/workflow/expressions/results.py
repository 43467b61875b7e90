"""The values of expressions as JSON."""

from __future__ import annotations

import math
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
        return _finite(value)
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()
    if depth > _DEPTH:
        raise OverBound("the result is nested too deeply")
    if isinstance(value, Mapping):
        budget.spend(1 + len(value))
        members = {}
        for key, member in value.items():
            members[str(key)] = to_json(budget, member, depth + 1)
        return members
    if isinstance(value, list | tuple):
        budget.spend(1 + len(value))
        return [to_json(budget, item, depth + 1) for item in value]
    if isinstance(value, Method):
        raise OverBound(f"{value.name} is a method: write {value.name}()")
    raise OverBound(f"the result is not JSON but {type(value).__name__}")


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise OverBound("the result is not a finite number")
    return number


def _bounded(budget: Budget, value: str | int | None) -> Json:
    if value is None:
        return None
    if not isinstance(value, str):
        if value.bit_length() > MAX_BITS:
            raise OverBound("a number would be too large")
        return value
    if len(value) > MAX_TEXT:
        raise OverBound(f"a text would be too long: more than {MAX_TEXT:,} characters")
    budget.spend(len(value) >> 6)
    return str(
        value
    )  # of a text, that is the text itself; of a kind of its own, a plain one
