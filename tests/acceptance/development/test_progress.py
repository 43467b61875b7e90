"""Progress of a foreach: a bar on a terminal, some lines in a pipe, nothing beside the result with `--json`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.acceptance.processes import openagents
from tests.acceptance.terminals import Terminal

COMPONENTS = """
from openagents_json import tool

@tool("odd", effect="pure")
def odd(number: int) -> int:
    if number % 5 == 0:
        raise ValueError(f"{number} is divisible by five")
    return number
"""
COUNT = 60


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    step = {
        "id": "each",
        "component": "odd",
        "foreach": "{{input.numbers}}",
        "tolerated_failures": COUNT,
        "inputs": {"number": "{{item}}"},
    }
    (tmp_path / "many.json").write_text(
        json.dumps({"id": "many", "inputs": {"numbers": {}}, "steps": [step]})
    )
    (tmp_path / "components.py").write_text(COMPONENTS)
    return tmp_path


def numbers(count: int) -> str:
    return f"numbers={json.dumps(list(range(count)))}"


RUN = ("run", "many.json", "-c", "components.py", "-i")


def test_in_a_pipe_a_tenth_is_a_line_and_only_the_first_failures_are_told(
    folder: Path,
) -> None:
    done = openagents(*RUN, numbers(COUNT), folder=folder)
    assert done.returncode == 0, done.stderr
    first, *lines = done.stderr.splitlines()
    run = json.loads(done.stdout)["id"]
    assert first == f"run {run}"
    counted = [line for line in lines if " items" in line]
    assert 2 <= len(counted) <= 10
    assert counted[-1].strip() == f"step each: {COUNT} of {COUNT} items, 12 failed"
    of_items = [line for line in lines if re.search(r"each\[\d+\]", line)]
    assert len(of_items) == 5
    assert all("is divisible by five" in line for line in of_items)
    assert len(lines) <= len(counted) + len(of_items) + 5


def test_a_few_items_have_lines_of_their_own(folder: Path) -> None:
    done = openagents(*RUN, numbers(4), folder=folder)
    assert "each[3]" in done.stderr
    assert " items" not in done.stderr


@pytest.mark.parametrize("columns", [80, 120])
def test_on_a_terminal_there_is_a_bar_that_goes_away(
    folder: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", str(columns))
    told = Terminal([*RUN, numbers(COUNT)], folder)
    assert told.code == 0, told.text
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", told.text)
    assert "━" in plain
    assert f"{COUNT} of {COUNT} items" in plain
    assert "run completed" in plain
    # The cursor is shown again, and the last bar is taken away before the result.
    assert told.text.rindex("\x1b[?25h") < told.text.index('"status"')
    for line in re.split(r"[\r\n]+", plain):
        assert len(line) <= columns or "━" not in line


def test_with_json_there_is_nothing_but_the_result(folder: Path) -> None:
    done = openagents(*RUN, numbers(COUNT), "--json", folder=folder)
    assert json.loads(done.stdout)["status"] == "completed"
    assert done.stderr.splitlines() == [f"run {json.loads(done.stdout)['id']}"]


def test_items_that_are_too_large_for_their_event_are_counted_too(folder: Path) -> None:
    items = [{"number": 1, "text": "x" * 1000}] * COUNT
    (folder / "in.json").write_text(json.dumps({"numbers": items}))
    document = json.loads((folder / "many.json").read_text())
    document["steps"][0]["inputs"]["number"] = "{{item.number}}"
    (folder / "many.json").write_text(json.dumps(document))
    done = openagents(*RUN[:-1], "--input-file", "in.json", folder=folder)
    assert f"{COUNT} of {COUNT} items" in done.stderr, done.stderr
