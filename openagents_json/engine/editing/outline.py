"""What a text declares although it may not be whole: its steps, its inputs, and what stands at a place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from openagents_json.engine.editing.block_text import BlockScanner
from openagents_json.engine.editing.flow_text import flow_tokens
from openagents_json.engine.editing.tokens import (
    NAME,
    VALUE,
    Gap,
    Kind,
    Path,
    Token,
    Tokens,
)
from openagents_json.workflow.validation.fixing.spans import unescape

_STEPS: Final = re.compile(r"""["']?steps["']?\s*:""")


@dataclass(frozen=True, slots=True)
class Cursor:
    """What stands at a place of a text, or could: `before` is the part of it before that place."""

    kind: Kind
    path: Path
    text: str
    before: str
    start: int
    end: int
    is_quoted: bool = False


NOWHERE: Final = Cursor(VALUE, (), "", "", 0, 0)
_NO_TOKEN: Final = Token(VALUE, (), "", 0, 0)
Stretch = TypeVar("Stretch", Token, Gap)


@dataclass(frozen=True, slots=True)
class Outline:
    """The parts of a text, by their paths."""

    text: str
    tokens: Tokens
    names: Mapping[Path, Token] = field(repr=False)
    values: Mapping[Path, Token] = field(repr=False)

    def value(self, *path: str | int) -> str:
        """Return the value at a path, empty when there is none."""
        return self.values.get(path, _NO_TOKEN).text

    def steps(self) -> dict[str, Token]:
        """Return the ids of the steps, of inner ones too, by what they are."""
        tokens = filter(_is_step_id, self.values.values())
        return {token.text: token for token in tokens}

    def members(self, *path: str | int) -> dict[str, Token]:
        """Return the names of the members of an object."""
        inside = filter(lambda token: token.path[:-1] == path, self.names.values())
        return {token.text: token for token in inside}

    def name_at(self, pointer: str) -> Token | None:
        """Return the name of the member at a JSON pointer, None where there is none."""
        keys = map(unescape, pointer.split("/")[1:])
        path = tuple(int(key) if key.isdecimal() else key for key in keys)
        return self.names.get(path)

    def component_at(self, path: Path) -> str:
        """Return the component that the innermost step around a path calls, empty when there is none."""
        references = (self.value(*path[:size], "component") for size in _sizes(path))
        return next(filter(None, references), "")

    def component_of(self, step_id: str) -> str:
        """Return the component that a step calls."""
        token = self.steps().get(step_id, _NO_TOKEN)
        return self.value(*token.path[:-1], "component")

    def at(self, offset: int) -> Cursor:
        """Return what stands at a place, or could; `NOWHERE` where nothing can."""
        token = _first_at(offset, self.tokens.tokens)
        if token is None:
            gap = _first_at(offset, reversed(self.tokens.gaps))
            return NOWHERE if gap is None else _in_gap(gap, self.text, offset)
        is_name = token.kind == NAME
        return Cursor(
            token.kind,
            token.path[: len(token.path) - is_name],
            token.text,
            self.text[token.start : offset],
            token.start,
            token.end,
            token.is_quoted,
        )


def _first_at(offset: int, stretches: Iterable[Stretch]) -> Stretch | None:
    """Return the first stretch that a place is in, None when it is in none."""
    return next(filter(lambda one: one.start <= offset <= one.end, stretches), None)


def _sizes(path: Path) -> Iterator[int]:
    """Give the lengths of the paths around a path, the innermost first."""
    return iter(range(len(path), -1, -1))


def _in_gap(gap: Gap, text: str, offset: int) -> Cursor:
    written = text[gap.start : gap.end]
    before = text[gap.start : offset].lstrip()
    start = offset - len(before)
    end = gap.end if gap.kind == NAME and written.strip() else offset
    return Cursor(gap.kind, gap.path, text[start:end].strip(), before, start, end)


def _is_step_id(token: Token) -> bool:
    is_inside = "steps" in token.path[-3:-2]
    return is_inside and token.path[-1] == "id" and isinstance(token.path[-2], int)


def looks_like_a_workflow(text: str) -> bool:
    """Tell whether a text may be a document: an editor shows all files of JSON and YAML."""
    return _STEPS.search(text) is not None


def outline_of(text: str, *, is_yaml: bool) -> Outline:
    """Return the parts of a text."""
    tokens = BlockScanner(text).scan() if is_yaml else flow_tokens(text)
    by_kind: dict[str, dict[Path, Token]] = {NAME: {}, VALUE: {}}
    for token in tokens.tokens:
        by_kind[token.kind][token.path] = token
    return Outline(text, tokens, by_kind[NAME], by_kind[VALUE])
