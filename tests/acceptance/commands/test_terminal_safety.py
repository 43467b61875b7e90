"""No data reaches a terminal as anything but text, from any command; in a pipe, data stays what it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import click
import pytest

from cli.root import cli
from tests.acceptance.commands.hostile_world import EVIL, World
from tests.acceptance.processes import openagents, openagents_bytes
from tests.acceptance.terminals import Terminal

BAD = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


ENDLESS = ("dev", "mcp", "serve", "webhooks dispatch", "worker")
"""What ends only when it is told to: it is given what it refuses."""


def commands() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    todo: list[tuple[tuple[str, ...], click.Command]] = [((), cli)]
    while todo:
        path, command = todo.pop()
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                assert inner is not None
                todo.append(((*path, name), inner))
        else:
            yield path, command


@pytest.fixture(scope="module")
def world(shared_servers: Any, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(shared_servers.of("valkey"), tmp_path_factory.mktemp("evil"))


def shown_badly(text: str) -> list[str]:
    return [
        text[max(0, match.start() - 60) : match.end() + 20]
        for match in BAD.finditer(text)
    ]


def test_no_command_lets_data_move_the_cursor(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAGENTS_COMPONENTS", "mod.py")
    monkeypatch.setenv(
        "TERM", "dumb"
    )  # without colours, no escape at all belongs on it
    calls_by_name, tree = (
        world.calls(),
        {" ".join(path): command for path, command in commands()},
    )
    assert set(calls_by_name) == set(tree)  # a new command is looked at too
    faults: dict[str, list[str]] = {}
    for name in [*calls_by_name]:
        command = tree[name]
        takes = {option for parameter in command.params for option in parameter.opts}
        arguments = [
            parameter
            for parameter in command.params
            if parameter.param_type_name == "argument"
        ]
        wrong = [[EVIL] * len(arguments), [f"--{EVIL}"], [EVIL] * 9]
        calls = [*calls_by_name[name], *([] if name in ENDLESS else wrong)]
        for call in calls:
            where = (
                world.where
                if "--url" in takes and "--url" not in call and "--data" not in call
                else []
            )
            told = Terminal(
                [*name.split(), *call, *where],
                world.folder,
                given="s\nd\ne\ng 1\ns\nretry\nq\n",
            )
            forged = [
                line
                for line in told.text.splitlines()
                if line.strip().startswith("openagents: all is well")
            ]
            if bad := shown_badly(told.text) + forged:
                faults[f"{name} {call}"] = bad[:2]
    assert faults == {}


def test_with_colours_only_those_of_the_program_reach_the_terminal(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for call in (
        ["runs", "list"],
        ["runs", "history", world.failed],
        ["runs", "watch", world.failed],
        ["steps"],
    ):
        told = Terminal([*call, *world.where], world.folder).text
        assert "\x1b[" in told
        assert shown_badly(re.sub(r"\x1b\[[0-9;]*m", "", told)) == []
        assert "\x1b[31mred" not in told


def test_what_a_component_shows_is_intact_in_a_pipe_and_escaped_on_a_terminal(
    world: World,
) -> None:
    raw = openagents_bytes("runs", "output", world.shown, *world.where).stdout.decode()
    assert raw.startswith(EVIL)
    assert Terminal(
        ["runs", "output", world.shown, *world.where], world.folder
    ).text.startswith("a\\x1b]0;t\\x07\\x1b[2J")


def test_json_means_the_same_and_holds_no_such_character(world: World) -> None:
    done = openagents("runs", "show", world.shown, *world.where, "--json")
    shown = json.loads(done.stdout)
    assert shown["inputs"] == {EVIL: EVIL, "text": EVIL}
    assert shown["labels"] == {EVIL: EVIL}
    assert shown_badly(done.stdout) == []


def test_a_capsule_is_no_text_for_a_terminal(world: World) -> None:
    told = Terminal(
        ["runs", "export", world.shown, "--output", "-", *world.where], world.folder
    )
    assert (told.code, "is no text" in told.text) == (2, True)
    assert (
        openagents_bytes(
            "runs", "export", world.shown, "--output", "-", *world.where
        ).stdout[:2]
        == b"PK"
    )
