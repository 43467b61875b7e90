"""Tokens of JSON, and of what is written in braces in YAML."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from openagents_json.engine.editing.tokens import (
    NAME,
    VALUE,
    Gap,
    Kind,
    Path,
    Token,
    Tokens,
)

_LEXEME: Final = re.compile(
    r"""(?P<mark>[{}\[\]:,])|(?P<double>"(?:[^"\\\n]|\\.)*"?)|(?P<single>'[^'\n]*'?)"""
    r"""|(?P<word>(?:[^\s{}\[\],:"']|(?<=\S):(?=[^\s,\[\]{}])|(?<=[^\s:,]) +(?=[^\s{}\[\],:"'#]))+)"""
)


@dataclass(slots=True)
class _Open:
    """An object or an array that has not ended."""

    is_object: bool
    name: str | None = None
    index: int = 0

    def part(self) -> str | int:
        return (self.name or "") if self.is_object else self.index


class FlowScanner:
    """Goes through a text from a place to the end of what begins there."""

    def __init__(self, text: str, tokens: Tokens, base: Path = ()) -> None:
        self._text = text
        self._tokens = tokens
        self._base = base
        self._open: list[_Open] = []
        self._is_name_next = False

    def scan(self, start: int = 0, end: int | None = None) -> int:
        """Note the tokens of a text, and give where it ended."""
        last = len(self._text) if end is None else end
        position = start
        for match in _LEXEME.finditer(self._text, start, last):
            self._gap(position, match.start())
            position = match.end()
            self._take(match)
            if not self._open:
                return position
        self._gap(position, last)
        return last

    def _take(self, match: re.Match[str]) -> None:
        if match.lastgroup == "mark":
            self._mark(match[0])
        else:
            self._scalar(match)

    def _mark(self, mark: str) -> None:
        if mark in "{[":
            self._open.append(_Open(mark == "{"))
        elif mark in "}]":
            del self._open[-1:]
        self._is_name_next = self._expects_name(mark)

    def _expects_name(self, mark: str) -> bool:
        """Tell whether the name of a member comes after a mark; commas count the items of an array."""
        if mark in ":}]" or not self._open:
            return False
        inner = self._open[-1]
        if mark == ",":
            inner.index += 1
            inner.name = None
        return inner.is_object

    def _scalar(self, match: re.Match[str]) -> None:
        quote = match[0][0] if match.lastgroup != "word" else ""
        start = match.start() + len(quote)
        is_closed = bool(quote) and len(match[0]) > 1 and match[0].endswith(quote)
        end = match.end() - len(quote) * is_closed
        text = self._text[start:end]
        kind: Kind = VALUE
        if self._is_name_next and self._open:
            kind = NAME
            self._open[-1].name = text
            self._is_name_next = False
        token = Token(kind, self._path(), text, start, end, bool(quote))
        self._tokens.tokens.append(token)

    def _path(self) -> Path:
        return (*self._base, *(opened.part() for opened in self._open))

    def _gap(self, start: int, end: int) -> None:
        if not self._open:
            return
        is_name = self._is_name_next
        kind: Kind = NAME if is_name else VALUE
        path = self._path()[:-1] if is_name else self._path()
        self._tokens.gaps.append(Gap(kind, path, start, end))


def flow_tokens(text: str) -> Tokens:
    """Return the tokens of a text in JSON."""
    tokens = Tokens()
    FlowScanner(text, tokens).scan()
    return tokens
