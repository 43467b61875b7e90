"""Tokens of YAML: lines by their indentation, with what is written in braces inside of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from openagents_json.engine.editing.flow_text import FlowScanner
from openagents_json.engine.editing.tokens import NAME, VALUE, Gap, Path, Token, Tokens

_NAME: Final = re.compile(
    r"""(?:"([^"\n]*)"|'([^'\n]*)'|([^\s#\[\]{},"'&*!|>%@`-][^:#\n]*?|-[^\s:#][^:#\n]*?))[ ]*:(?=[ \n]|$)"""
)
_FURTHEST: Final = 1 << 30
_DASH: Final = re.compile(r"-(?:[ ]+|$)")
_BLOCK: Final = re.compile(r"[|>][-+0-9]*[ ]*(?:#.*)?$")
_COMMENT: Final = re.compile(r"(?:^|[ ]+)#.*$")


@dataclass(slots=True)
class _Level:
    """A member or an item whose content has not ended: where it begins in its line, and its part of the path."""

    indent: int
    part: str | int
    is_item: bool = False

    def is_of(self, other: _Level) -> bool:
        """Tell whether another level is an item of the same array."""
        return other.is_item and other.indent == self.indent


class BlockScanner:
    """Goes through a text line by line."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = Tokens()
        self._levels: list[_Level] = []
        self._position = 0

    def scan(self) -> Tokens:
        """Return the tokens of the text."""
        while self._position <= len(self._text):
            start = self._position
            self._position = self._end_of_line(start) + 1
            self._line(start, self._position - 1)
        return self._tokens

    def _line(self, start: int, end: int) -> None:
        line = self._text[start:end]
        content = line.lstrip(" ")
        indent = len(line) - len(content)
        if not content:
            self._empty(start, indent)
        elif content[0] not in "#%" and not content.startswith("---"):
            self._content(start + indent, indent, end)

    def _empty(self, start: int, indent: int) -> None:
        """Note what could be written into a line: a member of whatever is less indented."""
        for at in range(start, start + indent + 1):
            path = self._outside(at - start)
            self._tokens.gaps.append(Gap(NAME, path, at, at))

    def _content(self, start: int, indent: int, end: int) -> None:
        dash = _DASH.match(self._text, start, end)
        if dash is not None:
            self._item(indent)
            if dash.end() < end:
                self._content(dash.end(), indent + dash.end() - start, end)
                return
            self._tokens.gaps.append(Gap(VALUE, self._path(), dash.end(), end))
            return
        name = _NAME.match(self._text, start, end)
        if name is not None:
            self._member(name, indent, end)
            return
        self._word(start, indent, end)

    def _item(self, indent: int) -> None:
        self._leave(indent + 1)
        level = _Level(indent, -1, is_item=True)
        for last in filter(level.is_of, self._levels[-1:]):
            level = last
            self._levels.pop()
        level.part = int(level.part) + 1
        self._levels.append(level)

    def _member(self, match: re.Match[str], indent: int, end: int) -> None:
        self._leave(indent)
        group = match.lastindex or 3
        self._levels.append(_Level(indent, match[group]))
        start, stop = match.span(group)
        name = Token(NAME, self._path(), match[group], start, stop, group < 3)
        self._tokens.tokens.append(name)
        value = match.end()
        rest = self._text[value:end]
        self._value(value + len(rest) - len(rest.lstrip(" ")), value, indent, end)

    def _word(self, start: int, indent: int, end: int) -> None:
        """Note a line that is no member: an item, or a name whose colon is still to come."""
        is_item = bool(self._levels) and self._levels[-1].is_item
        if is_item and self._levels[-1].indent < indent:
            self._value(start, start, indent, end)
        if not is_item or self._text[start] not in "\"'{[":
            self._tokens.gaps.append(Gap(NAME, self._outside(indent), start, end))

    def _value(self, start: int, gap: int, indent: int, end: int) -> None:
        """Note a value that begins in this line, and perhaps ends in another one."""
        path, text = self._path(), self._text
        first = text[start : start + 1]
        if start >= end or first == "#":
            self._tokens.gaps.append(Gap(VALUE, path, min(gap + 1, end), end))
        elif first in "{[":
            stop = FlowScanner(text, self._tokens, path).scan(start)
            self._position = self._end_of_line(stop) + 1
        elif first in "\"'":
            FlowScanner(text, self._tokens, path).scan(start, end)
        elif _BLOCK.match(text, start, end):
            self._block(path, indent, end)
        else:
            stop = start + len(_COMMENT.sub("", text[start:end]).rstrip())
            token = Token(VALUE, path, text[start:stop], start, stop)
            self._tokens.tokens.append(token)

    def _block(self, path: Path, indent: int, end: int) -> None:
        """Note a text of several lines."""
        # The first line that is not indented further is the next member.
        ends = re.compile(rf"\n(?=[ ]{{0,{indent}}}[^ \n])").search(self._text, end)
        stop = len(self._text) if ends is None else ends.start()
        content = self._text[end:stop]
        self._tokens.tokens.append(Token(VALUE, path, content, end, stop))
        self._position = stop + 1

    def _leave(self, indent: int) -> None:
        """End what is indented as far or further."""
        while self._levels and self._levels[-1].indent >= indent:
            self._levels.pop()

    def _outside(self, indent: int) -> Path:
        """Return the path of what is indented less."""
        return tuple(level.part for level in self._levels if level.indent < indent)

    def _path(self) -> Path:
        return self._outside(_FURTHEST)

    def _end_of_line(self, start: int) -> int:
        end = self._text.find("\n", start)
        return len(self._text) if end < 0 else end
