"""Markdown: tables, signatures, and the text of docstrings."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

WIDTH = 88
"""From here on, a signature has a line for each parameter."""


def cell(text: object) -> str:
    """Return a text as it may stand in a table."""
    return " ".join(str(text).split()).replace("|", "\\|")


def code(text: object) -> str:
    """Return a text as code, in a table too; empty text stays empty."""
    plain = " ".join(str(text).split())
    return f"`{plain}`".replace("|", "\\|") if plain else ""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table, with an empty one behind it."""
    lines = [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


def docstring(thing: Any) -> list[str]:
    """Return the docstring of a thing as paragraphs, each on one line."""
    text = inspect.getdoc(thing) or ""
    return [" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part]


def sentence(thing: Any) -> str:
    """Return the first line of a docstring, as one sentence."""
    return (inspect.getdoc(thing) or "").split("\n")[0]


def signature(name: str, function: Callable[..., Any], *, returns: bool = True) -> str:
    """Return a signature as it is written, without `self`."""
    described = inspect.signature(function)
    parts = _parameters(list(described.parameters.values()))
    end = annotation(described.return_annotation) if returns else ""
    arrow = f" -> {end}" if end else ""
    line = f"{name}({', '.join(parts)}){arrow}"
    if len(line) <= WIDTH:
        return line
    inner = "".join(f"    {part},\n" for part in parts)
    return f"{name}(\n{inner}){arrow}"


def _parameters(parameters: Sequence[inspect.Parameter]) -> list[str]:
    parts: list[str] = []
    has_star = False
    for parameter in parameters:
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not has_star:
            parts.append("*")
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL):
            has_star = True
        parts.append(_parameter(parameter))
    return parts


def _parameter(parameter: inspect.Parameter) -> str:
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}
    text = stars.get(parameter.kind, "") + parameter.name
    kind = annotation(parameter.annotation)
    if kind:
        text += f": {kind}"
    if parameter.default is parameter.empty:
        return text
    equals = " = " if kind else "="
    return f"{text}{equals}{value(parameter.default)}"


def annotation(kind: Any) -> str:
    """Return an annotation as it stands in the source, empty when there is none."""
    if kind is inspect.Signature.empty:
        return ""
    return kind if isinstance(kind, str) else inspect.formatannotation(kind)


def value(default: Any) -> str:
    """Return a default; what has no form of its own that stays the same from run to run is left out."""
    if isinstance(default, frozenset | set):
        return f"{{{', '.join(sorted(map(repr, default)))}}}"
    # The Python that writes the page is another one on each machine.
    text = repr(default).replace(repr(sys.executable), repr("python"))
    return "..." if text.startswith("<") or " at 0x" in text else text
