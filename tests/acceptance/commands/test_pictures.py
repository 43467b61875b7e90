"""Pictures of workflows and runs in a terminal: who follows whom, how it stands, and when it was worked on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from openagents_json.engine import Engine
from tests.acceptance.processes import openagents
from tests.acceptance.terminals import Terminal
from tests.conftest import wait_for

STYLES = re.compile(r"\x1b\[[0-9;]*m")
COMPONENTS = """
from openagents_json import tool

@tool("picture-fetch", retry={"max_retries": 2, "delay_seconds": 0.05})
def fetch(context) -> int:
    if context.attempt == 1:
        raise ConnectionError("the line is busy")
    return 3

@tool("picture-parse")
def parse(n: int) -> int:
    if n == 7:
        raise ValueError(f"item {n} cannot be read")
    return n
"""
ORDER: dict[str, Any] = {
    "id": "order",
    "version": "1.2.0",
    "steps": [
        {"id": "fetch", "component": "picture-fetch"},
        {
            "id": "each",
            "depends_on": ["fetch"],
            "foreach": [1, 2, 3, 7],
            "component": "picture-parse",
            "inputs": {"n": "{{item}}"},
            "tolerated_failures": 1,
        },
        {"id": "approve", "depends_on": ["fetch"], "wait_for": "approved"},
        {
            "id": "bad",
            "depends_on": ["each", "approve"],
            "component": "picture-parse",
            "inputs": {"n": 7},
        },
        {"id": "never", "depends_on": ["bad"], "component": "picture-fetch"},
    ],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("drawn")
    (base / "components.py").write_text(COMPONENTS)
    (base / "order.json").write_text(json.dumps(ORDER))
    return base


@pytest.fixture(scope="module")
def run(folder: Path) -> Iterator[str]:
    """A run that failed, in the embedded store of the folder, which stays open."""
    with Engine.embedded(folder / "data", components=[], workers=0) as engine:
        where = ["-c", "components.py", "--data", "data"]
        openagents("workflows", "add", "order.json", *where, folder=folder)
        started = engine.start(ORDER_REFERENCE)
        with Engine.embedded(folder / "data", components=components(folder), workers=2):
            wait_for(lambda: engine.waits_for_signal(started))
            engine.signal(started, "approved")
            engine.wait(started, timeout=60)
        yield started


ORDER_REFERENCE = "order@1.2.0"


def components(folder: Path) -> Any:
    from openagents_json.engine import load_components

    return load_components([str(folder / "components.py")])


def screen(
    folder: Path, width: int, monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    shown = Terminal([*arguments, "--data", "data"], folder)
    assert shown.code == 0, shown.text
    plain = STYLES.sub("", shown.text)
    seen = "\n".join(row.rstrip() for row in plain.splitlines())
    assert max(map(len, seen.splitlines())) <= width, seen
    return seen


def test_a_workflow_is_drawn_from_its_file_by_its_name_and_for_a_run(
    folder: Path, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for width in (80, 120):
        drawn = screen(folder, width, monkeypatch, "workflows", "draw", "order.json")
        published = screen(folder, width, monkeypatch, "workflows", "draw", "order")
        assert drawn == published
        assert drawn.splitlines()[0] == "order 1.2.0"
        row = next(x for x in drawn.splitlines() if "│ approve" in x)
        assert "│ each" in row, drawn
        assert "completed" not in drawn
        stands = screen(
            folder, width, monkeypatch, "workflows", "draw", "--run", run[:20]
        )
        assert "│ completed, 2 attempts" in stands
        assert "│ completed, 3 of 4, 1 failed" in stands
        assert re.search(r"│ bad +│\n.*│ picture-parse +│\n.*│ failed +│", stands), (
            stands
        )
        last = stands[stands.index("│ never") :].splitlines()
        assert len(last) == 3, "it has not begun, and nothing says how it stands"


def test_a_picture_goes_into_a_file_a_page_or_another_program(
    folder: Path, run: str
) -> None:
    def draw(*more: str) -> str:
        done = openagents("workflows", "draw", *more, "--data", "data", folder=folder)
        assert done.returncode == 0, done.stderr
        return done.stdout

    flowchart = draw("--run", run, "--format", "mermaid")
    assert flowchart.startswith("flowchart TD\n")
    assert "  class n3 failed" in flowchart.splitlines()
    draw("--run", run, "--format", "svg", "--output", "order.svg")
    svg = ElementTree.fromstring((folder / "order.svg").read_text())
    assert [x.text for x in svg.iter() if x.get("class") == "name failed"] == ["bad"]
    graph = json.loads(draw("order.json", "--json"))
    assert {"source": "bad", "target": "never", "label": ""} in graph["arrows"]
    assert draw("order.json").startswith("order 1.2.0\n  ")
    for wrong in ([], ["order.json", "--run", run]):
        done = openagents("workflows", "draw", *wrong, folder=folder)
        assert (done.returncode, "one of them" in done.stderr) == (2, True)


def test_a_timeline_shows_work_waits_and_attempts_on_one_scale(
    folder: Path, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for width in (80, 120):
        seen = screen(folder, width, monkeypatch, "runs", "timeline", run[:20])
        rows = {row.split()[0]: row for row in seen.splitlines() if row.strip()}
        assert rows["run"] == f"run {run} of order failed"
        assert "✗" in rows["fetch"]
        assert "█" in rows["fetch"]
        assert "2 attempts: failed, completed" in seen
        assert "4 items, 3 completed, 1 failed" in seen
        assert "─" in rows["approve"]
        assert "never" not in rows
        assert "✗ ends badly" in seen
        assert "[3]" not in seen
        starts = [re.search("[█✗]", rows[x]) for x in ("fetch", "bad")]
        assert starts[0] is not None
        assert starts[1] is not None
        assert starts[0].start() < starts[1].start()
    whole = screen(folder, 80, monkeypatch, "runs", "timeline", run, "--all")
    assert "└─ [3]" in whole
    told = openagents(
        "runs", "timeline", run, "--json", "--data", "data", folder=folder
    )
    bars = {bar["path"]: bar for bar in json.loads(told.stdout)["bars"]}
    kinds = [span["kind"] for span in bars["fetch"]["spans"]]
    assert kinds == ["queued", "attempt", "retry", "attempt"]
    assert bars["fetch"]["spans"][1]["error"]["type"] == "ConnectionError"
    assert [span["kind"] for span in bars["approve"]["spans"]] == ["wait"]
