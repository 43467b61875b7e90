"""The first session of somebody new, on a terminal of 80 and one of 120 columns: begun, failed, understood, mended."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.acceptance.terminals import live

BROKEN = """

@tool("breaks", effect="idempotent")
def breaks(text: str) -> str:
    raise ValueError(f"cannot read {text!r}: " + "a long reason " * 12)
"""
FAILS = {
    "id": "fails",
    "inputs": {"name": {"type": "string", "required": True}},
    "steps": [
        {"id": "greet", "component": "greet", "inputs": {"name": "{{input.name}}"}},
        {
            "id": "broken",
            "component": "breaks",
            "depends_on": ["greet"],
            "inputs": {"text": "{{greet.output}}"},
        },
    ],
    "output": "{{broken.output}}",
}


def screen(folder: Path, columns: int, *arguments: str, code: int = 0) -> str:
    """Return what a command draws on a terminal, on which no line of it is broken."""
    with live(folder, *arguments, columns=columns) as terminal:
        assert terminal.end() == code, terminal.text
        text = terminal.text
    assert "Traceback" not in text
    assert max(map(len, text.splitlines())) <= columns, text
    return text


@pytest.mark.parametrize("columns", [80, 120])
def test_from_an_empty_folder_to_a_run_that_is_understood_and_mended(
    tmp_path: Path, columns: int
) -> None:
    begun = screen(tmp_path, columns, "init", "first")
    assert "openagents dev" in begun
    project = tmp_path / "first"
    components = project / "components.py"
    with live(project, "dev", columns=columns) as dev:
        dev.says("components: components.py")
        dev.says("working on agent, asset, tool")
        components.write_text(components.read_text() + BROKEN)
        dev.says("reloaded: components.py")
        (project / "fails.json").write_text(json.dumps(FAILS))
        dev.says(r"fails\.json: valid")

        # Another terminal: the work is done by the first one, which shows it.
        run_it = ("run", "fails.json", "-i", "name=Ada")
        with live(project, *run_it, columns=columns) as running:
            run = running.says(r"^run (\S+)")[1]
            running.says("run failed at step broken")
            assert running.end() == 1
        dev.says(f"{run[:14]} fails failed in .* at step broken")

        short = run[:14]
        shown = screen(project, columns, "runs", "show", short)
        assert re.search(r"status +failed at step broken", shown)
        assert "ValueError: cannot read 'Hello, Ada!'" in shown
        # A long path goes over the end of a line.
        assert "components.py:" in re.sub(r"\s+", "", shown)
        assert f"openagents runs retry {run}" in shown
        listed = screen(project, columns, "runs", "list")
        assert re.search(rf"{short} +fails +failed", listed)
        assert "ValueError" in screen(project, columns, "runs", "failures")
        assert "✗" in screen(project, columns, "runs", "timeline", short)
        history = screen(project, columns, "runs", "history", short)
        assert "StepFailed" in history

        mended = components.read_text().replace("    raise ValueError(", "    return (")
        components.write_text(mended)
        dev.says("reloaded: components.py.*reloaded: components.py")
        retry = ("runs", "retry", short, "--wait", "--quiet")
        with live(project, *retry, columns=columns) as retried:
            assert retried.end() == 0, retried.text
            assert json.loads(retried.text)["status"] == "completed"
        dev.press("\x03")
        dev.says("stopping: steps that run have 10 s to end")
        assert dev.end() == 0
