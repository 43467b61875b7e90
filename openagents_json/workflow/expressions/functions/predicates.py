"""The tests of expressions (`x is odd`): the whole list, each with its cost counted."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from numbers import Number
from typing import Any, Final

from jinja2.runtime import Undefined

from openagents_json.workflow.expressions.budget import Budget
from openagents_json.workflow.expressions.functions.operators import (
    contains,
    equal,
    modulo,
    ordered,
    text_of,
    unequal,
)
from openagents_json.workflow.expressions.null import Null


def _kind(check: Callable[[Any], bool]) -> Callable[[Budget, Any], bool]:
    return lambda _, value: check(value)


def _sequence(value: Any) -> bool:
    return isinstance(value, str | list | tuple | Mapping)


def _iterable(value: Any) -> bool:
    try:
        iter(value)
    except TypeError:
        return False
    return True


def _case(check: Callable[[str], bool]) -> Callable[[Budget, Any], bool]:
    def run(budget: Budget, value: Any) -> bool:
        text = text_of(budget, value)
        budget.copy(len(text))
        return check(text)

    return run


_LESS, _LESS_OR_EQUAL = ordered(operator.lt), ordered(operator.le)
_GREATER, _GREATER_OR_EQUAL = ordered(operator.gt), ordered(operator.ge)

TESTS: Final[Mapping[str, Callable[..., Any]]] = {
    "odd": lambda budget, value: modulo(budget, value, 2) == 1,
    "even": lambda budget, value: modulo(budget, value, 2) == 0,
    "divisibleby": lambda budget, value, num: modulo(budget, value, num) == 0,
    "defined": _kind(lambda value: not isinstance(value, Undefined)),
    "undefined": _kind(lambda value: isinstance(value, Undefined)),
    "boolean": _kind(lambda value: value is True or value is False),
    "true": _kind(lambda value: value is True),
    "false": _kind(lambda value: value is False),
    "none": _kind(lambda value: value is None or isinstance(value, Null)),
    "integer": _kind(
        lambda value: isinstance(value, int) and not isinstance(value, bool)
    ),
    "float": _kind(lambda value: isinstance(value, float)),
    "number": _kind(lambda value: isinstance(value, Number)),
    "string": _kind(lambda value: isinstance(value, str)),
    "mapping": _kind(lambda value: isinstance(value, Mapping)),
    "sequence": _kind(_sequence),
    "iterable": _kind(_iterable),
    "escaped": _kind(lambda _: False),
    "lower": _case(str.islower),
    "upper": _case(str.isupper),
    "in": lambda budget, value, seq: contains(budget, seq, value),
    **dict.fromkeys(("==", "eq", "equalto"), equal),
    **dict.fromkeys(("!=", "ne"), unequal),
    **dict.fromkeys((">", "gt", "greaterthan"), _GREATER),
    **dict.fromkeys((">=", "ge"), _GREATER_OR_EQUAL),
    **dict.fromkeys(("<", "lt", "lessthan"), _LESS),
    **dict.fromkeys(("<=", "le"), _LESS_OR_EQUAL),
}
