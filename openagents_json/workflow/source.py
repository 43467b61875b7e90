"""Documents as text: parsed strictly, and where in the text a JSON pointer is."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from openagents_json.workflow.templates import escape

MAX_BYTES: Final = 16 * 1024 * 1024
_SKIP: Final = re.compile(r"[ \t\n\r,:]*")
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SCALAR: Final = re.compile(r"[^,\]\}\s]+")


class NotADocument(ValueError):
    """A text is not JSON; carries `reason`, `line` and `column`."""

    def __init__(self, reason: str, line: int = 1, column: int = 1) -> None:
        self.reason, self.line, self.column = reason, line, column
        super().__init__(reason)


def parse(text: str | bytes) -> tuple[Any, str, list[str]]:
    """Parse a text; gives the value, the decoded text, and the names that occur twice in an object.

    Raises NotADocument.
    """
    if len(text) > MAX_BYTES:
        raise NotADocument(f"it is larger than {MAX_BYTES} bytes")
    decoded = _decode(text)
    doubled: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) < len(items):
            names = [name for name, _ in items]
            doubled.extend(sorted({name for name in names if names.count(name) > 1}))
        return found

    def constant(name: str) -> Any:
        raise NotADocument(f"{name} is not JSON")

    try:
        return json.loads(decoded, object_pairs_hook=pairs, parse_constant=constant), decoded, doubled
    except json.JSONDecodeError as error:
        raise NotADocument(error.msg, error.lineno, error.colno) from error
    except RecursionError as error:
        raise NotADocument("it is nested too deeply") from error
    except NotADocument:
        raise
    except ValueError as error:
        raise NotADocument(str(error).split(";")[0]) from error


def _decode(text: str | bytes) -> str:
    if isinstance(text, str):
        return text.removeprefix("\ufeff")
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text[: error.start].count(b"\n") + 1
        raise NotADocument(f"byte {error.start} is not UTF-8", line) from error


def locate(text: str, pointer: str) -> tuple[int, int]:
    """Give line and column of the value at a pointer, or of the nearest place around it that exists."""
    position = _find(text, pointer.split("/")[1:])
    line = text.count("\n", 0, position) + 1
    return line, position - text.rfind("\n", 0, position)


def _find(text: str, keys: list[str]) -> int:
    position = _skip(text, 0)
    for key in keys:
        found = _child(text, position, key)
        if found is None:
            break
        position = found
    return position


def _child(text: str, position: int, key: str) -> int | None:
    opening = text[position : position + 1]
    if opening not in ("{", "["):
        return None
    position, index = _skip(text, position + 1), 0
    while position < len(text) and text[position] not in "}]":
        name = str(index)
        if opening == "{":
            match = _STRING.match(text, position)
            if match is None:
                return None
            name, position = escape(json.loads(match[0], strict=False)), _skip(text, match.end())
        if name == key:
            return position
        position, index = _skip(text, _after(text, position)), index + 1
    return None


def _after(text: str, position: int) -> int:
    """Give the place behind the value at a place."""
    depth = 0
    while position < len(text):
        character = text[position]
        if character == '"':
            match = _STRING.match(text, position)
            position = match.end() if match else len(text)
        elif character in "{[":
            depth, position = depth + 1, position + 1
        elif character in "}]":
            depth, position = depth - 1, position + 1
        elif depth:
            position += 1
            continue
        else:
            match = _SCALAR.match(text, position)
            position = match.end() if match else position + 1
        if depth <= 0:
            return position
    return position


def _skip(text: str, position: int) -> int:
    match = _SKIP.match(text, position)
    return match.end() if match else position
