"""`--quiet`, `--wide` and NO_COLOR mean one thing in all commands."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openagents_json.engine import Engine, Schedule
from tests.acceptance.commands.test_terminal_safety import commands
from tests.acceptance.processes import openagents
from tests.acceptance.terminals import Terminal
from tests.conftest import wait_for

pytestmark = pytest.mark.one_worker
NAME = "a-workflow-whose-name-is-so-long-that-no-terminal-of-80-columns-has-room-for-it"
FAILS = {
    "id": NAME,
    "steps": [{"id": "s", "component": "fail", "inputs": {"text": "word " * 40}}],
}
COMPONENTS = """
from openagents_json import tool

@tool("fail")
def fail(text: str) -> None:
    raise ValueError(text)
"""
STYLE = re.compile(r"\x1b\[[0-9;]*m")
LISTS = {
    *("runs list", "runs failures", "runs history RUN", "runs show RUN"),
    *("steps", "components stats", "workers list", "schedules list", "workflows list"),
    *("projections list", "config show", "usage", "locks list"),
    *("components list", "components search fail", "components history fail"),
    *("workflows search columns", f"workflows history {NAME}"),
}


OF_WORKFLOWS = {
    *("runs list", "schedules list", "workflows list", "workflows search columns"),
}
"""Lists that name workflows."""

EMPTY = {
    "workers log",
    "fairness list",
    "api-keys list",
    "hooks list",
    "hooks deliveries",
    "webhooks list",
}
"""Lists of what a store of this page has none of."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("printing")
    (base / "fails.json").write_text(json.dumps(FAILS))
    (base / "parts.py").write_text(COMPONENTS)
    return base


@pytest.fixture(scope="module")
def run(folder: Path) -> Iterator[str]:
    """A failed run, in a store whose server runs; there is one of each thing that is listed."""
    with Engine.embedded(folder / ".openagents", components=[], workers=0) as engine:
        done = openagents("run", "fails.json", "-c", "parts.py", folder=folder)
        assert done.returncode == 1
        reference = engine.publish(
            {"id": NAME, "steps": [{"id": "s", "wait_for": "go"}]}
        )
        engine.schedules.create(Schedule("nightly", reference, every_seconds=3600))
        with engine.locks.hold("report", lease_seconds=3600):
            yield str(json.loads(done.stdout)["id"])


def shown(folder: Path, command: str, run: str, *more: str) -> str:
    terminal = Terminal([*command.replace("RUN", run).split(), *more], folder)
    assert terminal.code == 0, terminal.text
    return terminal.text


@pytest.mark.parametrize("columns", ["80", "120"])
def test_wide_cuts_nothing_in_any_list(
    folder: Path, run: str, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("NO_COLOR", "1")
    for command in sorted(LISTS):
        usual = shown(folder, command, run).splitlines()
        wide = shown(folder, command, run, "--wide")
        assert "…" not in wide, command
        assert run in wide or "runs" not in command, command
        assert NAME in wide or command not in OF_WORKFLOWS, command
        if command not in ("config show", "runs show RUN"):
            assert max(map(len, usual)) <= int(columns), command


def test_wide_is_offered_by_lists_and_taken_by_every_command() -> None:
    offered = set()
    for path, command in commands():
        options: dict[str, Any] = {name: p for p in command.params for name in p.opts}
        assert "--quiet" in options, path
        assert options["--quiet"].help.startswith("Print the result"), path
        wide = options.get("--wide")
        if wide is not None and not wide.hidden:
            assert wide.help == "Whole ids, times and texts, however long the lines."
            offered.add(" ".join(path))
    assert (
        offered
        == {re.sub(f" (RUN|fail|columns|{NAME})$", "", name) for name in LISTS} | EMPTY
    )


def test_components_are_listed_by_name(folder: Path, run: str) -> None:
    def names(*chosen: str) -> list[str]:
        done = openagents("components", *chosen, "--json", folder=folder)
        return [row["component"].partition("@")[0] for row in json.loads(done.stdout)]

    assert run
    assert names() == names("fail") == ["fail"]
    assert names("other") == []


def test_quiet_leaves_the_result_and_what_went_wrong(folder: Path, run: str) -> None:
    start = ("run", "fails.json", "-c", "parts.py")
    loud = openagents(*start, folder=folder)
    quiet = openagents(*start, "--quiet", folder=folder)
    assert "step s failed" in loud.stderr
    assert (quiet.returncode, quiet.stderr) == (1, "")
    assert json.loads(quiet.stdout)["status"] == "failed"
    more = ("runs", "list", "--limit", "1")
    assert "there are more" in openagents(*more, folder=folder).stderr
    assert openagents(*more, "-q", folder=folder).stderr == ""
    wrong = openagents("runs", "show", "0-none", "-q", folder=folder)
    assert wrong.returncode == 6
    assert "there is no run" in wrong.stderr
    for command in sorted(LISTS):
        words = command.replace("RUN", run).split()
        loud, quiet = (
            openagents(*words, *more, folder=folder) for more in ((), ("-q",))
        )
        assert quiet.stderr == "", command
        # These tell of what goes on meanwhile.
        changing = ("steps", "workers", "projections", "locks")
        if words[0] not in changing and "show" not in words:
            assert quiet.stdout == loud.stdout, command


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [
        ({}, True),
        ({"NO_COLOR": ""}, True),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": "0"}, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
    ],
)
def test_colours_follow_the_terminal_and_no_color(
    folder: Path,
    run: str,
    variables: dict[str, str],
    coloured: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for command in ("runs list", "runs show RUN", "runs history RUN", "config show"):
        text = shown(folder, command, run)
        assert bool(STYLE.search(text)) is coloured, command
    monkeypatch.setenv("FORCE_COLOR", "1")
    for command in ("runs list", "runs show RUN", "runs history RUN"):
        words = command.replace("RUN", run).split()
        done = openagents(*words, folder=folder)
        assert "\x1b" not in done.stdout + done.stderr, command


def test_a_silent_worker_stays_silent(folder: Path) -> None:
    from tests.acceptance.processes import COMMAND
    from tests.fork_server import ForkedProcess

    log = folder / "dev.log"
    with log.open("w") as out:
        process = ForkedProcess(
            [*COMMAND, "dev", "-c", "parts.py", "--data", "quiet", "--quiet"],
            stdout=out,
            stderr=out,
            text=True,
            cwd=folder,
            env=dict(os.environ),
        )
        wait_for(lambda: _works(folder))
        process.terminate()
        process.wait(60)
    assert log.read_text() == ""


def _works(folder: Path) -> bool:
    done = openagents("doctor", "--data", "quiet", "--json", folder=folder)
    return bool(done.stdout and json.loads(done.stdout)["workers"])
