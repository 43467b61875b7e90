"""The page of the command line: each command with its arguments, options and examples, as click has them."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click

from cli.root import cli
from pages.text import cell, code, table

ERRORS = Path(__file__).resolve().parents[2] / "docs" / "reference" / "errors.md"
SHARED = 10
"""From so many commands on, an option is described once for all of them."""

BEGIN = """# Commands

<!-- Written by scripts/reference from the commands. -->

Results go to stdout, all else to stderr. `--json` prints JSON ([what is in it](json-output.md)). Options can be set in
the environment and in a profile, too: [configuration](configuration.md).

"""

Listed = tuple[tuple[str, ...], click.Command]
Key = tuple[str, str]


def page() -> str:
    """Return the page."""
    commands = list(_walk(("openagents",), cli))
    leaves = [
        (path, command)
        for path, command in commands
        if not isinstance(command, click.Group)
    ]
    shared = _shared(leaves)
    lines = [*_index(commands), "## Exit statuses", "", *_statuses()]
    lines += [
        "## Options of many commands",
        "",
        *_options([option for _, option in sorted(shared.items())]),
    ]
    for path, command in leaves:
        lines += _command(path, command, shared)
    return BEGIN + "\n".join(lines)


def _walk(path: tuple[str, ...], command: click.Command) -> Iterator[Listed]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path[-1])
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                yield from _walk((*path, name), child)


def _index(commands: list[Listed]) -> list[str]:
    """Return a table of the commands of each group, by what they are for where the group says that."""
    lines: list[str] = []
    for path, group in commands:
        if isinstance(group, click.Group):
            lines += [f"## Commands of `{' '.join(path)}`", ""]
            rows = list(_listed(path, group))
            first = 0 if any(row[0] for row in rows) else 1
            header = ["for", "command", "what it does"]
            lines += table(header[first:], [row[first:] for row in rows])
    return lines


def _listed(path: tuple[str, ...], group: click.Group) -> Iterator[list[str]]:
    context = click.Context(group, info_name=path[-1])
    names = group.list_commands(context)
    sections = dict(getattr(group, "sections", {}))
    grouped = {name for members in sections.values() for name in members}
    sections[""] = [name for name in names if name not in grouped]
    for title, members in sections.items():
        label = title
        for name in members:
            command = group.get_command(context, name)
            if command is None or isinstance(command, click.Group):
                continue
            link = f"[`{name}`](#{'-'.join((*path, name))})"
            yield [label, link, cell(_sentence(command))]
            label = ""


def _shared(leaves: list[Listed]) -> dict[Key, click.Option]:
    """Return the options that many commands have, in the same words."""
    options = {
        _key(option): option for _, command in leaves for option in _own(command)
    }
    counts = Counter(_key(option) for _, command in leaves for option in _own(command))
    return {key: option for key, option in options.items() if counts[key] >= SHARED}


def _own(command: click.Command) -> list[click.Option]:
    return [
        param
        for param in command.params
        if isinstance(param, click.Option) and not param.hidden
    ]


def _key(option: click.Option) -> Key:
    return _names(option), option.help or ""


def _names(option: click.Option) -> str:
    names = ", ".join(
        sorted(option.opts, key=lambda name: (not name.startswith("--"), name))
    )
    return (
        f"{names} / {', '.join(option.secondary_opts)}"
        if option.secondary_opts
        else names
    )


def _statuses() -> list[str]:
    text = ERRORS.read_text()
    match = re.search(r"## Exit statuses\n\n(.*?\n)\n##", text, re.DOTALL)
    assert match is not None, (
        "docs/reference/errors.md has no exit statuses: scripts/errors"
    )
    return [
        *match[1].splitlines(),
        "",
        "Which error ends with which: [errors](errors.md).",
        "",
    ]


def _command(
    path: tuple[str, ...], command: click.Command, shared: dict[Key, click.Option]
) -> list[str]:
    context = click.Context(command, info_name=" ".join(path))
    usage = " ".join([*path, *command.collect_usage_pieces(context)])
    lines = [
        f"## {' '.join(path)}",
        "",
        "```console",
        usage,
        "```",
        "",
        *_help(command),
    ]
    own = [option for option in _own(command) if _key(option) not in shared]
    others = [option for option in _own(command) if _key(option) in shared]
    if own:
        lines += _options(own)
    if others:
        names = ", ".join(f"`{option.opts[0]}`" for option in others)
        lines += [f"Also: {names}; see [above](#options-of-many-commands).", ""]
    return lines


def _sentence(command: click.Command) -> str:
    return inspect.cleandoc(command.help or "").split("\n\n")[0]


def _help(command: click.Command) -> list[str]:
    lines: list[str] = []
    for paragraph in (
        inspect.cleandoc(command.help or "").replace("\b\n", "").split("\n\n")
    ):
        title, _, rest = paragraph.partition(":")
        if title in ("Example", "Examples"):
            examples = [line.strip() for line in rest.splitlines() if line.strip()]
            lines += ["```console", *examples, "```", ""]
        else:
            lines += [" ".join(paragraph.split()), ""]
    if command.epilog:
        lines += [*inspect.cleandoc(command.epilog).splitlines(), ""]
    return lines


def _options(options: list[click.Option]) -> list[str]:
    return table(
        ["option", "value", "default", "meaning"], [_row(option) for option in options]
    )


def _row(option: click.Option) -> list[str]:
    context = click.Context(click.Command("openagents"))
    metavar = "" if option.is_flag or option.count else _metavar(option, context)
    text = option.help or ""
    default = re.search(r"\s*\[default: (.*?)\]$", text)
    text = text[: default.start()] if default else text
    shown = default[1] if default else _default(option)
    notes = [
        note
        for note, holds in (("required", option.required), ("several", option.multiple))
        if holds
    ]
    return [
        code(_names(option)),
        code(metavar),
        code(shown),
        cell("; ".join([*notes, text] if text else notes)),
    ]


def _metavar(option: click.Option, context: click.Context) -> str:
    """Return what stands for the value; of a number, between which bounds it has to be."""
    name = option.make_metavar(context)
    if not isinstance(option.type, click.IntRange | click.FloatRange):
        return name
    least, most = option.type.min, option.type.max
    name = name.removesuffix(" RANGE")
    return f"{name} {least} to {most}" if most is not None else f"{name} from {least}"


def _default(option: click.Option) -> str:
    if not option.show_default or option.default is None:
        return ""
    if option.is_flag and option.secondary_opts:
        return option.opts[0] if option.default else option.secondary_opts[0]
    return str(option.default)
