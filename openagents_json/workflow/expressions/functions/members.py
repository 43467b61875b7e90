"""Members of values: keys, indexes, the methods of texts and objects; nothing else of Python is reachable."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jinja2.runtime import StrictUndefined, Undefined

from openagents_json.workflow.errors import OverBound
from openagents_json.workflow.expressions.budget import Budget
from openagents_json.workflow.expressions.null import Null
from openagents_json.workflow.types import type_name

_SHOWN: Final = 12
"""How many of the names that are there a message says."""
_STRIPPED: Final = 1000
"""The most different characters to strip: each is looked for at each end."""

Function = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Method:
    """A method of a value, looked up and not called yet."""

    name: str
    owner: Any


def find_member(budget: Budget, value: Any, key: Any) -> Any:
    """Look a key, an index, a slice or a method up; keys win over methods."""
    if isinstance(value, Undefined | Null):
        return value
    if isinstance(key, str):
        return _named_member(value, key)
    is_index = isinstance(key, int | slice) and not isinstance(key, bool)
    if is_index and isinstance(value, Mapping) and isinstance(key, int):
        return _named_member(value, str(key))  # names are texts, also those of digits
    if is_index and isinstance(value, list | tuple | str):
        return _element(budget, value, key)
    return undefined(missing(value, key))


def _named_member(value: Any, key: str) -> Any:
    """Return what an object has under a key, else a method of that name."""
    if isinstance(value, Mapping) and key in value:
        return value[key]
    if key in _methods_of(value):
        return Method(key, value)
    return undefined(missing(value, key))


def _element(budget: Budget, value: Any, key: int | slice) -> Any:
    """Return what an array or a text has at an index, or a slice of it."""
    if isinstance(key, slice):
        a_unit = 6 if isinstance(value, str) else 3
        budget.spend(1 + (len(value) >> a_unit))
    try:
        return value[key]
    except (IndexError, TypeError, ValueError):
        return undefined(missing(value, key))


def undefined(hint: str) -> Undefined:
    """Return what stands for something that is not there."""
    return StrictUndefined(hint)


def call(budget: Budget, method: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Call one of the listed methods; a method of what is null is null.

    Raises OverBound.
    """
    if isinstance(method, Null):
        return method
    if isinstance(method, Undefined):
        methods = f"methods of strings are {_listed(OF_TEXTS)}, of objects {_listed(OF_OBJECTS)}"
        raise OverBound(
            f"{method._undefined_hint or 'there is no such method'}; {methods}"
        )
    if not isinstance(method, Method):
        raise OverBound(f"{type_name(method)} is no method")
    return _methods_of(method.owner)[method.name](budget, method.owner, *args, **kwargs)


def missing(value: Any, key: Any) -> str:
    """Say that a value has nothing under a key, and what it has."""
    if isinstance(value, Mapping):
        return f"there is no {key!r} (there are: {_shown_names(value)})"
    if isinstance(value, list | tuple | str) and isinstance(key, int):
        return f"there is no element {key} (there are: {len(value)})"
    if isinstance(value, str) and key in OF_TEXTS:
        return f"{key} is a method of strings: write {key}()"
    return f"{type_name(value)} has no {key!r}"


def _shown_names(value: Mapping[Any, Any]) -> str:
    names = list(value)
    if not names:
        return "none"
    if isinstance(value, dict):  # else it has an order of its own
        names.sort(key=str)
    shown = ", ".join(map(str, names[:_SHOWN]))
    more = len(names) - _SHOWN
    if more > 0:
        return f"{shown} and {more} more"
    return shown


def _methods_of(value: Any) -> Mapping[str, Function]:
    if isinstance(value, Mapping):
        return OF_OBJECTS
    return OF_TEXTS if isinstance(value, str) else {}


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def replaced(budget: Budget, text: str, old: str, new: str, count: int = -1) -> str:
    """Replace in a text, the size of the result counted first."""
    budget.copy(len(text))
    occurrences = text.count(old)
    times = occurrences if count < 0 else min(count, occurrences)
    budget.text(len(text) + times * max(0, len(new) - len(old)))
    return text.replace(old, new, count)


def stripped(
    budget: Budget, text: str, characters: Any, take: Callable[[str, str | None], str]
) -> str:
    """Take characters away at the ends of a text."""
    budget.copy(len(text))
    if characters is None:
        return take(text, None)
    budget.copy(len(characters))
    different = "".join(sorted(set(characters)))
    if len(different) > _STRIPPED:
        raise OverBound(f"more than {_STRIPPED:,} different characters to strip")
    budget.spend(
        len(text) * len(different) >> 10
    )  # each character of the text is looked for among those
    return take(text, different)


def _split(
    budget: Budget, text: str, sep: str | None = None, maxsplit: int = -1
) -> list[str]:
    budget.spend(1 + (len(text) >> 2 if sep is None else len(text) >> 6))
    if isinstance(sep, str) and sep:
        budget.items(text.count(sep) + 1)
        budget.spend(text.count(sep))
    return text.split(sep, maxsplit)


def _strip(take: Callable[[str, str | None], str]) -> Function:
    return lambda budget, text, characters=None: stripped(
        budget, text, characters, take
    )


def _changed(change: Callable[[str], Any]) -> Function:
    def run(budget: Budget, text: str) -> Any:
        budget.text(len(text))
        budget.spend(len(text) >> 4)
        return change(text)

    return run


def _looked_for(look: Callable[..., Any]) -> Function:
    def run(budget: Budget, text: str, *args: Any) -> Any:
        budget.copy(len(text))
        for arg in args[:1]:
            for part in arg if isinstance(arg, tuple) else (arg,):
                budget.copy(len(part) if isinstance(part, str) else 0)
        return look(text, *args)

    return run


def _array(budget: Budget, values: Iterable[Any], count: int) -> list[Any]:
    budget.items(count)
    return list(values)


OF_TEXTS: Final[Mapping[str, Function]] = {
    "upper": _changed(str.upper),
    "lower": _changed(str.lower),
    "title": _changed(str.title),
    "capitalize": _changed(str.capitalize),
    "isdigit": _changed(str.isdigit),
    "isalpha": _changed(str.isalpha),
    "strip": _strip(str.strip),
    "lstrip": _strip(str.lstrip),
    "rstrip": _strip(str.rstrip),
    "split": _split,
    "replace": replaced,
    "startswith": _looked_for(str.startswith),
    "endswith": _looked_for(str.endswith),
    "count": _looked_for(str.count),
    "index": _looked_for(str.index),
    "find": _looked_for(str.find),
}
OF_OBJECTS: Final[Mapping[str, Function]] = {
    "get": lambda _, value, key, default=None: value.get(key, default),
    "keys": lambda budget, value: _array(budget, value.keys(), len(value)),
    "values": lambda budget, value: _array(budget, value.values(), len(value)),
    "items": lambda budget, value: _array(budget, value.items(), len(value)),
}
METHODS: Final = frozenset({*OF_TEXTS, *OF_OBJECTS})
