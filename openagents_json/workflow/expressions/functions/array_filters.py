"""The filters of arrays, and of what else has elements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from jinja2.runtime import Undefined

from openagents_json.workflow.errors import OverBound
from openagents_json.workflow.expressions.budget import Budget, weigh
from openagents_json.workflow.expressions.functions.elements import (
    attribute_getter,
    elements_of,
    elements_to_visit,
)
from openagents_json.workflow.expressions.functions.members import undefined
from openagents_json.workflow.expressions.functions.operators import add
from openagents_json.workflow.expressions.functions.text_filters import lowered

_EXACT: Final = 2**53
"""Up to here, whole numbers and numbers with a point are the same."""


def _folded(budget: Budget, value: Any) -> Any:
    if isinstance(value, str):
        return lowered(budget, value)
    return value


def _keys(
    budget: Budget, elements: Any, attribute: Any, case_sensitive: bool
) -> list[Any]:
    get = attribute_getter(budget, attribute)
    if case_sensitive:
        return [get(element) for element in elements]
    return [_folded(budget, get(element)) for element in elements]


def _sorted(budget: Budget, elements: Any, keys: list[Any], reverse: bool) -> list[Any]:
    """Sort by keys; each is compared as often as the number of elements has bits."""
    before = budget.left
    weigh(budget, keys)
    budget.spend((before - budget.left) * len(keys).bit_length() >> 2)
    order = sorted(range(len(keys)), key=keys.__getitem__, reverse=reverse)
    return [elements[index] for index in order]


def _sort(
    budget: Budget,
    value: Any,
    reverse: bool = False,
    case_sensitive: bool = False,
    attribute: Any = None,
) -> list[Any]:
    """Sort elements, by one of their members, or by several."""
    elements = elements_to_visit(budget, value)
    if isinstance(attribute, str) and "," in attribute:
        names = attribute.split(",")
        columns = [_keys(budget, elements, name, case_sensitive) for name in names]
        keys: list[Any] = list(zip(*columns, strict=True))
    else:
        keys = _keys(budget, elements, attribute, case_sensitive)
    return _sorted(budget, elements, keys, reverse)


def _dictsort(
    budget: Budget,
    value: Any,
    case_sensitive: bool = False,
    by: str = "key",
    reverse: bool = False,
) -> list[Any]:
    """Return the members of an object as pairs, by key or by value."""
    if by not in ("key", "value"):
        raise OverBound('dictsort is by "key" or by "value"')
    pairs = elements_to_visit(budget, list(value.items()))
    keys = _keys(budget, pairs, int(by == "value"), case_sensitive)
    return _sorted(budget, pairs, keys, reverse)


def _unique(
    budget: Budget, value: Any, case_sensitive: bool = False, attribute: Any = None
) -> list[Any]:
    """Leave out elements whose keys came before."""
    first_of_each = []
    seen = set()
    elements = elements_to_visit(budget, value)
    keys = _keys(budget, elements, attribute, case_sensitive)
    for element, key in zip(elements, keys, strict=True):
        weigh(budget, key)
        spread = _spread(key)
        if spread not in seen:
            seen.add(spread)
            first_of_each.append(element)
    return first_of_each


def _spread(key: Any) -> Any:
    """Return a large number as text: Python hashes numbers so that data can make all of them meet in one place."""
    if isinstance(key, float) and key.is_integer():
        key = int(key)
    is_large = isinstance(key, int) and abs(key) > _EXACT
    return hex(key) + "#" if is_large else key


def _extreme(pick: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that picks one element by the order of keys."""

    def run(
        budget: Budget, value: Any, case_sensitive: bool = False, attribute: Any = None
    ) -> Any:
        elements = elements_to_visit(budget, value)
        if not elements:
            return undefined("No aggregated item, sequence was empty.")
        keys = _keys(budget, elements, attribute, case_sensitive)
        weigh(budget, keys)
        return elements[pick(range(len(keys)), key=keys.__getitem__)]

    return run


def _sum(budget: Budget, iterable: Any, attribute: Any = None, start: Any = 0) -> Any:
    """Add elements up."""
    get = attribute_getter(budget, attribute)
    total = start
    for element in elements_to_visit(budget, iterable):
        total = add(budget, total, get(element))
    return total


def _end(index: int, hint: str) -> Callable[[Budget, Any], Any]:
    """Return a filter that gives the element at an index."""

    def run(budget: Budget, value: Any) -> Any:
        elements = value if isinstance(value, str) else elements_of(budget, value)
        if elements:
            return elements[index]
        return undefined(hint)

    return run


def _items(budget: Budget, value: Any) -> list[Any]:
    """Return the members of an object as pairs."""
    if isinstance(value, Undefined):
        return []
    if not isinstance(value, Mapping):
        raise TypeError("Can only get item pairs from a mapping.")
    budget.items(len(value))
    return list(value.items())


def _reverse(budget: Budget, value: Any) -> Any:
    """Turn the order of elements or characters around."""
    if isinstance(value, str):
        budget.text(len(value))
        return value[::-1]
    return elements_of(budget, value)[::-1]


ARRAY_FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "dictsort": _dictsort,
    "first": _end(0, "No first item, sequence was empty."),
    "items": _items,
    "last": _end(-1, "No last item, sequence was empty."),
    "list": lambda budget, value: list(elements_of(budget, value)),
    "max": _extreme(max),
    "min": _extreme(min),
    "reverse": _reverse,
    "sort": _sort,
    "sum": _sum,
    "unique": _unique,
}
