"""Documents as text: parsed strictly, and where in the text a JSON pointer is."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from openagents_json.workflow.errors import NotADocument
from openagents_json.workflow.expressions.templates import escape

MAX_BYTES: Final = 4 * 1024 * 1024
MAX_DEPTH: Final = 100
TOO_DEEP: Final = (
    f"it is nested deeper than {MAX_DEPTH}; make what lies deeper a workflow of its own that a `workflow` step calls, "
    "or an input of the run"
)
_LONGEST_CHARACTER: Final = 4
"""Bytes of a character in UTF-8, at most."""

_SKIP: Final = re.compile(r"[ \t\n\r,:]*")
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)
_SCALAR: Final = re.compile(r"[^,\]\}\s]+")


Positions = Callable[[Iterable[str]], Mapping[str, tuple[int, int]]]
"""Gives line and column of the values at pointers."""


class Flaw(NamedTuple):
    """What is wrong with a place of a text that can be read all the same."""

    code: str
    pointer: str
    message: str
    text: str
    line: int
    column: int


class Source(NamedTuple):
    """A document as it was handed over: its value, where its parts are in its text, and what is wrong with that.

    `doubled` are the names that stand twice in an object; `encoded` is the value as canonical bytes, if that is known.
    """

    value: Any
    positions: Positions | None = None
    doubled: tuple[str, ...] = ()
    wrong: NotADocument | None = None
    encoded: bytes | None = None
    flaws: tuple[Flaw, ...] = ()


def names_yaml(name: str) -> bool:
    """Tell whether a file of this name holds YAML; all others hold JSON."""
    return name.lower().endswith((".yaml", ".yml"))


def read_source(document: Any) -> Source:
    """Parse a document that is a text; what is a value already stays as it is."""
    if not isinstance(document, str | bytes):
        return Source(document)
    try:
        value, text, doubled = parse(document)
    except NotADocument as error:
        return Source(None, wrong=error)
    return Source(value, partial(locate, text), tuple(doubled))


def parse(text: str | bytes) -> tuple[Any, str, list[str]]:
    """Parse a text; gives the value, the decoded text, and the names that occur twice in an object.

    Raises NotADocument.
    """
    decoded = decoded_text(text)
    doubled: list[str] = []

    def members(items: list[tuple[str, Any]]) -> dict[str, Any]:
        by_name = dict(items)
        if len(by_name) < len(items):
            doubled.extend(_doubled(items))
        return by_name

    return _loaded(decoded, members), decoded, doubled


def decoded_text(text: str | bytes, problem: str = "invalid_json") -> str:
    """Return a text that is not too large, as characters.

    Raises NotADocument.
    """
    if _is_too_large(text):
        raise NotADocument(
            f"it is larger than {MAX_BYTES:,} bytes; give large data as inputs",
            problem="too_large",
        )
    return _decode(text, problem)


def _doubled(items: Iterable[tuple[str, Any]]) -> list[str]:
    """Return the names that occur more than once."""
    times = Counter(name for name, _ in items)
    return sorted(name for name, count in times.items() if count > 1)


def _loaded(
    text: str, members: Callable[[list[tuple[str, Any]]], dict[str, Any]]
) -> Any:
    try:
        return json.loads(text, object_pairs_hook=members, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise NotADocument(error.msg, error.lineno, error.colno) from error
    except RecursionError as error:
        raise NotADocument(TOO_DEEP, problem="too_deep") from error
    except NotADocument:
        raise
    except ValueError as error:  # a number with more digits than Python reads
        raise NotADocument(str(error).split(";")[0]) from error


def _constant(name: str) -> Any:
    raise NotADocument(f"{name} is not JSON")


def _is_too_large(text: str | bytes) -> bool:
    """Tell whether a text has more bytes in UTF-8 than it may have.

    It is encoded only where its length does not tell: one that is far too large is not held a second time.
    """
    if len(text) > MAX_BYTES:
        return True
    if isinstance(text, bytes) or len(text) * _LONGEST_CHARACTER <= MAX_BYTES:
        return False
    if text.isascii():
        return False
    return len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES


def _decode(text: str | bytes, problem: str) -> str:
    if isinstance(text, str):
        return text.removeprefix("\ufeff")
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text[: error.start].count(b"\n") + 1
        reason = f"byte {error.start} is not UTF-8"
        raise NotADocument(reason, line, problem=problem) from error


def locate(text: str, pointers: Iterable[str]) -> Mapping[str, tuple[int, int]]:
    """Return line and column of the values at pointers, or of the nearest place around each that exists.

    The text is gone through once, whatever the number of pointers is.
    """
    positions = offsets(text, pointers)
    lines = lines_of(text, set(positions.values()))
    return {pointer: lines[position] for pointer, position in positions.items()}


def offsets(text: str, pointers: Iterable[str]) -> Mapping[str, int]:
    """Return where the values at pointers begin, or the nearest around each that exists, in a text that is JSON."""
    positions = _positions(text, _tree(pointers))
    return {pointer: _nearest(pointer, positions) for pointer in pointers}


def value_span(text: str, pointer: str) -> tuple[int, int] | None:
    """Return where the value at a pointer begins and ends, None where there is none, in a text that is JSON."""
    start = _positions(text, _tree([pointer])).get(pointer)
    if start is None:
        return None
    return start, _after(text, start)


def item_spans(text: str, name: str) -> list[tuple[int, int]]:
    """Return where each item of an array begins and ends that is a member of the object that a text is."""
    pointer = f"/{escape(name)}"
    start = _positions(text, _tree([pointer])).get(pointer)
    if start is None or text[start : start + 1] != "[":
        return []
    items = _Container(text, start, pointer, {})
    spans = []
    while (item := items.next()) is not None:
        end = _after(text, item[1])
        spans.append((item[1], end))
        items.position = _skip(text, end)
    return spans


def _tree(pointers: Iterable[str]) -> dict[str, Any]:
    """Return pointers as a tree of keys."""
    tree: dict[str, Any] = {}
    for pointer in pointers:
        node = tree
        for key in pointer.split("/")[1:]:
            node = node.setdefault(key, {})
    return tree


def _nearest(pointer: str, positions: Mapping[str, int]) -> int:
    while pointer not in positions:
        pointer = pointer.rpartition("/")[0]
    return positions[pointer]


def lines_of(text: str, positions: Iterable[int]) -> dict[int, tuple[int, int]]:
    """Return the lines and columns of places of a text, which is gone through once."""
    lines: dict[int, tuple[int, int]] = {}
    line = 1
    counted = 0
    for position in sorted(positions):
        line += text.count("\n", counted, position)
        counted = position
        lines[position] = (line, position - text.rfind("\n", 0, position))
    return lines


def _positions(text: str, tree: Mapping[str, Any]) -> dict[str, int]:
    """Find the positions of the values of a tree of keys; what is not in the tree is passed over."""
    start = _skip(text, 0)
    positions = {"": start}
    todo = [_Container(text, start, "", tree)] if tree else []
    while todo:
        container = todo[-1]
        child = container.next()
        if child is None:
            todo.pop()
            if todo:
                todo[-1].position = _skip(text, container.position + 1)
            continue
        key, position = child
        subtree = container.tree.get(key)
        if subtree is not None:
            pointer = f"{container.pointer}/{key}"
            positions.setdefault(pointer, position)
            if subtree and text[position : position + 1] in ("{", "["):
                todo.append(_Container(text, position, pointer, subtree))
                continue
        container.position = _skip(text, _after(text, position))
    return positions


class _Container:
    """An object or array in the text, gone through member by member."""

    def __init__(
        self, text: str, start: int, pointer: str, tree: Mapping[str, Any]
    ) -> None:
        self.text = text
        self.pointer = pointer
        self.tree = tree
        self.is_object = text[start : start + 1] == "{"
        self.index = 0
        self.position = _skip(text, start + 1)

    def next(self) -> tuple[str, int] | None:
        """Return key and position of the next member, None at the end."""
        text = self.text
        if self.position >= len(text) or text[self.position] in "}]":
            return None
        if not self.is_object:
            self.index += 1
            return str(self.index - 1), self.position
        match = _STRING.match(text, self.position)
        if match is None:
            return None
        return escape(json.loads(match[0], strict=False)), _skip(text, match.end())


def _after(text: str, position: int) -> int:
    """Return the place behind the value at a place."""
    if text[position : position + 1] not in ("{", "["):
        match = _STRING.match(text, position) or _SCALAR.match(text, position)
        if match:
            return match.end()
        return position + 1
    depth = 0
    for token in _TOKEN.finditer(text, position):
        depth += (token[0] in "{[") - (token[0] in "}]")
        if depth <= 0:
            return token.end()
    return len(text)


def _skip(text: str, position: int) -> int:
    match = _SKIP.match(text, position)
    if match:
        return match.end()
    return position
