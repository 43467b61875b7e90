"""No data reaches a terminal as anything but text, from any command; in a pipe, data stays what it is."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import re
import sys
import threading
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from cli.main import main
from cli.root import cli
from openagents_json.catalog.loader import load
from openagents_json.engine import Engine
from tests.acceptance.processes import openagents, openagents_bytes
from tests.conftest import Server, wait_for

EVIL = (
    "a\x1b]0;t\x07\x1b[2J\x1b[31mred\x9b2J\x7f\r\x08\u202eb"
    "\u2066c\u200f\u061c\u2028d\ue000\n\topenagents: all is well"
)
WORD = EVIL.replace("\n", "").replace(" ", "").replace("\t", "").replace(":", "")
BAD = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
MODULE = f"""
from openagents_json import Context, tool

EVIL = {EVIL!r}


class Wrong(Exception):
    pass


Wrong.__name__ = EVIL


@tool("show")
def show(text: str, context: Context) -> dict:
    context.emit(text)
    context.emit({{text: [text]}})
    context.logger.warning(text)
    return {{text: [text]}}


@tool("break")
def broken(text: str) -> None:
    raise Wrong(text)
"""
GOOD: dict[str, Any] = {
    "id": "good",
    "description": EVIL,
    "metadata": {"author": EVIL, EVIL: EVIL},
    "steps": [{"id": "a", "component": "show", "inputs": {"text": "{{input.text}}"}}],
    "output": {EVIL: "{{a.output}}", "b": "{{input.text}}"},
}
WAITS: dict[str, Any] = {
    "id": "waits",
    "steps": [{"id": "a", "wait_for": {"signal": EVIL}}],
    "output": "{{a.output}}",
}
FAILS: dict[str, Any] = {
    "id": "fails",
    "steps": [{"id": "a", "component": "break", "inputs": {"text": "{{input.text}}"}}],
}
WRONG: dict[str, Any] = {
    "id": EVIL,
    EVIL: EVIL,
    "inputs": {EVIL: {"type": EVIL, "default": EVIL}},
    "steps": [
        {
            "id": EVIL,
            "component": EVIL,
            "condition": "{{" + EVIL + "}}",
            "inputs": {EVIL: "{{" + EVIL + ".x}}"},
        }
    ],
    "connections": [{"source": EVIL, "target": EVIL}],
}


class Terminal:
    """A terminal of its own for one command: what arrives there, after the program has done its part."""

    def __init__(self, arguments: list[str], folder: Path, given: str = "") -> None:
        self.code, self._folder = 0, folder
        master, slave = os.openpty()
        tty.setraw(slave)
        pieces: list[bytes] = []
        reader = threading.Thread(target=self._read, args=(master, pieces))
        reader.start()
        with open(slave, "w", encoding="utf-8", closefd=False) as paper:
            streams = sys.stdin, sys.stdout, sys.stderr
            handler = logging.StreamHandler(paper)
            logging.getLogger().addHandler(handler)
            try:
                sys.stdin, sys.stdout, sys.stderr = io.StringIO(given), paper, paper
                with contextlib.chdir(folder):
                    main(arguments)
            except SystemExit as ended:
                self.code = int(str(ended.code or 0))
            finally:
                sys.stdin, sys.stdout, sys.stderr = streams
                logging.getLogger().removeHandler(handler)
                paper.flush()
        os.close(slave)
        reader.join()
        self.text = b"".join(pieces).decode()

    def _read(self, master: int, pieces: list[bytes]) -> None:
        with contextlib.suppress(OSError):
            while piece := os.read(master, 65536):
                pieces.append(piece)
        os.close(master)


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


class World:
    """A store whose every text is made up to look like something else."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.folder = folder
        self.where = ["--url", server.url, "--prefix", server.prefix()]
        self.evil_file = folder / WORD[:40]
        for name, document in (
            ("good", GOOD),
            ("waits", WAITS),
            ("fails", FAILS),
            ("wrong", WRONG),
        ):
            (folder / f"{name}.json").write_text(json.dumps(document))
        self.evil_file.write_text(json.dumps(WRONG, ensure_ascii=False))
        (folder / "newer.json").write_text(
            json.dumps({**GOOD, "version": "1.1.0", "output": EVIL})
        )
        (folder / "mod.py").write_text(MODULE)
        (folder / "policy.json").write_text(json.dumps({"archive": {EVIL: EVIL}}))
        with self.engine() as engine:
            engine.publish(GOOD)
            engine.publish(FAILS)
            many = {EVIL: EVIL, "text": EVIL}
            self.done = engine.run(GOOD, many, labels={EVIL: EVIL}, timeout=60).id
            self.shown = engine.run(GOOD, many, labels={EVIL: EVIL}, timeout=60).id
            self.other = engine.run(GOOD, {"text": "x"}, timeout=60).id
            self.failed = engine.run(FAILS, many, labels={EVIL: EVIL}, timeout=60).id
            self.failed_too = engine.run(FAILS, many, timeout=60).id
            self.waits = engine.start(WAITS, many, labels={EVIL: EVIL})
            self.held = engine.start(WAITS, many)
            engine.signal(
                self.held,
                EVIL,
                {EVIL: EVIL},
                key=EVIL,
                by=EVIL,
                reason=EVIL,
                idempotency_key=EVIL,
            )
            engine.wait(self.held, timeout=60)
            engine.retry(self.failed, reason=EVIL, inputs={"text": EVIL})
            engine.wait(self.failed, timeout=60)
            wait_for(lambda: bool(engine.emitted(self.shown)))
        assert openagents(
            "audit", "keygen", "--output", "k", folder=folder
        ).returncode in (0, 2)

    def engine(self) -> Engine:
        components = load([str(self.folder / "mod.py")])
        url, prefix = self.where[1], self.where[3]
        return Engine.connect(
            url,
            prefix=prefix,
            components=components,
            workers=2,
            partitions=2,
            actor=EVIL,
        )

    def calls(self) -> dict[str, list[list[str]]]:
        """Return calls of every command that print what the store has, or refuse what they are given."""
        return (
            self._of_others()
            | self._of_runs()
            | self._of_runs_again()
            | self._of_schedules()
        )

    def _of_others(self) -> dict[str, list[list[str]]]:
        done, waits = self.done, self.waits
        return {
            "audit export": [
                ["--output", str(self.folder / "ledger.zip")],
                ["--output", "-"],
            ],
            "audit keygen": [["--output", str(self.folder / WORD[:30])]],
            "audit receipt": [[done, "1"], [done, "99"]],
            "audit seal": [[], ["--private-key", EVIL]],
            "audit status": [[]],
            "audit verify": [
                [],
                ["--run", done],
                [str(self.evil_file)],
                ["--key", EVIL],
            ],
            "audit witness": [[]],
            "completion": [["bash"]],
            "components": [[]],
            "dev": [["--data", str(self.evil_file)]],
            "doctor": [[], ["--repair"]],
            "keys adopt": [[done, EVIL]],
            "keys generate": [[]],
            "keys rotate": [[]],
            "keys show": [[done]],
            "projections list": [[]],
            "projections rebuild": [["runs"]],
            "projections show": [
                ["runs"],
                ["runs", done],
                ["steps", waits],
                ["runs", EVIL],
            ],
            "projections verify": [["runs"]],
            "retention apply": [["policy.json"], [str(self.evil_file)]],
            "run": [
                ["good.json", "-i", f"text={EVIL}"],
                ["fails.json", "-i", f"text={EVIL}"],
                ["wrong.json"],
                ["good.json", "-i", EVIL],
                ["good.json", "--key", EVIL, "-i", f"text={EVIL}"],
                ["good.json", "--key", EVIL, "-i", f"{WORD}=1"],
                [str(self.evil_file)],
            ],
        }

    def _of_runs(self) -> dict[str, list[list[str]]]:
        done, failed, waits, why = (
            self.done,
            self.failed,
            self.waits,
            ["--reason", EVIL],
        )
        return {
            "runs archive": [[done, "--to", EVIL]],
            "runs cancel": [[done, *why], [EVIL]],
            "runs complete": [[failed, EVIL, "--output", EVIL, *why]],
            "runs diff": [[done, self.other], [done, failed]],
            "runs explain": [[failed], [waits], [done]],
            "runs export": [
                [done, "--output", "run.zip"],
                [done, "--output", "run.zip"],
                [done, "--output", "-"],
            ],
            "runs failures": [[]],
            "runs fork": [[done, "--at", "1", *why], [done, "--at", "999"]],
            "runs heal": [
                ["--dry-run", "--workflow", "fails", "--set", f"text={EVIL}"],
                ["--resume", EVIL],
            ],
            "runs history": [
                [done],
                [failed],
                [self.held],
                *(
                    [done, "--format", form]
                    for form in ("json", "jsonl", "cloudevents", "otel")
                ),
            ],
            "runs hold": [[self.other, *why]],
            "runs import": [["run.zip"], [str(self.evil_file)]],
            "runs list": [
                [],
                ["--label", f"{WORD}={WORD}"],
                ["--workflow", EVIL],
                ["--status", EVIL],
                ["--json"],
            ],
            "runs memory": [[done]],
        }

    def _of_runs_again(self) -> dict[str, list[list[str]]]:
        done, failed, waits, why = (
            self.done,
            self.failed,
            self.waits,
            ["--reason", EVIL],
        )
        return {
            "runs open": [["run.zip"], [str(self.evil_file)]],
            "runs output": [[done], [done, "--json"]],
            "runs pause": [[waits, *why]],
            "runs promote": [[done, "--to", EVIL]],
            "runs redact": [[waits, *why]],
            "runs release": [[self.other, *why]],
            "runs replay": [
                [self.failed_too, *why],
                [self.failed_too, "--set", f"{WORD}=1"],
            ],
            "runs rerun": [[self.failed_too, EVIL, *why]],
            "runs restore": [[done], [EVIL]],
            "runs resume": [[waits, *why]],
            "runs retry": [[done, "--step", EVIL, *why]],
            "runs show": [[done], [failed], [self.held]],
            "runs shred": [[done, *why]],
            "runs signal": [[waits, "unknown" + EVIL, "--payload", EVIL, "--by", EVIL]],
            "runs skip": [[failed, EVIL, *why]],
            "runs state": [[done], [done, "--at", EVIL]],
            "runs watch": [[done], [failed], [done, "--json"]],
        }

    def _of_schedules(self) -> dict[str, list[list[str]]]:
        return {
            "schedules create": [
                ["nightly", "good", "--cron", "0 3 * * *", "--input", f"text={EVIL}"],
                [EVIL, "good", "--cron", EVIL],
                ["bad", EVIL, "--cron", "0 3 * * *"],
            ],
            "schedules backfill": [["nightly", "--from", EVIL, "--to", EVIL]],
            "schedules list": [[]],
            "schedules pause": [["nightly"]],
            "schedules resume": [["nightly"]],
            "schedules show": [["nightly"], [EVIL]],
            "schedules delete": [["nightly"], [EVIL]],
            "steps": [[]],
            "validate": [
                ["wrong.json", str(self.evil_file), "good.json"],
                ["wrong.json", "--json"],
                [EVIL],
            ],
            "worker": [["--url", f"redis://127.0.0.1:1/{WORD}"]],
            "workers": [[]],
            "workflows add": [["good.json"], ["wrong.json"], [str(self.evil_file)]],
            "workflows alias": [["good@stable", "1.0.0"], [f"good@{EVIL}", EVIL]],
            "workflows check": [["newer.json"], ["wrong.json"]],
            "workflows list": [[]],
        }


@pytest.fixture(scope="module")
def world(shared_servers: Any, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(shared_servers.of("valkey"), tmp_path_factory.mktemp("evil"))


def shown_badly(text: str) -> list[str]:
    return [
        text[max(0, found.start() - 60) : found.end() + 20]
        for found in BAD.finditer(text)
    ]


def test_no_command_lets_data_move_the_cursor(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAGENTS_COMPONENTS", "mod.py")
    monkeypatch.setenv(
        "TERM", "dumb"
    )  # without colours, no escape at all belongs on it
    known, tree = (
        world.calls(),
        {" ".join(path): command for path, command in commands()},
    )
    assert set(known) == set(tree)  # a new command is looked at too
    found: dict[str, list[str]] = {}
    for name in [*known]:
        command = tree[name]
        takes = {option for parameter in command.params for option in parameter.opts}
        arguments = [
            parameter
            for parameter in command.params
            if parameter.param_type_name == "argument"
        ]
        wrong = [[EVIL] * len(arguments), [f"--{EVIL}"], [EVIL] * 9]
        calls = [*known[name], *([] if name in ("dev", "worker") else wrong)]
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
                found[f"{name} {call}"] = bad[:2]
    assert found == {}


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
    done = openagents("runs", "show", world.shown, *world.where)
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
