"""The filters of expressions: the whole list, each as Jinja2 describes it, with its cost counted before it is done."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from jinja2.runtime import Undefined
from jinja2.utils import htmlsafe_json_dumps

from openagents_json.workflow.errors import OverBound
from openagents_json.workflow.expressions.budget import Budget
from openagents_json.workflow.expressions.functions.array_filters import ARRAY_FILTERS
from openagents_json.workflow.expressions.functions.elements import (
    Key,
    attribute_getter,
    elements_to_visit,
)
from openagents_json.workflow.expressions.functions.predicates import TESTS
from openagents_json.workflow.expressions.functions.text_filters import TEXT_FILTERS
from openagents_json.workflow.expressions.null import Null

_DIGITS: Final = 4300
"""The most digits of a number in a text: other bases than ten take time by their square."""
_PLACES: Final = 400
_INDENT: Final = 16


def _int(_: Budget, value: Any, default: Any = 0, base: int = 10) -> Any:
    _check_digits(value)
    try:
        if isinstance(value, str):
            return int(value, base)
        return int(value)
    except (TypeError, ValueError):
        pass
    try:
        return int(float(value))  # "42.23" is 42
    except (TypeError, ValueError, OverflowError):
        return default


def _float(_: Budget, value: Any, default: Any = 0.0) -> Any:
    _check_digits(value)
    try:
        return float(value)
    except (TypeError, ValueError):
        return default


def _check_digits(value: Any) -> None:
    if isinstance(value, str) and len(value) > _DIGITS:
        raise OverBound("a number would be too large")


def _round(_: Budget, value: Any, precision: int = 0, method: str = "common") -> Any:
    if method not in ("common", "ceil", "floor"):
        raise OverBound("method must be common, ceil or floor")
    if abs(precision) > _PLACES:
        raise OverBound(f"a number has no more than {_PLACES} places to round")
    if method == "common":
        return round(value, precision)
    to_whole = math.ceil if method == "ceil" else math.floor
    return to_whole(value * (10**precision)) / (10**precision)


def _tojson(budget: Budget, value: Any, indent: int | None = None) -> str:
    from openagents_json.workflow.expressions.results import to_json

    if indent is not None and not 0 <= indent <= _INDENT:
        raise OverBound(f"tojson takes an indent of 0 to {_INDENT}")
    plain = to_json(budget, value, 0)
    spaces: dict[str, Any] = {} if indent is None else {"indent": indent}
    return str(htmlsafe_json_dumps(plain, sort_keys=True, **spaces))


def _default(
    _: Budget, value: Any, default_value: Any = "", boolean: bool = False
) -> Any:
    """Fill in for what is missing: a member that is not there, and the result of a step that has none."""
    is_missing = isinstance(value, Undefined | Null)
    is_false = boolean and not value
    return default_value if is_missing or is_false else value


def _map(budget: Budget, value: Any, *args: Any, **kwargs: Any) -> list[Any]:
    if not value:
        return []
    if args or "attribute" not in kwargs:
        change = _named("filter", FILTERS, budget, args, kwargs)
    else:
        attribute = kwargs.pop("attribute")
        change = attribute_getter(budget, attribute, kwargs.pop("default", None))
        if kwargs:
            raise TypeError(f"Unexpected keyword argument {next(iter(kwargs))!r}")
    return [change(element) for element in elements_to_visit(budget, value)]


def _named(
    kind: str,
    functions: Mapping[str, Callable[..., Any]],
    budget: Budget,
    args: Any,
    kwargs: Any,
) -> Key:
    """Return the filter or test that arguments name first, with the rest of them."""
    if not args:
        raise TypeError(f"it needs the name of a {kind}")
    name = args[0]
    rest = args[1:]
    if not isinstance(name, str) or name not in functions:
        raise OverBound(f"No {kind} named {name!r}.")
    function = functions[name]
    return lambda element: function(budget, element, *rest, **kwargs)


def _chosen(keep_if: bool, *, by_attribute: bool) -> Callable[..., list[Any]]:
    """Return a filter that keeps the elements of which a test says `keep_if`."""

    def run(budget: Budget, value: Any, *args: Any, **kwargs: Any) -> list[Any]:
        if not value:
            return []
        get: Key | None = None
        if by_attribute:
            if not args:
                raise TypeError("Missing parameter for attribute name")
            get = attribute_getter(budget, args[0])
            args = args[1:]
        test = _named("test", TESTS, budget, args, kwargs) if args else bool
        chosen = []
        for element in elements_to_visit(budget, value):
            tested = element if get is None else get(element)
            if bool(test(tested)) is keep_if:
                chosen.append(element)
        return chosen

    return run


def _length(_: Budget, value: Any) -> int:
    return len(value)


_OTHERS: Final[Mapping[str, Callable[..., Any]]] = {
    "abs": lambda _, value: abs(value),
    "count": _length,
    "d": _default,
    "default": _default,
    "float": _float,
    "int": _int,
    "length": _length,
    "map": _map,
    "reject": _chosen(False, by_attribute=False),
    "rejectattr": _chosen(False, by_attribute=True),
    "round": _round,
    "select": _chosen(True, by_attribute=False),
    "selectattr": _chosen(True, by_attribute=True),
    "tojson": _tojson,
}

# What Python says of wrong arguments names the function, and stands in recorded errors: a filter's function keeps its
# name, so that a replay comes to the same error.
FILTERS: Final[Mapping[str, Callable[..., Any]]] = dict(
    sorted({**TEXT_FILTERS, **ARRAY_FILTERS, **_OTHERS}.items())
)
