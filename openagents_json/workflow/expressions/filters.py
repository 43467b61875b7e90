"""The filters of expressions: the whole list, each as Jinja2 describes it, with its cost counted before it is done."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from jinja2.runtime import Undefined
from jinja2.utils import htmlsafe_json_dumps

from openagents_json.workflow.errors import OverBound
from openagents_json.workflow.expressions.budget import Budget, weigh
from openagents_json.workflow.expressions.members import (
    find_member,
    replaced,
    stripped,
    undefined,
)
from openagents_json.workflow.expressions.null import Null
from openagents_json.workflow.expressions.operators import add, concatenate, text_of
from openagents_json.workflow.expressions.predicates import TESTS

_DIGITS: Final = 4300
"""The most digits of a number in a text: other bases than ten take time by their square."""
_PLACES: Final = 400
_INDENT: Final = 16
_EXACT: Final = 2**53
_WORD: Final = re.compile(r"\w+")
_WORD_BEGINNING: Final = re.compile(r"([-\s({\[<]+)")

Key = Callable[[Any], Any]


def _iterated(budget: Budget, value: Any) -> list[Any] | tuple[Any, ...]:
    """Return the elements of an array, the characters of a text, the keys of an object."""
    if isinstance(value, str | Mapping):
        budget.items(len(value))
        return list(value)
    if isinstance(value, list | tuple):
        budget.spend(1 + (len(value) >> 3))
        return value
    return list(value)  # says why it has no elements


def _worked_through(budget: Budget, value: Any) -> list[Any] | tuple[Any, ...]:
    elements = _iterated(budget, value)
    budget.spend(len(elements))
    return elements


def _text(change: Callable[[str], Any]) -> Callable[[Budget, Any], Any]:
    def run(budget: Budget, value: Any) -> Any:
        text = text_of(budget, value)
        budget.text(len(text))
        budget.spend(len(text) >> 4)
        return change(text)

    return run


def _title(text: str) -> str:
    return "".join(
        piece[0].upper() + piece[1:].lower()
        for piece in _WORD_BEGINNING.split(text)
        if piece
    )


def _replace(
    budget: Budget, s: Any, old: Any, new: Any, count: int | None = None
) -> str:
    text, before, after = (text_of(budget, value) for value in (s, old, new))
    return replaced(budget, text, before, after, -1 if count is None else count)


def _trim(budget: Budget, value: Any, chars: str | None = None) -> str:
    return stripped(budget, text_of(budget, value), chars, str.strip)


def _truncate(
    budget: Budget,
    s: Any,
    length: int = 255,
    killwords: bool = False,
    end: str = "...",
    leeway: int = 5,
) -> Any:
    tail = text_of(budget, end)
    if length < len(tail) or leeway < 0:
        raise OverBound(
            f"truncate needs a length of at least {len(tail)}, and no leeway below 0"
        )
    if len(s) <= length + leeway:
        return s
    text = text_of(budget, s)
    budget.text(length)
    kept = text[: length - len(tail)]
    return (kept if killwords else kept.rsplit(" ", 1)[0]) + tail


def _attribute(budget: Budget, attribute: Any, default: Any = None) -> Key:
    """Return what looks a member up by a path of keys and indexes, as filters write them: `a.b.0`."""
    if attribute is None:
        return lambda item: item
    text = attribute.split(".") if isinstance(attribute, str) else [attribute]
    parts = [
        int(part)
        if isinstance(part, str) and part.isdigit() and len(part) < 10
        else part
        for part in text
    ]

    def find(item: Any) -> Any:
        budget.spend(len(parts))
        for part in parts:
            item = find_member(budget, item, part)
            if default is not None and isinstance(item, Undefined):
                item = default
        return item

    return find


def _folded(budget: Budget, value: Any) -> Any:
    return _text(str.lower)(budget, value) if isinstance(value, str) else value


def _keys(
    budget: Budget, elements: Any, attribute: Any, case_sensitive: bool
) -> list[Any]:
    find = _attribute(budget, attribute)
    return [
        find(item) if case_sensitive else _folded(budget, find(item))
        for item in elements
    ]


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
    elements = _worked_through(budget, value)
    if isinstance(attribute, str) and "," in attribute:
        each = [
            _keys(budget, elements, part, case_sensitive)
            for part in attribute.split(",")
        ]
        return _sorted(budget, elements, list(zip(*each, strict=True)), reverse)
    return _sorted(
        budget, elements, _keys(budget, elements, attribute, case_sensitive), reverse
    )


def _dictsort(
    budget: Budget,
    value: Any,
    case_sensitive: bool = False,
    by: str = "key",
    reverse: bool = False,
) -> list[Any]:
    if by not in ("key", "value"):
        raise OverBound('dictsort is by "key" or by "value"')
    pairs = _worked_through(budget, list(value.items()))
    return _sorted(
        budget, pairs, _keys(budget, pairs, int(by == "value"), case_sensitive), reverse
    )


def _unique(
    budget: Budget, value: Any, case_sensitive: bool = False, attribute: Any = None
) -> list[Any]:
    unique, seen = [], set()
    items = _worked_through(budget, value)
    for item, key in zip(
        items, _keys(budget, items, attribute, case_sensitive), strict=True
    ):
        weigh(budget, key)
        spread = _spread(key)
        if spread not in seen:
            seen.add(spread)
            unique.append(item)
    return unique


def _spread(key: Any) -> Any:
    """Return a large number as text: Python hashes numbers so that data can make all of them meet in one place."""
    if isinstance(key, float) and key.is_integer():
        key = int(key)
    return hex(key) + "#" if isinstance(key, int) and abs(key) > _EXACT else key


def _extreme(pick: Callable[..., Any]) -> Callable[..., Any]:
    def run(
        budget: Budget, value: Any, case_sensitive: bool = False, attribute: Any = None
    ) -> Any:
        elements = _worked_through(budget, value)
        if not elements:
            return undefined("No aggregated item, sequence was empty.")
        keys = _keys(budget, elements, attribute, case_sensitive)
        weigh(budget, keys)
        return elements[pick(range(len(keys)), key=keys.__getitem__)]

    return run


def _sum(budget: Budget, iterable: Any, attribute: Any = None, start: Any = 0) -> Any:
    find, total = _attribute(budget, attribute), start
    for item in _worked_through(budget, iterable):
        total = add(budget, total, find(item))
    return total


def _join(budget: Budget, value: Any, d: Any = "", attribute: Any = None) -> str:
    find, between, size = _attribute(budget, attribute), text_of(budget, d), 0
    texts: list[str] = []
    for item in _worked_through(budget, value):
        text = text_of(budget, find(item))
        size += len(text) + (len(between) if texts else 0)
        texts.append(text)
    budget.text(size)
    return between.join(texts)


def _int(_: Budget, value: Any, default: Any = 0, base: int = 10) -> Any:
    if isinstance(value, str) and len(value) > _DIGITS:
        raise OverBound("a number would be too large")
    try:
        return int(value, base) if isinstance(value, str) else int(value)
    except (TypeError, ValueError):
        try:
            return int(float(value))  # "42.23" is 42
        except (TypeError, ValueError, OverflowError):
            return default


def _float(_: Budget, value: Any, default: Any = 0.0) -> Any:
    if isinstance(value, str) and len(value) > _DIGITS:
        raise OverBound("a number would be too large")
    try:
        return float(value)
    except (TypeError, ValueError):
        return default


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
    return (
        default_value
        if isinstance(value, Undefined | Null) or (boolean and not value)
        else value
    )


def _end(index: int, hint: str) -> Callable[[Budget, Any], Any]:
    def run(budget: Budget, value: Any) -> Any:
        elements = _iterated(budget, value) if not isinstance(value, str) else value
        return elements[index] if elements else undefined(hint)

    return run


def _items(budget: Budget, value: Any) -> list[Any]:
    if isinstance(value, Undefined):
        return []
    if not isinstance(value, Mapping):
        raise TypeError("Can only get item pairs from a mapping.")
    budget.items(len(value))
    return list(value.items())


def _reverse(budget: Budget, value: Any) -> Any:
    if isinstance(value, str):
        budget.text(len(value))
        return value[::-1]
    return _iterated(budget, value)[::-1]


def _map(budget: Budget, value: Any, *args: Any, **kwargs: Any) -> list[Any]:
    if not value:
        return []
    if not args and "attribute" in kwargs:
        change = _attribute(
            budget, kwargs.pop("attribute"), kwargs.pop("default", None)
        )
        if kwargs:
            raise TypeError(f"Unexpected keyword argument {next(iter(kwargs))!r}")
    else:
        change = _named("filter", FILTERS, budget, args, kwargs)
    return [change(item) for item in _worked_through(budget, value)]


def _named(
    kind: str,
    functions: Mapping[str, Callable[..., Any]],
    budget: Budget,
    args: Any,
    kwargs: Any,
) -> Key:
    if not args:
        raise TypeError(f"it needs the name of a {kind}")
    if not isinstance(args[0], str) or args[0] not in functions:
        raise OverBound(f"No {kind} named {args[0]!r}.")
    function, rest = functions[args[0]], args[1:]
    return lambda item: function(budget, item, *rest, **kwargs)


def _chosen(keep_if: bool, *, by_attribute: bool) -> Callable[..., list[Any]]:
    def run(budget: Budget, value: Any, *args: Any, **kwargs: Any) -> list[Any]:
        if not value:
            return []
        find: Key = lambda item: item  # noqa: E731
        if by_attribute:
            if not args:
                raise TypeError("Missing parameter for attribute name")
            find, args = _attribute(budget, args[0]), args[1:]
        holds = _named("test", TESTS, budget, args, kwargs) if args else bool
        return [
            item
            for item in _worked_through(budget, value)
            if bool(holds(find(item))) is keep_if
        ]

    return run


def _length(_: Budget, value: Any) -> int:
    return len(value)


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "abs": lambda _, value: abs(value),
    "capitalize": _text(str.capitalize),
    "count": _length,
    "d": _default,
    "default": _default,
    "dictsort": _dictsort,
    "first": _end(0, "No first item, sequence was empty."),
    "float": _float,
    "int": _int,
    "items": _items,
    "join": _join,
    "last": _end(-1, "No last item, sequence was empty."),
    "length": _length,
    "list": lambda budget, value: list(_iterated(budget, value)),
    "lower": _text(str.lower),
    "map": _map,
    "max": _extreme(max),
    "min": _extreme(min),
    "reject": _chosen(False, by_attribute=False),
    "rejectattr": _chosen(False, by_attribute=True),
    "replace": _replace,
    "reverse": _reverse,
    "round": _round,
    "select": _chosen(True, by_attribute=False),
    "selectattr": _chosen(True, by_attribute=True),
    "sort": _sort,
    "string": lambda budget, value: concatenate(budget, [value]),
    "sum": _sum,
    "title": _text(_title),
    "tojson": _tojson,
    "trim": _trim,
    "truncate": _truncate,
    "unique": _unique,
    "upper": _text(str.upper),
    "wordcount": _text(lambda text: sum(1 for _ in _WORD.finditer(text))),
}
