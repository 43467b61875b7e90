"""The page of the decorators: each option with its type, its default, and what it means."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from openagents_json.components import decorators as d
from pages.text import cell, code, docstring, signature, table, value

BEGIN = """# Options of decorators

<!-- Written by scripts/reference from openagents_json/components/decorators.py. -->

`@agent`, `@capability`, `@tool` and `@asset` of `openagents_json` declare components. What follows from an `effect`,
how often and how long a step is tried: [write components](../how-to/write-components.md). An option that is not here,
or a value that an option cannot have, is refused with `InvalidDeclaration`. Whatever else is worth knowing goes under
`metadata`.

"""

KINDS = (
    ("All of them", d.Options, ()),
    ("`@agent` too", d.AgentOptions, (d.Options,)),
    ("`@capability` too", d.CapabilityOptions, (d.Options,)),
)


def page() -> str:
    """Return the page."""
    lines = []
    for decorator in (d.agent, d.capability, d.tool, d.asset):
        name = decorator.__name__
        lines += [f"## `@{name}`", "", *_paragraphs(decorator), ""]
    for title, kind, bases in KINDS:
        inherited = {name for base in bases for name in base.__annotations__}
        lines += [f"## {title}", "", *_options(kind, inherited)]
    return BEGIN + "\n".join(lines)


def _paragraphs(decorator: Any) -> list[str]:
    call = signature(f"@{decorator.__name__}", decorator, returns=False)
    return [
        "```py",
        call.replace("name: Any", "name: str | None").replace(": Any)", ")"),
        "```",
        "",
        *docstring(decorator),
    ]


def _options(kind: Any, inherited: set[str]) -> list[str]:
    hints = get_type_hints(kind, include_extras=True)
    own = [name for name in hints if name not in inherited]
    header = ["option", "is", "default", "meaning"]
    return table(header, [_row(name, hints[name]) for name in own])


def _row(name: str, hint: Any) -> list[str]:
    if get_origin(hint) is not Annotated:
        raise SystemExit(
            f"the option {name!r} of decorators has no meaning: Annotated[..., meaning]"
        )
    plain, meaning = get_args(hint)
    return [code(name), code(_type(plain)), code(_default(name)), cell(meaning)]


def _type(plain: Any) -> str:
    """Return a type as it is written; that text is the same in all versions of Python."""
    if plain is type(None):
        return "None"
    if get_origin(plain) is Literal:
        return " | ".join(repr(choice) for choice in get_args(plain))
    if get_origin(plain) in (Union, UnionType):
        return " | ".join(map(_type, get_args(plain)))
    if not get_args(plain):
        return getattr(plain, "__name__", str(plain))
    return f"{plain.__origin__.__name__}[{', '.join(map(_type, get_args(plain)))}]"


DEFAULTS: Mapping[str, str] = {
    "agent_name": "None",
    "config": "{}",
    "metadata": "{}",
    "description": '"", or the docstring',
    "resources": "{}",
    "memory_mb": "0",
    "step_seconds": "0",
    "max_attempts": "0",
}


def _default(name: str) -> str:
    if name in DEFAULTS:
        return DEFAULTS[name]
    fields = {field.name: field for field in dataclasses.fields(d.Declaration)}
    return value(fields[name].default)
