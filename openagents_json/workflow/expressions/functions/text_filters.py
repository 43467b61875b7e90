"""The filters of texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from openagents_json.workflow.errors import OverBound
from openagents_json.workflow.expressions.budget import Budget
from openagents_json.workflow.expressions.functions.elements import (
    attribute_getter,
    elements_to_visit,
)
from openagents_json.workflow.expressions.functions.members import replaced, stripped
from openagents_json.workflow.expressions.functions.operators import (
    concatenate,
    text_of,
)

_WORD: Final = re.compile(r"\w+")
_WORD_BEGINNING: Final = re.compile(r"([-\s({\[<]+)")


def _text(change: Callable[[str], Any]) -> Callable[[Budget, Any], Any]:
    """Return a filter of a text, whose result is no longer than that."""

    def run(budget: Budget, value: Any) -> Any:
        text = text_of(budget, value)
        budget.text(len(text))
        budget.spend(len(text) >> 4)
        return change(text)

    return run


def _title(text: str) -> str:
    """Begin each word with a capital."""
    pieces = [piece for piece in _WORD_BEGINNING.split(text) if piece]
    return "".join(piece[0].upper() + piece[1:].lower() for piece in pieces)


def _replace(
    budget: Budget, s: Any, old: Any, new: Any, count: int | None = None
) -> str:
    """Replace one text by another."""
    text, before, after = (text_of(budget, value) for value in (s, old, new))
    return replaced(
        budget=budget,
        text=text,
        old=before,
        new=after,
        count=-1 if count is None else count,
    )


def _trim(budget: Budget, value: Any, chars: str | None = None) -> str:
    """Take characters away at both ends."""
    return stripped(budget, text_of(budget, value), chars, str.strip)


def _truncate(
    budget: Budget,
    s: Any,
    length: int = 255,
    killwords: bool = False,
    end: str = "...",
    leeway: int = 5,
) -> Any:
    """Cut a text that is longer than `length` by more than a `leeway`."""
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
    if not killwords:
        kept = kept.rsplit(" ", 1)[0]
    return kept + tail


def _join(budget: Budget, value: Any, d: Any = "", attribute: Any = None) -> str:
    """Put the texts of elements together."""
    get = attribute_getter(budget, attribute)
    between = text_of(budget, d)
    texts = [text_of(budget, get(item)) for item in elements_to_visit(budget, value)]
    size = sum(len(text) for text in texts)
    budget.text(size + len(between) * max(0, len(texts) - 1))
    return between.join(texts)


def lowered(budget: Budget, text: str) -> Any:
    """Return a text in small letters."""
    return _text(str.lower)(budget, text)


TEXT_FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "capitalize": _text(str.capitalize),
    "join": _join,
    "lower": _text(str.lower),
    "replace": _replace,
    "string": lambda budget, value: concatenate(budget, [value]),
    "title": _text(_title),
    "trim": _trim,
    "truncate": _truncate,
    "upper": _text(str.upper),
    "wordcount": _text(lambda text: sum(1 for _ in _WORD.finditer(text))),
}
