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
from itertools import chain
from typing import Any, Final
from urllib.parse import unquote, urlsplit

SHORTEST: Final = 4
"""A shorter value, line or member is not looked for: it would be found everywhere."""

STARS: Final = "***"
_CUT: Final = re.compile(r"\.\.\.|…")
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
        needles = sorted(set(chain.from_iterable(map(_parts, values))))
        spellings = chain.from_iterable(map(_spellings, needles))
        self._pieces: list[tuple[str, _Spelling]] = []
        for spelling in spellings:
            self._pieces += [(piece, spelling) for piece in spelling.pieces]
        self._numbers = frozenset(chain.from_iterable(map(_numbers, needles)))
        self._values = [value for value in values if len(value) > _SHORTEST_REST]

    def text(self, text: str) -> str:
        """Return a text without the secrets."""
        likely = {spelling for piece, spelling in self._pieces if piece in text}
        if not likely:
            return text
        all_spans = [_spans(spelling, text) for spelling in likely]
        pieces: list[str] = []
        kept = 0
        end = -1
        for start, until in sorted(chain.from_iterable(all_spans)):
            # One secret may begin inside of another: all that any of them covers is taken out.
            if start >= end:
                pieces += [text[kept:start], STARS]
            kept = end = max(end, until)
        if pieces:
            return "".join([*pieces, text[kept:]])
        return text

    def message(self, text: str) -> str:
        """Return an error's message without secrets, and without what is left of one where somebody cut the text."""
        text = self.text(text)
        for value in self._values:
            text = _without_rests(text, value)
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
            elif _is_number(item) and item in self._numbers:
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


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


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
    bare = value.strip()
    if value != bare:
        yield from _parts(bare)
    members = _members_of(value)
    if members is not None:
        for member in members:
            yield from _parts(member)
    elif "\n" in bare:
        yield from filter(_is_long_enough, _lines(value))
    elif "://" in value:
        password = _password(value)
        yield from filter(_is_long_enough, {password, unquote(password)})


def _is_long_enough(part: str) -> bool:
    return len(part) >= SHORTEST


def _lines(value: str) -> list[str]:
    """Return the lines of a value, without those that say what is in a PEM file."""
    lines = [line.strip() for line in value.splitlines()]
    return [line for line in lines if not line.startswith("-----")]


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
        elif isinstance(item, str) or _is_number(item):
            texts.append(str(item))
    return texts


def _password(value: str) -> str:
    try:
        return urlsplit(value).password or ""
    except ValueError:
        return ""


_NUMBER: Final = re.compile(r"\s*[+-]?[0-9][0-9_]*(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?\s*")


def _numbers(needle: str) -> Iterator[int | float]:
    """Return the numbers that a text may become in a component."""
    if not _NUMBER.fullmatch(needle):
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
    yield _Spelling("".join(map(_character, needle)), (_longest_run(needle),))
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
    number = ord(character)
    raw = character.encode("utf-8", "surrogatepass")
    utf16 = character.encode("utf-16-be", "surrogatepass").hex()
    units = [utf16[start : start + 4] for start in range(0, len(utf16), 4)]
    ways = [
        rf"\\*{re.escape(character)}",
        r"\\+u".join(["", *units]),
        rf"\\+U{number:08x}",
        "".join([rf"\\+x{byte:02x}" for byte in raw]),
        "".join([f"%(?:25)*{byte:02x}" for byte in raw]),
        f"&#(?:x0*{number:x}|0*{number});",
        *_OF_THEIR_OWN.get(character, ()),
    ]
    if number < 256:
        ways.append(rf"\\+x{number:02x}")
    if character in _NAMED:
        ways.append(rf"\\+{_NAMED[character]}")
    return f"(?i:{'|'.join(ways)})"


_OF_THEIR_OWN: Final[Mapping[str, Sequence[str]]] = {
    "&": [html.escape("&")],
    "<": [html.escape("<")],
    ">": [html.escape(">")],
    '"': [html.escape('"')],
    "'": [html.escape("'"), "&apos;"],
    " ": [r"\+"],
    "\n": [r"\\*\r\\*\n|\\+r\\+n"],
}
"""Escapes that only one character has, in HTML, in forms, and at the ends of lines."""


def _base64(raw: bytes, before: int) -> Iterator[_Spelling]:
    """Return patterns for the base64 of bytes with some others before them; what the others decide is left out."""
    text = base64.b64encode(bytes(before) + raw).decode().rstrip("=")
    first = (0, 2, 3)[before]
    inner = text[first:-1] if (before + len(raw)) % 3 else text[first:]
    if len(inner) < _SHORTEST_BASE64:
        return
    patterns = [_BASE64.get(character, character) for character in inner]
    yield _Spelling("".join(patterns), (_longest_run(inner),))
    if len(inner) > _BROKEN:
        # It may be broken into lines, at most once in what is looked for; the rest of the lines goes with it.
        half = _BROKEN // 2
        pieces = (_longest_run(inner[:half]), _longest_run(inner[half:_BROKEN]))
        begin = _LINE_END.join(patterns[:_BROKEN])
        yield _Spelling(f"{begin}(?:[A-Za-z0-9+/_=-]|{_LINE_END})*", pieces)


_SHORTEST_BASE64: Final = 5
"""Fewer characters of base64 are found in any longer one."""

_BROKEN: Final = 32
_LINE_END: Final = r"(?:[\r\n]|\\+[rn])*"
_BASE64: Final = {"+": "(?:[+-]|%2[Bb])", "/": r"(?:\\*[/_]|%2[Ff])"}


def _spans(spelling: _Spelling, text: str) -> Iterator[tuple[int, int]]:
    """Find where a spelling stands in a text, overlapping ones too."""
    pattern = re.compile(spelling.pattern)
    position = 0
    while (match := pattern.search(text, position)) is not None:
        yield match.span()
        position = match.start() + 1


# -- what was cut ------------------------------------------------------------------------------------------


def _without_rests(text: str, value: str) -> str:
    """Return a text without what is left of a value before and behind the places where somebody cut it."""
    cuts = list(_CUT.finditer(text))
    for cut in reversed(cuts):  # from behind, as what is taken out moves what follows
        end = cut.end() + _tail(text, value, cut.end())
        start = cut.start() - _head(text, value, cut.start())
        if (start, end) != cut.span():
            text = text[:start] + STARS + text[end:]
    head = _head(text, value, len(text))
    if head:
        return text[: len(text) - head] + STARS
    return text


def _lengths(longest: int) -> range:
    """Return how long the rest of a value may be, the longest first."""
    return range(longest, _SHORTEST_REST - 1, -1)


def _head(text: str, value: str, end: int) -> int:
    """Return how many characters before a place are the beginning of a value."""
    for length in _lengths(min(end, len(value) - 1)):
        if text.endswith(value[:length], 0, end):
            return length
    return 0


def _tail(text: str, value: str, start: int) -> int:
    """Return how many characters behind a place are the end of a value."""
    for length in _lengths(min(len(text) - start, len(value) - 1)):
        if text.startswith(value[-length:], start):
            return length
    return 0


NO_MASK: Final = Mask(())
"""Takes nothing out: that of steps without secrets."""
