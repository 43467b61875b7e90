"""Secrets taken out of what a step leaves: outputs, errors, emissions and log lines.

A value is found as it is and in the spellings that programs commonly give a text (repr, JSON, percent and HTML escapes,
base64, hex), and so are its parts: lines, members of JSON, a URL's password, numbers. What is shorter than SHORTEST
is left alone, as it would be found everywhere. What a component computes from a secret cannot be recognised.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote, urlsplit

SHORTEST: Final = 4
"""A shorter value, line or member is not looked for: it would be found everywhere."""

STARS: Final = "***"
_SHORTEST_REST: Final = 8
"""How much of a value must be left in a message that was cut for it to be recognised."""


@dataclass(frozen=True, slots=True)
class _Spelling:
    """A pattern for one way to write a text, and pieces of which at least one stands in whatever it matches.

    Looking for the pieces first is what makes masking cheap: the pattern is compiled when it may match.
    """

    pattern: str
    pieces: tuple[str, ...]


class Mask:
    """Finds the given secrets in texts and JSON values; made once for each set of values."""

    __slots__ = ("_numbers", "_pieces", "_values")

    def __init__(self, values: Sequence[str]) -> None:
        needles = sorted({part for value in values for part in _parts(value)})
        spellings = [spelling for needle in needles for spelling in _spellings(needle)]
        self._pieces = [
            (piece, spelling) for spelling in spellings for piece in spelling.pieces
        ]
        self._numbers = frozenset(
            number for needle in needles for number in _numbers(needle)
        )
        self._values = [value for value in values if len(value) > _SHORTEST_REST]

    def text(self, text: str) -> str:
        """Return a text without the secrets."""
        likely = {spelling for piece, spelling in self._pieces if piece in text}
        if not likely:
            return text
        spans = sorted(span for spelling in likely for span in _spans(spelling, text))
        pieces, kept, end = [], 0, -1
        for start, until in spans:
            # One secret may begin inside of another: all that any of them covers is taken out.
            if start >= end:
                pieces += [text[kept:start], STARS]
            kept = end = max(end, until)
        return "".join([*pieces, text[kept:]]) if pieces else text

    def message(self, text: str) -> str:
        """Return an error's message without secrets, and without what is left of one where somebody cut the text."""
        text = self.text(text)
        for value in self._values:
            for cut in [*re.finditer(r"\.\.\.|…", text)][::-1]:
                end = cut.end() + _tail(text, value, cut.end())
                start = cut.start() - _head(text, value, cut.start())
                if end > cut.end() or start < cut.start():
                    text = text[:start] + STARS + text[end:]
            head = _head(text, value, len(text))
            text = text[: len(text) - head] + STARS if head else text
        return text

    def value(self, value: Any) -> Any:
        """Return a JSON value without the secrets, in names of members too."""
        if not self._pieces:
            return value
        holder: list[Any] = [value]
        todo: list[tuple[Any, Any]] = [(holder, 0)]
        # No recursion: values may be nested as deep as the codec lets them be.
        while todo:
            container, key = todo.pop()
            item = container[key]
            if isinstance(item, str):
                container[key] = self.text(item)
            elif isinstance(item, Mapping):
                container[key] = members = self._members(item)
                todo += [(members, name) for name in members]
            elif isinstance(item, list | tuple):
                container[key] = items = list(item)
                todo += [(items, index) for index in range(len(items))]
            elif (
                isinstance(item, int | float)
                and not isinstance(item, bool)
                and item in self._numbers
            ):
                container[key] = STARS
        return holder[0]

    def _members(self, item: Mapping[Any, Any]) -> dict[Any, Any]:
        members: dict[Any, Any] = {}
        for name, member in item.items():
            shown = self.text(name) if isinstance(name, str) else name
            while shown in members:
                shown += "*"
            members[shown] = member
        return members


NO_MASK: Final = Mask(())


def mask_of(values: Sequence[str]) -> Mask:
    """Return what takes values out; that of the same values is made once."""
    return _mask(tuple(sorted(set(values))))


@lru_cache(maxsize=64)
def _mask(values: tuple[str, ...]) -> Mask:
    return Mask(values)


# -- what is looked for ------------------------------------------------------------------------------------


def _parts(value: str) -> Iterator[str]:
    """Return a value and what it consists of: members of JSON, else lines, and the password of a URL."""
    if len(value) < SHORTEST:
        return
    yield value
    if value != value.strip():
        yield from _parts(value.strip())
    members = _members_of(value)
    if members is not None:
        for member in members:
            yield from _parts(member)
    elif len(lines := value.split()) > 1 and "\n" in value.strip():
        lines = [line.strip() for line in value.splitlines()]
        yield from (
            line
            for line in lines
            if len(line) >= SHORTEST and not line.startswith("-----")
        )
    elif "://" in value:
        passwords = {password := _password(value), unquote(password)}
        yield from (password for password in passwords if len(password) >= SHORTEST)


def _members_of(value: str) -> list[str] | None:
    """Return the texts and numbers of a JSON object or array; None when the value is none."""
    if value.lstrip()[:1] not in ("{", "["):
        return None
    try:
        todo = [json.loads(value)]
    except (ValueError, RecursionError):
        return None
    texts = []
    while todo:
        item = todo.pop()
        if isinstance(item, dict):
            todo += item.values()
        elif isinstance(item, list):
            todo += item
        elif isinstance(item, str | int | float) and not isinstance(item, bool):
            texts.append(str(item))
    return texts


def _password(value: str) -> str:
    try:
        return urlsplit(value).password or ""
    except ValueError:
        return ""


def _numbers(needle: str) -> Iterator[int | float]:
    """Return the numbers that a text may become in a component."""
    if not re.fullmatch(
        r"\s*[+-]?[0-9][0-9_]*(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?\s*", needle
    ):
        return
    for kind in (int, float):
        try:
            number = kind(needle)
        except (ValueError, OverflowError):
            continue
        if len(str(number).removesuffix(".0")) >= SHORTEST:
            yield number


# -- how it may be spelt -----------------------------------------------------------------------------------


def _spellings(needle: str) -> Iterator[_Spelling]:
    """Return the ways to write a text."""
    yield _Spelling(
        "".join(_character(character) for character in needle), (_longest_run(needle),)
    )
    raw = needle.encode("utf-8", "surrogatepass")
    shown = [str(number).removesuffix(".0") for number in _numbers(needle)]
    for literal in {*shown, raw.hex(), raw.hex().upper()} - {needle}:
        yield _Spelling(re.escape(literal), (literal,))
    for before in range(3):
        yield from _base64(raw, before)


def _longest_run(text: str) -> str:
    """Return the longest piece of a text that every spelling leaves as it is."""
    runs: list[str] = re.findall(r"[A-Za-z0-9]*", text)
    return max(runs, key=len)


_NAMED: Final = {
    "\n": "n",
    "\r": "r",
    "\t": "t",
    "\b": "b",
    "\f": "f",
    "\v": "v",
    "\a": "a",
    "\0": "0",
}


@lru_cache(maxsize=1024)
def _character(character: str) -> str:
    """Return a pattern for one character, as it is or escaped, however often; letters and digits nobody escapes."""
    if character.isascii() and character.isalnum():
        return character
    raw = character.encode("utf-8", "surrogatepass")
    utf16 = character.encode("utf-16-be", "surrogatepass").hex()
    ways = [
        rf"\\*{re.escape(character)}",
        r"\\+u".join(["", *(utf16[i : i + 4] for i in range(0, len(utf16), 4))]),
        rf"\\+U{ord(character):08x}",
        rf"\\+x{ord(character):02x}" if ord(character) < 256 else "",
        "".join(rf"\\+x{byte:02x}" for byte in raw),
        "".join(f"%(?:25)*{byte:02x}" for byte in raw),
        f"&#(?:x0*{ord(character):x}|0*{ord(character)});",
        rf"\\+{_NAMED[character]}" if character in _NAMED else "",
        html.escape(character) if character in "&<>\"'" else "",
        "&apos;" if character == "'" else "",
        r"\+" if character == " " else "",
        r"\\*\r\\*\n|\\+r\\+n" if character == "\n" else "",
    ]
    return f"(?i:{'|'.join(way for way in ways if way)})"


def _base64(raw: bytes, before: int) -> Iterator[_Spelling]:
    """Return patterns for the base64 of bytes with some others before them; what the others decide is left out."""
    text = base64.b64encode(bytes(before) + raw).decode().rstrip("=")
    first = (0, 2, 3)[before]
    inner = text[first:-1] if (before + len(raw)) % 3 else text[first:]
    if len(inner) < _SHORTEST_BASE64:
        return
    yield _Spelling(
        "".join(_BASE64.get(character, character) for character in inner),
        (_longest_run(inner),),
    )
    if len(inner) > _BROKEN:
        # It may be broken into lines, at most once in what is looked for; the rest of the lines goes with it.
        begin = inner[:_BROKEN]
        pieces = (
            _longest_run(begin[: _BROKEN // 2]),
            _longest_run(begin[_BROKEN // 2 :]),
        )
        pattern = _LINE_END.join(
            _BASE64.get(character, character) for character in begin
        )
        yield _Spelling(f"{pattern}(?:[A-Za-z0-9+/_=-]|{_LINE_END})*", pieces)


_SHORTEST_BASE64: Final = 5
"""Fewer characters of base64 are found in any longer one."""

_BROKEN: Final = 32
_LINE_END: Final = r"(?:[\r\n]|\\+[rn])*"
_BASE64: Final = {"+": "(?:[+-]|%2[Bb])", "/": r"(?:\\*[/_]|%2[Ff])"}


def _spans(spelling: _Spelling, text: str) -> Iterator[tuple[int, int]]:
    """Find where a spelling stands in a text, overlapping ones too."""
    pattern, position = re.compile(spelling.pattern), 0
    while (match := pattern.search(text, position)) is not None:
        yield match.span()
        position = match.start() + 1


# -- what was cut ------------------------------------------------------------------------------------------


def _head(text: str, value: str, end: int) -> int:
    """Return how many characters before a place are the beginning of a value."""
    longest = min(end, len(value) - 1)
    return next(
        (
            n
            for n in range(longest, _SHORTEST_REST - 1, -1)
            if text.endswith(value[:n], 0, end)
        ),
        0,
    )


def _tail(text: str, value: str, start: int) -> int:
    """Return how many characters behind a place are the end of a value."""
    longest = min(len(text) - start, len(value) - 1)
    return next(
        (
            n
            for n in range(longest, _SHORTEST_REST - 1, -1)
            if text.startswith(value[-n:], start)
        ),
        0,
    )
