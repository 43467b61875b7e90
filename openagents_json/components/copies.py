"""Copies of JSON values: what a component is given is its own, whatever it does to it.

The values of a run are shared as long as only the engine has them: by its state, by the steps and items that refer to
the same input, by the events of a batch. Across the border to other people's code goes a copy, one for each attempt.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_SCALARS: Final = frozenset({str, int, float, bool, type(None)})


def own_copy(value: Any) -> Any:
    """Return a JSON value with containers of its own; all that is no container is shared, as nobody can change it."""
    if isinstance(value, Mapping):
        members = dict(value)
        for name, member in members.items():
            if type(member) not in _SCALARS:
                members[name] = own_copy(member)
        return members
    if isinstance(value, list | tuple):
        items = list(value)
        for index, item in enumerate(items):
            if type(item) not in _SCALARS:
                items[index] = own_copy(item)
        return items
    return value
