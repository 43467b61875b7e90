"""What people see of a run: its steps as a tree, what it waits for, why it failed, and the commands that come next."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openagents_json.engine import Engine
from tests.acceptance.processes import openagents
from tests.acceptance.terminals import Terminal
from tests.conftest import wait_for

STYLES = re.compile(r"\x1b\[[0-9;]*m")
COMPONENTS = """
from openagents_json import tool

@tool("fetch")
def fetch(n: int = 0) -> int:
    return n

@tool("parse")
def parse(n: int) -> int:
    if n == 7:
        raise ValueError(f"item {n} cannot be read")
    return n
"""
BATCH: dict[str, Any] = {
    "id": "batch",
    "version": "1.2.0",
    "inputs": {"numbers": {"type": "array"}},
    "steps": [
        {"id": "fetch", "component": "fetch"},
        {
            "id": "each",
            "foreach": "{{input.numbers}}",
            "component": "parse",
            "inputs": {"n": "{{item}}"},
            "min_success": 0,
        },
        {
            "id": "a-step-with-a-rather-long-name",
            "steps": [
                {"id": "inner", "component": "parse", "inputs": {"n": 7}},
            ],
        },
        {"id": "last", "component": "fetch"},
    ],
}
ASK: dict[str, Any] = {
    "id": "ask",
    "steps": [
        {
            "id": "approve",
            "wait_for": {
                "signal": "order approved",
                "key": "7",
                "schema": {"type": "object", "required": ["ok"]},
                "timeout": 7200,
            },
        }
    ],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("seen")
    (base / "components.py").write_text(COMPONENTS)
    (base / "batch.json").write_text(json.dumps(BATCH))
    (base / "ask.json").write_text(json.dumps(ASK))
    return base


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[Engine]:
    """The embedded store of the folder, which stays open, so that no command has to start a server."""
    with Engine.embedded(folder / "data", components=[], workers=0) as opened:
        yield opened


def start(folder: Path, name: str, *more: str) -> str:
    arguments = ["run", name, "-c", "components.py", "--data", "data", *more]
    return str(json.loads(openagents(*arguments, folder=folder).stdout)["id"])


def screen(
    folder: Path, width: int, monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    shown = Terminal([*arguments, "--data", "data"], folder)
    assert shown.code == 0, shown.text
    return "\n".join(text.rstrip() for text in STYLES.sub("", shown.text).splitlines())


@pytest.mark.usefixtures("engine")
def test_a_failed_run_is_shown_as_a_tree_with_its_error_and_what_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [*range(20), 7]
    run = start(folder, "batch.json", "-i", f"numbers={numbers}")
    for width in (80, 120):
        seen = screen(folder, width, monkeypatch, "runs", "show", run)
        commands = [x for x in seen.splitlines() if x.startswith("    openagents ")]
        rows = [x for x in seen.splitlines() if x not in commands]
        assert max(map(len, rows)) <= width
        assert f"run       {run}" in seen
        assert "workflow  batch 1.2.0" in seen
        assert "status    failed at step a-step-with-a-rather-long-name.inner" in seen
        assert "completed, 2 failed of 21" in seen, seen
        assert "├─ [7]" in seen
        assert "├─ [20]" in seen or "└─ [20]" in seen
        assert "16 more; --all shows them" in seen
        assert "└─ inner" in seen
        assert "a-step-with-a-rather-long-name  failed" in seen
        assert "ValueError: item 7 cannot be read" in seen
        assert f"    openagents runs explain {run} --data data" in commands
        assert f"    openagents runs retry {run} --data data" in commands
        [last] = [x for x in rows if x.startswith("last ")]
        assert last.split() == ["last", "not", "begun"]
    told = openagents("runs", "explain", run, "--data", "data", folder=folder).stdout
    for text in (seen, told):
        assert "components.py:11 in parse" in text
        assert '  raise ValueError(f"item {n} cannot be read")' in text
        assert "registry.py" not in text
    whole = screen(folder, 80, monkeypatch, "runs", "show", run, "--all")
    assert "[19]" in whole
    assert "--all shows them" not in whole


def test_a_run_that_waits_says_for_what_until_when_and_how_to_answer(
    folder: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(folder, "ask.json", "--detach")
    wait_for(lambda: engine.waits_for_signal(run))
    seen = screen(folder, 80, monkeypatch, "runs", "show", run)
    assert "step approve waits for signal order approved with key 7" in seen
    assert "; then it fails" in seen
    assert '"required": ["ok"]' in seen
    command = f"openagents runs signal {run} 'order approved' --key 7 --payload JSON"
    assert f"    {command} --data data" in seen.splitlines()
    listed = openagents("runs", "waiting", "--data", "data", folder=folder).stdout
    assert "ask: step approve waits for signal order approved with key 7" in listed
    assert f"    {command} --data data" in listed.splitlines()
    told = openagents("runs", "explain", run, "--data", "data", folder=folder).stdout
    assert "waits for signal order approved with key 7 until 20" in told


def test_who_follows_a_run_is_told_what_it_waits_for_and_how_to_answer(
    folder: Path,
) -> None:
    done = openagents(
        "run", "ask.json", "--timeout", "1.5", "--data", "data", folder=folder
    )
    run = done.stderr.splitlines()[0].removeprefix("run ")
    command = f"openagents runs signal {run} 'order approved' --key 7 --payload JSON"
    told = done.stderr.splitlines()
    assert told.count(f"    {command} --data data") == 1, done.stderr
    assert "step approve waits for signal order approved with key 7" in told
    assert "; then it fails" in done.stderr
    assert '  payload: {"required": ["ok"], "type": "object"}' in told
    assert "no worker is alive" not in done.stderr


def test_archived_runs_fit_the_terminal_with_their_files_below(
    folder: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(folder, "batch.json", "-i", "numbers=[1]")
    arguments = ["archive", run, "--to", "archive", "--without", "ledger"]
    done = openagents("runs", *arguments, "--data", "data", folder=folder)
    assert done.returncode == 0, done.stderr
    for width in (80, 120):
        seen = screen(folder, width, monkeypatch, "runs", "list", "--archived")
        assert max(map(len, seen.splitlines())) <= width, seen
        header, row, file = seen.splitlines()
        assert header.split() == ["run", "workflow", "status", "archived", "took"]
        assert row.split()[1:3] == ["batch", "failed"]
        assert file.startswith("  ")
        assert "archive" in file
        short = row.split()[0]
        assert run.startswith(short)
        assert run != short
    assert run in screen(
        folder, 80, monkeypatch, "runs", "list", "--archived", "--wide"
    )
    back = openagents("runs", "restore", short, "--data", "data", folder=folder)
    assert back.returncode == 0, back.stderr


def test_json_of_a_run_is_what_the_engine_says_of_it(
    folder: Path, engine: Engine
) -> None:
    run = start(folder, "ask.json", "--detach")
    shown = openagents("runs", "show", run, "--json", "--data", "data", folder=folder)
    assert json.loads(shown.stdout)["version"] == engine.state(run).version
    assert "steps" in json.loads(shown.stdout)


def test_lists_fit_the_terminal_and_their_ids_are_taken_by_every_command(
    folder: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = {
        **BATCH,
        "id": "a-workflow-whose-name-is-longer-than-any-terminal-would-like-it-to-be",
    }
    (folder / "named.json").write_text(json.dumps(named))
    run = start(folder, "named.json", "-i", "numbers=[1]")
    for width in (80, 120):
        for command in ("list", "failures"):
            seen = screen(folder, width, monkeypatch, "runs", command)
            assert max(map(len, seen.splitlines())) <= width, seen
            assert "\n  ValueError: item 7 cannot be read" in seen
            assert "s ago" in seen
            assert run not in seen
            [short] = {
                word for word in seen.split() if run.startswith(word) and "-" in word
            }
    assert run in screen(folder, 80, monkeypatch, "runs", "list", "--wide")
    assert run in screen(folder, 80, monkeypatch, "runs", "failures", "--wide")
    chosen = screen(
        folder, 80, monkeypatch, "runs", "list", "--columns", "status,run", "--limit=1"
    )
    assert [x.split() for x in chosen.splitlines()][:2] == [
        ["status", "run"],
        ["failed", short],
    ]
    for arguments in (
        ("runs", "show", short, "--json"),
        ("runs", "history", short),
        ("runs", "diff", short, run),
        ("runs", "list", "--parent", short, "--json"),
        ("runs", "hold", short),
        ("runs", "release", short),
        ("runs", "retry", short),
    ):
        done = openagents(*arguments, "--data", "data", folder=folder)
        assert done.returncode == 0, done.stderr
    assert engine.state(run).status != "failed"


def test_a_beginning_of_several_ids_names_them(folder: Path, engine: Engine) -> None:
    runs = engine.start_many([(str(folder / "ask.json"), {})] * 12)
    partitions = [run.partition("-")[0] for run in runs]
    often = max(partitions, key=partitions.count)
    beginning = f"{often}-0"
    done = openagents("runs", "cancel", beginning, "--data", "data", folder=folder)
    assert done.returncode == 6
    assert f"several runs begin with '{beginning}': {often}-0" in done.stderr
    assert "give more of the id" in done.stderr
    none = openagents("runs", "cancel", "0-zzzz", "--data", "data", folder=folder)
    assert "there is no run '0-zzzz'" in none.stderr


def test_components_that_cannot_be_imported_name_file_and_line(folder: Path) -> None:
    (folder / "wrong.py").write_text("import json\n\njson.loads('{')\n")
    done = openagents("run", "ask.json", "-c", "wrong.py", "--data", "d", folder=folder)
    assert done.returncode == 1
    assert f"{folder / 'wrong.py'}:3)" in done.stderr
