"""The elements of values, and what is looked up in each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from jinja2.runtime import Undefined

from openagents_json.workflow.expressions.budget import Budget
from openagents_json.workflow.expressions.functions.members import find_member

Key = Callable[[Any], Any]

_LONGEST_INDEX: Final = 10
"""Digits from which on a number is no index: no array is that long."""


def elements_of(budget: Budget, value: Any) -> list[Any] | tuple[Any, ...]:
    """Return the elements of an array, the characters of a text, the keys of an object."""
    if isinstance(value, str | Mapping):
        budget.items(len(value))
        return list(value)
    if isinstance(value, list | tuple):
        budget.spend(1 + (len(value) >> 3))
        return value
    return list(value)  # says why it has no elements


def elements_to_visit(budget: Budget, value: Any) -> list[Any] | tuple[Any, ...]:
    """Return the elements of a value of which each will be looked at."""
    elements = elements_of(budget, value)
    budget.spend(len(elements))
    return elements


def attribute_getter(budget: Budget, attribute: Any, default: Any = None) -> Key:
    """Return what looks a member up by a path of keys and indexes, as filters write them: `a.b.0`."""
    if attribute is None:
        return lambda item: item
    names = attribute.split(".") if isinstance(attribute, str) else [attribute]
    keys = list(map(_key_of, names))

    def get(item: Any) -> Any:
        budget.spend(len(keys))
        for key in keys:
            item = find_member(budget, item, key)
            if default is not None and isinstance(item, Undefined):
                item = default
        return item

    return get


def _key_of(name: Any) -> Any:
    """Return a number in a path as an index."""
    is_index = isinstance(name, str) and name.isdigit() and len(name) < _LONGEST_INDEX
    if is_index:
        return int(name)
    return name
