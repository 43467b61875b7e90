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
_INTEGERS: Final = (int,)
_TEXTS: Final = (str,)
_ARRAYS: Final = (list, tuple)
_CONTAINERS: Final = (list, tuple, Mapping)
_PLAIN: Final = (str, bool, int, float, Null, Undefined)
"""What is written as it is, without a look at what is in it."""

Binary = Callable[[Budget, Any, Any], Any]


def text_of(budget: Budget, value: Any) -> str:
    """Return a value as text, as Python writes it; null of a skipped step is nothing."""
    if value is None or isinstance(value, _PLAIN):
        return str(value)
    if not isinstance(value, Mapping | list | tuple):
        raise OverBound(f"{type_name(value)} is no text")
    if weigh(budget, value) > MAX_TEXT:
        raise OverBound(f"a text would be too long: more than {MAX_TEXT:,} characters")
    return str(dict(value) if isinstance(value, Mapping) else value)


def _both(left: Any, right: Any, types: tuple[type, ...]) -> bool:
    """Tell whether both operands are of some types."""
    return isinstance(left, types) and isinstance(right, types)


def add(budget: Budget, left: Any, right: Any) -> Any:
    """Add numbers, put texts or arrays together."""
    _bound_number("+", left, right)
    if _both(left, right, _TEXTS):
        budget.text(len(left) + len(right))
    elif _both(left, right, _ARRAYS):
        budget.items(len(left) + len(right))
    return left + right


def multiply(budget: Budget, left: Any, right: Any) -> Any:
    """Multiply numbers, repeat texts and arrays."""
    _bound_number("*", left, right)
    _bound_repeated(budget, left, right)
    _bound_repeated(budget, right, left)
    return left * right


def _bound_repeated(budget: Budget, sequence: Any, times: Any) -> None:
    """Count what is about to be repeated."""
    if not isinstance(times, int):
        return
    if isinstance(sequence, str):
        budget.text(len(sequence) * max(0, times))
    elif isinstance(sequence, _ARRAYS):
        budget.items(len(sequence) * max(0, times))


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
    size = _SIZES.get(sign)
    if size is None or not _both(left, right, _INTEGERS):
        return
    if size(left, right) > _BITS:
        raise OverBound("a number would be too large")


def _bits_of_power(base: int, exponent: int) -> int:
    # Also a large negative exponent takes long.
    if abs(exponent) > _BITS:
        return _BITS + 1
    return base.bit_length() * max(0, exponent)


_SIZES: Final[Mapping[str, Callable[[int, int], int]]] = {
    "+": lambda left, _: left.bit_length(),
    "-": lambda left, _: left.bit_length(),
    "*": lambda left, right: left.bit_length() + right.bit_length(),
    "**": _bits_of_power,
}
"""How many bits the result of an operator may have, at least about."""


def _plain(function: Callable[[Any, Any], Any], sign: str = "") -> Binary:
    def run(_: Budget, left: Any, right: Any) -> Any:
        _bound_number(sign, left, right)
        return function(left, right)

    return run


def equal(budget: Budget, left: Any, right: Any) -> bool:
    """Compare two values; what cannot be equal is not looked at in full."""
    if _both(left, right, _TEXTS):
        budget.copy(min(len(left), len(right)))
    elif _both(left, right, _CONTAINERS):
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
        if _both(left, right, _TEXTS):
            budget.copy(min(len(left), len(right)))
        elif isinstance(left, _ARRAYS):
            weigh(budget, left)
        return compare(left, right)

    return run


def contains(budget: Budget, container: Any, item: Any) -> bool:
    """Tell whether something is in a text, an array, or the keys of an object."""
    if isinstance(container, str):
        length = len(item) if isinstance(item, str) else 0
        budget.copy(len(container) + length)
    elif isinstance(container, _ARRAYS):
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
