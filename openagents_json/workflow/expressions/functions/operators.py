"""The operators of expressions, each with its cost counted before it is done."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

from jinja2.runtime import Undefined

from openagents_json.workflow.errors import OverBound
from openagents_json.workflow.expressions.budget import MAX_TEXT, Budget, weigh
from openagents_json.workflow.expressions.null import Null
from openagents_json.workflow.types import type_name

_BITS: Final = 10_000
_SEQUENCES: Final = (str, list, tuple)
Binary = Callable[[Budget, Any, Any], Any]


def text_of(budget: Budget, value: Any) -> str:
    """Return a value as text, as Python writes it; null of a skipped step is nothing."""
    if isinstance(value, str):
        return str(value)
    if value is None or isinstance(value, bool | int | float | Null | Undefined):
        return str(value)
    if not isinstance(value, Mapping | list | tuple):
        raise OverBound(f"{type_name(value)} is no text")
    if weigh(budget, value) > MAX_TEXT:
        raise OverBound(f"a text would be too long: more than {MAX_TEXT:,} characters")
    return str(dict(value) if isinstance(value, Mapping) else value)


def add(budget: Budget, left: Any, right: Any) -> Any:
    """Add numbers, put texts or arrays together."""
    _bound_number("+", left, right)
    if isinstance(left, str) and isinstance(right, str):
        budget.text(len(left) + len(right))
    elif isinstance(left, list | tuple) and isinstance(right, list | tuple):
        budget.items(len(left) + len(right))
    return left + right


def multiply(budget: Budget, left: Any, right: Any) -> Any:
    """Multiply numbers, repeat texts and arrays."""
    _bound_number("*", left, right)
    for one, times in ((left, right), (right, left)):
        if isinstance(one, _SEQUENCES) and isinstance(times, int):
            count = len(one) * max(0, times)
            if isinstance(one, str):
                budget.text(count)
            else:
                budget.items(count)
    return left * right


def modulo(_: Budget, left: Any, right: Any) -> Any:
    """Return the rest of a division; a text on the left would be a format, which can ask for any size."""
    if isinstance(left, str):
        raise OverBound("text formatting is not available; use ~ to put text together")
    return left % right


def power(_: Budget, left: Any, right: Any) -> Any:
    """Raise a number to a power."""
    _bound_number("**", left, right)
    result = left**right
    if isinstance(result, complex):
        raise OverBound("the result is not a real number")
    return result


def _bound_number(sign: str, left: Any, right: Any) -> None:
    if not sign or not (isinstance(left, int) and isinstance(right, int)):
        return
    if sign == "**":
        bits = left.bit_length() * max(0, right)
        if abs(right) > _BITS:
            bits = _BITS + 1
    else:
        bits = left.bit_length() + (right.bit_length() if sign == "*" else 0)
    if bits > _BITS:
        raise OverBound("a number would be too large")


def _plain(function: Callable[[Any, Any], Any], sign: str = "") -> Binary:
    def run(_: Budget, left: Any, right: Any) -> Any:
        _bound_number(sign, left, right)
        return function(left, right)

    return run


def equal(budget: Budget, left: Any, right: Any) -> bool:
    """Compare two values; what cannot be equal is not looked at in full."""
    if isinstance(left, str) and isinstance(right, str):
        budget.copy(min(len(left), len(right)))
    elif isinstance(left, list | tuple | Mapping) and isinstance(
        right, list | tuple | Mapping
    ):
        if len(left) != len(right):
            return False
        weigh(budget, left)
    return bool(left == right)


def unequal(budget: Budget, left: Any, right: Any) -> bool:
    """Tell whether two values differ."""
    return not equal(budget, left, right)


def ordered(compare: Callable[[Any, Any], Any]) -> Binary:
    """Return a comparison of order."""

    def run(budget: Budget, left: Any, right: Any) -> Any:
        if isinstance(left, str) and isinstance(right, str):
            budget.copy(min(len(left), len(right)))
        elif isinstance(left, list | tuple):
            weigh(budget, left)
        return compare(left, right)

    return run


def contains(budget: Budget, container: Any, item: Any) -> bool:
    """Tell whether something is in a text, an array, or the keys of an object."""
    if isinstance(container, str):
        budget.copy(len(container) + (len(item) if isinstance(item, str) else 0))
    elif isinstance(container, list | tuple):
        before = budget.left
        weigh(budget, item)
        each = 1 + before - budget.left
        budget.spend(1 + (len(container) * each >> 3))
    return bool(item in container)


def concatenate(budget: Budget, values: list[Any]) -> str:
    """Put the texts of values together."""
    texts = [text_of(budget, value) for value in values]
    budget.text(sum(map(len, texts)))
    return "".join(texts)


BINARY: Final[Mapping[str, Binary]] = {
    "+": add,
    "-": _plain(operator.sub, "-"),
    "*": multiply,
    "/": _plain(operator.truediv),
    "//": _plain(operator.floordiv),
    "%": modulo,
    "**": power,
}
COMPARE: Final[Mapping[str, Binary]] = {
    "eq": equal,
    "ne": unequal,
    "lt": ordered(operator.lt),
    "lteq": ordered(operator.le),
    "gt": ordered(operator.gt),
    "gteq": ordered(operator.ge),
    "in": lambda budget, item, container: contains(budget, container, item),
    "notin": lambda budget, item, container: not contains(budget, container, item),
}
