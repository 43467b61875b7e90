"""The pieces of a text that is a template: text, and expressions in braces."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from openagents_json.workflow.errors import ExpressionError

_TOKEN: Final = re.compile(r"\\\{\{|\{\{|\$\{")
_BRACES_AND_TEXTS: Final = re.compile(
    r"""[{}]|'(?:[^'\\]|\\.)*(?:'|\\?\Z)|"(?:[^"\\]|\\.)*(?:"|\\?\Z)""", re.DOTALL
)
"""Braces; a text in quotes is passed over as a whole, whatever is in it, and so is one that does not end."""

_DEPTHS: Final = {"{": 1, "}": -1}


def has_expressions(text: str) -> bool:
    """Tell whether something in a text is an expression, or would be one without a backslash."""
    return _TOKEN.search(text) is not None


def split(text: str) -> Iterator[tuple[str, str]]:
    """Split a text into ("text", ...) and ("expression", ...) pieces.

    Raises ExpressionError when an expression does not end.
    """
    position = 0
    literal = ""
    while match := _TOKEN.search(text, position):
        literal += text[position : match.start()]
        if match[0].startswith("\\"):
            literal += "{{"
            position = match.end()
            continue
        start = match.end()
        closing = "}}" if match[0] == "{{" else "}"
        end = _end(text, start, closing)
        if literal:
            yield "text", literal
            literal = ""
        yield "expression", text[start:end]
        position = end + len(closing)
    literal += text[position:]
    if literal or position == 0:
        yield "text", literal


def _end(text: str, start: int, closing: str) -> int:
    """Return where an expression ends: at the first braces that stand neither in a text nor in other braces."""
    depth = 0
    for match in _BRACES_AND_TEXTS.finditer(text, start):
        if depth == 0 and text.startswith(closing, match.start()):
            return match.start()
        depth += _DEPTHS.get(match[0], 0)
    raise ExpressionError(text, f"an expression begins but does not end with {closing}")
