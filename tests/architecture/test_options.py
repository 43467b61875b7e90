"""Options mean one thing in all commands, act where they are, and are told; each command has an example."""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import click
import pytest

from cli.root import cli
from tests.acceptance.commands.test_documentation import PAGES, blocks
from tests.acceptance.commands.test_terminal_safety import commands
from tests.acceptance.processes import openagents

ALL = {" ".join(path): command for path, command in commands()}
WORKS = {
    "mcp",
    *("run", "worker", "dev", "runs heal", "runs open", "schedules trigger"),
    *(
        f"runs {name}"
        for name in (
            *("retry", "rerun", "replay", "skip", "complete", "fork"),
            *("signal", "resume", "cancel", "import"),
        )
    ),
}
"""What may run components."""

FORMER = {
    ("run", "--key"): "--idempotency-key",
    ("runs complete", "--output"): "--result",
    ("runs complete", "--output-file"): "--result-file",
    ("schedules backfill", "--from"): "--since",
    ("schedules backfill", "--to"): "--until",
    ("runs restore", "--from"): "--file",
    ("runs redact", "--wait"): "--timeout",
    ("runs shred", "--wait"): "--timeout",
    ("runs promote", "--wait"): "--timeout",
    ("runs history", "--after"): "--after-event",
    ("audit verify", "--key"): "--public-key",
}
"""Options that had another name before, which is understood still."""


def options(name: str) -> dict[str, click.Option]:
    return {
        word: parameter
        for parameter in ALL[name].params
        if isinstance(parameter, click.Option) and not parameter.hidden
        for word in parameter.opts
        if word.startswith("--")
    }


def taken(name: str, option: str) -> str:
    """Say what an option takes: nothing, a choice, or a value of a name; a filter that is repeated is told apart."""
    parameter = options(name)[option]
    if parameter.is_flag:
        return "flag"
    if isinstance(parameter.type, click.Choice):
        return "choice"
    values = "values " if parameter.multiple else ""
    return f"{values}{parameter.make_metavar(click.Context(ALL[name]))}"


def groups() -> Iterator[tuple[str, ...]]:
    todo: list[tuple[tuple[str, ...], click.Group]] = [((), cli)]
    while todo:
        path, group = todo.pop()
        yield path
        context = click.Context(group)
        for name in group.list_commands(context):
            inner = group.get_command(context, name)
            if isinstance(inner, click.Group):
                todo.append(((*path, name), inner))


def test_every_option_has_a_sentence_of_help() -> None:
    silent = [
        f"{name} {option}"
        for name in ALL
        for option, parameter in options(name).items()
        if not (parameter.help or "").strip()
    ]
    assert silent == []


def test_an_option_takes_the_same_in_all_commands() -> None:
    kinds: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name in ALL:
        for option in options(name):
            kinds[option][taken(name, option).removeprefix("values ")].append(name)
    # The workflow of a list is a name; that of a step or a run is a choice of words; by whom, or by what sums are.
    allowed = {"--status", "--workflow", "--at", "--by"}
    several = {
        option: dict(names)
        for option, names in kinds.items()
        if len(names) > 1 and option not in allowed
    }
    assert several == {}
    for option, commands_with_it in {
        "--idempotency-key": {"run", "runs fork", "runs signal", "schedules trigger"},
        "--from": {"runs retry"},
        "--after": {
            *("runs list", "components list", "components search"),
            *("workflows search",),
        },
        "--key": {"runs signal"},
        "--since": {"runs history", "schedules backfill"},
    }.items():
        assert {name for name in ALL if option in options(name)} == commands_with_it


def test_shared_options_are_where_they_act() -> None:
    for option in ("--lease-ms", "--leases"):
        assert {name for name in ALL if option in options(name)} == WORKS | {
            *("doctor", "config show"),
        }
    waiting = {name for name in WORKS if name.startswith(("runs ", "schedules "))}
    waiting -= {"runs heal", "runs open"}  # these wait by their nature
    flags = {
        name
        for name in ALL
        if "--wait" in options(name) and options(name)["--wait"].help
    }
    assert flags - {"projections rebuild"} == waiting
    reading = [name for name in ALL if name.startswith(("runs list", "runs show"))]
    for name in reading:
        words = {"--broker", "--durability", "--replicas", "--components"}
        assert not words & options(name).keys()
    assert "--json" not in {*options("worker"), *options("dev")}


@pytest.mark.parametrize(("former", "now"), FORMER.items(), ids=str)
def test_former_names_of_options_are_understood_and_not_shown(
    former: tuple[str, str], now: str
) -> None:
    name, option = former
    command = ALL[name]
    shown = command.get_help(click.Context(command, info_name=name))
    assert f"{now} " in shown
    assert not re.search(rf"{option}\b(?!-)", shown.partition("Options:")[2])
    arguments = ["0-x"] * sum(isinstance(p, click.Argument) for p in command.params)
    value = "2030-01-01T00:00:00Z" if name == "schedules backfill" else "1"
    given = [*arguments, option, value]
    if name == "schedules backfill":
        other = "--to" if option == "--from" else "--from"
        given += [other, value]
    if name == "runs promote":
        given += ["--to", "redis://localhost"]
    context = command.make_context(name, given)
    parameter = options(name)[now]
    assert context.params[str(parameter.name)]


def examples(command: click.Command) -> list[str]:
    text = (command.callback.__doc__ if command.callback else "") or ""
    match = re.search(r"Examples?:(.*)\Z", text, re.DOTALL)
    lines = match[1].splitlines() if match else []
    return [line.strip() for line in lines if line.strip()]


def parse(line: str) -> None:
    """Parse a command line as the program would, without doing anything."""
    words = shlex.split(line.partition(" | ")[0].partition(" > ")[0])
    words = words[: words.index("<")] if "<" in words else words
    assert words[0] == "openagents"
    command: Any = cli
    rest = words[1:]
    context = click.Context(cli)
    while isinstance(command, click.Group):
        if hasattr(command, "by_default") and (not rest or rest[0][0] == "-"):
            rest = [command.by_default, *rest]
        command = command.get_command(context, rest[0])
        assert command is not None, line
        rest = rest[1:]
    if rest[:1] not in (["--help"], ["-h"]):
        command.make_context("command", rest)


def test_every_command_has_an_example_that_can_be_given() -> None:
    assert [name for name, command in ALL.items() if not examples(command)] == []
    for name, command in ALL.items():
        for line in examples(command):
            inner = re.search(r"\$\((openagents [^)]+)\)", line)
            words = inner[1] if inner else line
            assert words.startswith(f"openagents {name}"), line
            parse(words)


def test_every_command_in_the_documents_can_be_given() -> None:
    wrong = []
    for page in PAGES:
        for block in blocks(page):
            if block.kind != "shell":
                continue
            for line in block.text.replace("\\\n", " ").splitlines():
                if not line.startswith("openagents "):
                    continue
                try:
                    parse(line.partition(" #")[0])
                except click.ClickException as error:
                    wrong.append(f"{page.name}: {line}: {error.format_message()}")
    assert wrong == []


def test_help_lists_commands_by_what_they_are_for_in_whole_sentences() -> None:
    for path in groups():
        lines = openagents(*path, "--help").stdout.splitlines()
        cut = [line for line in lines if line.endswith("...") and "Usage" not in line]
        assert cut == []
    shown = openagents("runs", "--help").stdout
    titles = [
        line for line in shown.splitlines() if re.fullmatch(r"[A-Z][a-z ]+:", line)
    ]
    assert titles == [
        *("Options:", "Look:", "Understand:", "Steer:", "Run again:"),
        *("Keep and erase:", "Move:"),
    ]
    assert "retry     Retry failed runs from their failure." in shown
