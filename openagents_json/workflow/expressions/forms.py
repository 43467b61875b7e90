"""One expression, compiled for the names of its place: a path of keys, or else the whole grammar."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Final

from openagents_json.workflow.errors import ExpressionFailed, OverBound
from openagents_json.workflow.expressions.grammar import IDENTIFIER, Expression, Path
from openagents_json.workflow.expressions.names import (
    CompiledExpression,
    Names,
    alias,
    is_constant,
)
from openagents_json.workflow.expressions.namespace import Lookup, find_path
from openagents_json.workflow.types import Json

_WORD: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")


_PATH: Final = re.compile(
    r"[A-Za-z0-9_-]+(?:\.[A-Za-z_][A-Za-z0-9_-]*|\[\d{1,9}\]|\[\'[^\']*\'\]|\[\"[^\"]*\"\])*\Z"
)


_SEGMENT: Final = re.compile(
    r"\.([A-Za-z_][A-Za-z0-9_-]*)|\[(\d+)\]|\[\'([^\']*)\'\]|\[\"([^\"]*)\"\]"
)


def compile_form(text: str, names: Names) -> CompiledExpression:
    """Compile an expression, wherever in the document it stands.

    Raises ExpressionError.
    """
    path = path_in(text, names)
    if path is None:
        return _full(text, names)
    keys = tuple(str(key) for key in path)
    return CompiledExpression((keys,), partial(_path_reader, text, path))


def path_in(text: str, names: Names) -> tuple[str | int, ...] | None:
    """Read a dotted path, if it is nothing else; a hyphen before a known name or a number is a minus."""
    if not _PATH.match(text):
        return None
    root = _root_of(text)
    is_unknown = not names.is_known(root) and not _surely_a_name(root, names)
    is_value = root == text and root not in names.local and is_constant(root)
    if is_unknown or is_value:
        return None
    keys: list[str | int] = [root]
    for match in _SEGMENT.finditer(text, len(root)):
        name = match[1]
        if name is None:
            keys.append(_key_in_brackets(match))
            continue
        is_difference = "-" in name and not _hyphenated(keys, name, names)
        if is_difference:
            return None
        keys.append(name)
    return tuple(keys)


def _root_of(text: str) -> str:
    word = _WORD.match(text)
    if word is None:
        return ""
    return word[0]


def _key_in_brackets(match: re.Match[str]) -> str | int:
    """Return an index, or a name in quotes of either kind."""
    _, index, single_quoted, double_quoted = match.groups()
    if index is not None:
        return int(index)
    if single_quoted is not None:
        return single_quoted
    return double_quoted


def _surely_a_name(word: str, names: Names) -> bool:
    """Tell whether an unknown word with hyphens is a misspelt id: as a difference, no part of it means anything."""
    pieces = word.split("-")
    has_meaning = any(names.is_known(piece) or piece.isdigit() for piece in pieces)
    return len(pieces) > 1 and not has_meaning


def _hyphenated(keys: list[str | int], name: str, names: Names) -> bool:
    """Tell whether a member with hyphens is one name: a declared input, or no difference that means anything."""
    is_input = keys in (["input"], ["inputs"])
    if is_input and name in names.inputs:
        return True
    behind = name.split("-", 1)[1]
    last = behind.split("-")[-1]
    return bool(IDENTIFIER.match(last)) and not names.is_known(behind.split(".")[0])


def _path_reader(
    text: str, path: tuple[str | int, ...], pointer: str
) -> Callable[[Lookup], Json]:
    def read(lookup: Lookup) -> Json:
        try:
            value = find_path(lookup, path)
            lookup.budget.used(value)
            return value
        except (OverBound, LookupError) as error:
            raise ExpressionFailed(text, str(error.args[0]), pointer) from None

    return read


def _full(text: str, names: Names) -> CompiledExpression:
    aliased, aliases = alias(text, names)
    expression = Expression(aliased)

    def named(path: Path) -> Path:
        root, *keys = path
        return (aliases.get(root, root), *keys)

    def value_of(lookup: Lookup) -> Callable[[str], Json]:
        if not aliases:
            return lookup.root
        return lambda name: lookup.root(aliases.get(name, name))

    def at(pointer: str) -> Callable[[Lookup], Json]:
        def evaluate(lookup: Lookup) -> Json:
            try:
                return expression.evaluate(value_of(lookup), pointer, lookup.budget)
            except ExpressionFailed as error:
                raise ExpressionFailed(text, error.reason, pointer) from None
            except LookupError as error:
                raise ExpressionFailed(text, str(error.args[0]), pointer) from None

        return evaluate

    return CompiledExpression(tuple(map(named, expression.paths)), at)
