"""What problems suggest, carried out in the text of a document where it is sure what was meant.

A change is taken only if the text then says what it said before, with that one change: comments, order and spaces stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from openagents_json.workflow.expressions.pieces import has_expressions
from openagents_json.workflow.language.parse import Source, read_source
from openagents_json.workflow.language.problems import Fix, Problem
from openagents_json.workflow.validation.fixing.spans import (
    MemberSpans,
    json_spans,
    unescape,
    yaml_spans,
)

_EXPRESSION: Final = re.compile(r"\{\{.*?\}\}|\$\{.*?\}", re.DOTALL)

OF_NAMES: Final = frozenset(
    {
        "unknown_key",
        "deprecated_key",
        "unknown_component_input",
        "unknown_called_input",
    }
)
"""Problems of the name of a member; all others are of its value."""


class Fixed(NamedTuple):
    """A text after suggestions were carried out, and the problems that asked for them."""

    text: str
    problems: tuple[Problem, ...]


class _Text(NamedTuple):
    """How a text is read, and where its members are found."""

    read: Callable[[str], Source]
    find: Callable[[str, str], MemberSpans]


def carry_out(text: str, problems: Iterable[Problem], *, is_yaml: bool) -> Fixed:
    """Carry out what problems suggest, where that is sure."""
    form = _YAML if is_yaml else _JSON
    done = []
    for problem in problems:
        changed = _carry_out(text, problem, form)
        if changed != text:
            text = changed
            done.append(problem)
    return Fixed(text, tuple(done))


def _carry_out(text: str, problem: Problem, form: _Text) -> str:
    """Return a text with one change, as it is where it is not sure that nothing else would change."""
    fix = problem.fix
    if fix is None:
        return text
    is_of_name = problem.code in OF_NAMES
    keys = problem.pointer.split("/")[1:]
    document = form.read(text).value
    try:
        expected = _with_change(keys, document, fix, is_of_name=is_of_name)
        spans = form.find(text, problem.pointer)
        start, end = spans.name if is_of_name else spans.value
    except (LookupError, TypeError, ValueError):
        return text
    word = _replaced(text[start:end], fix)
    changed = text[:start] + word + text[end:]
    source = form.read(changed)
    is_as_meant = source.wrong is None and source.value == expected
    return changed if is_as_meant else text


def _with_change(keys: list[str], value: Any, fix: Fix, *, is_of_name: bool) -> Any:
    """Return a value with a new word at a path in it, as the value there, or as its name.

    Raises LookupError, TypeError and ValueError.
    """
    if not keys:
        return _replaced(value, fix)
    inner = partial(_with_change, keys[1:], fix=fix, is_of_name=is_of_name)
    key = unescape(keys[0])
    if isinstance(value, list):
        index = int(key)
        before = value[:index]
        after = value[index + 1 :]
        return [*before, inner(value=value[index]), *after]
    if is_of_name and len(keys) == 1:
        return _renamed(value, key, fix.new)
    member = inner(value=value[key])
    return {**value, key: member}


def _renamed(value: Mapping[str, Any], key: str, new: str) -> dict[str, Any]:
    """Return an object with another name for one of its members.

    Raises LookupError where that name is taken.
    """
    if key not in value or new in value:
        raise LookupError(new)
    member = value[key]
    rest = {name: other for name, other in value.items() if name != key}
    return {**rest, new: member}


def _replaced(text: Any, fix: Fix) -> str:
    """Return a text with the new word for the old one: all of it, or in its expressions.

    Raises TypeError for what is no text.
    """
    word = re.compile(rf"(?<![\w-]){re.escape(fix.old)}(?![\w-])")

    def change(part: str) -> str:
        return word.sub(lambda _: fix.new, part)

    if not has_expressions(text):
        return change(text)
    return _EXPRESSION.sub(lambda part: change(part[0]), text)


def _read_yaml(text: str) -> Source:
    # Its parser is imported by whoever reads one.
    from openagents_json.workflow.language.yaml_text.read import read_yaml

    return read_yaml(text)


_JSON: Final = _Text(read=read_source, find=json_spans)
_YAML: Final = _Text(read=_read_yaml, find=yaml_spans)
