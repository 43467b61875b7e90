"""How large a document may be: counted once, without recursion, before anything is looked at in full."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from openagents_json.workflow.expressions.templates import escape
from openagents_json.workflow.language.parse import MAX_DEPTH, TOO_DEEP
from openagents_json.workflow.language.problems import Collector
from openagents_json.workflow.language.schema import BARE
from openagents_json.workflow.types import type_name

MAX_STEPS: Final = 5_000
MAX_EDGES: Final = 20_000
MAX_VALUES: Final = 100_000
MAX_EXPRESSIONS: Final = 10_000
MAX_EXPRESSION_TEXT: Final = 250_000
MAX_POINTER_TEXT: Final = 20_000_000
"""Characters of the pointers to all values together: a long name stands in the pointer of each value below it."""

MAX_INTEGER_BITS: Final = 14_000

_ADVICE: Final = (
    "split it into workflows that call each other, and give large data as inputs"
)

_OF_POINTERS: Final = "characters in the pointers to its values, by long names"


@dataclass(slots=True)
class Size:
    """What has been counted of a document."""

    values: int = 0
    steps: int = 0
    edges: int = 0
    expressions: int = 0
    expression_text: int = 0
    pointer_text: int = 0

    def add(self, other: Size, sign: int = 1) -> None:
        """Add what has been counted of a part, or take it off."""
        self.values += sign * other.values
        self.steps += sign * other.steps
        self.edges += sign * other.edges
        self.expressions += sign * other.expressions
        self.expression_text += sign * other.expression_text
        self.pointer_text += sign * other.pointer_text

    def beyond(self) -> str:
        """Say which limit it is beyond, empty when it is within all."""
        counted = (
            (self.values, MAX_VALUES, "values"),
            (self.steps, MAX_STEPS, "steps"),
            (self.edges, MAX_EDGES, "connections and dependencies"),
            (self.expressions, MAX_EXPRESSIONS, "expressions"),
            (self.expression_text, MAX_EXPRESSION_TEXT, "characters in expressions"),
            (self.pointer_text, MAX_POINTER_TEXT, _OF_POINTERS),
        )
        for count, most, unit in counted:
            if count > most:
                return f"it has more than {most:,} {unit}"
        return ""


def check_size(document: Any, collector: Collector, *, limited: bool = True) -> bool:
    """Refuse what is no JSON, too deep or too large: then nothing else is looked at.

    Definitions of runs that are there are not `limited`: they came from versions with other limits.
    """
    size = Size(values=1)
    return _count_all([(document, "", "", 0)], size, collector, limited=limited)


def size_of(value: Any, pointer: str, depth: int) -> Size | None:
    """Return the size of a part of a document, None when it is no JSON, too deep or too large by itself."""
    size = Size()
    todo = [(value, pointer, "", depth)]
    is_sound = _count_all(todo, size, Collector(), limited=True)
    return size if is_sound else None


def _count_all(
    todo: list[tuple[Any, str, str, int]],
    size: Size,
    collector: Collector,
    *,
    limited: bool,
) -> bool:
    sound = True
    while todo:
        value, pointer, name, depth = todo.pop()
        _count(value, pointer, name, size)  # before its members are put on the list
        if depth > MAX_DEPTH:
            collector.error("too_deep", pointer[:200], TOO_DEEP)
            return False
        beyond = size.beyond() if limited else ""
        if beyond:
            collector.error("too_large", "", f"{beyond}; {_ADVICE}")
            return False
        if _is_scalar(value):  # first: most values are
            continue
        if isinstance(value, Mapping):
            if not _check_names(value, pointer, collector):
                sound = False
                continue
            # In order, so that it stops at the same place however the document was written.
            for key in sorted(value, reverse=True):
                at = f"{pointer}/{escape(key)}"
                todo.append((value[key], at, key, depth + 1))
        elif isinstance(value, list | tuple):
            for index, item in enumerate(value):
                todo.append((item, f"{pointer}/{index}", "", depth + 1))
        else:
            message = _why_not_json(value)
            collector.error("not_json", pointer, message, found=type_name(value))
            sound = False
    return sound


def _check_names(value: Mapping[Any, Any], pointer: str, collector: Collector) -> bool:
    """Tell whether all names of an object are texts."""
    wrong = [key for key in value if not isinstance(key, str)]
    for key in wrong:
        message = f"the name {key!r:.80} is not a text"
        collector.error("not_json", pointer, message, found=type_name(key))
    return not wrong


def _why_not_json(value: Any) -> str:
    if isinstance(value, float):
        return f"a number that is {value} cannot be written as JSON; give one that is not as large, or a text"
    if isinstance(value, int):
        return (
            "a number with so many digits cannot be written as JSON; give it as a text"
        )
    return f"a value of type {type(value).__name__:.80} is not JSON; give a text, a number, a list or an object"


def _count(value: Any, pointer: str, name: str, size: Size) -> None:
    if isinstance(value, str):
        if value:
            _count_expressions(value, name, size)
        return
    if not isinstance(value, Mapping | list | tuple):
        return
    size.pointer_text += len(pointer) * len(value)
    size.values += len(value)
    if isinstance(value, Mapping):
        return
    if name == "steps":
        size.steps += len(value)
    elif name in ("connections", "depends_on", "on_error"):
        size.edges += len(value)


def _count_expressions(text: str, name: str, size: Size) -> None:
    lengths = list(_expressions(text))
    if not lengths and name in BARE:
        lengths = [len(text)]
    size.expressions += len(lengths)
    size.expression_text += sum(lengths)


def _expressions(text: str) -> Iterator[int]:
    """Return the lengths of what stands in braces."""
    for opening, closing in (("{{", "}}"), ("${", "}")):
        start = text.find(opening)
        while start >= 0:
            end = text.find(closing, start)
            end = len(text) if end < 0 else end
            yield end - start
            start = text.find(opening, end)


def _is_scalar(value: Any) -> bool:
    if isinstance(value, float):
        return value == value and abs(value) != float("inf")
    if isinstance(value, int):
        return (
            value.bit_length() <= MAX_INTEGER_BITS
        )  # a longer one could not be written again
    return value is None or isinstance(value, str)
