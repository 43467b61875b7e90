"""Whatever lets a run go on may wait for its end, runs the components that it is given, and says when nobody works."""

from __future__ import annotations

import json
import shlex
import signal
from pathlib import Path
from typing import Any

import pytest

from openagents_json import tool
from openagents_json.engine import Engine
from tests.acceptance.commands.test_interrupts import COMPONENTS as HANGS
from tests.acceptance.commands.test_interrupts import command, lines_until
from tests.acceptance.processes import openagents
from tests.conftest import wait_for

MENDED = """
from pathlib import Path

from openagents_json import tool


@tool("of_file", effect="idempotent")
def of_file() -> str:
    said = Path("says").read_text()
    if said != "well":
        raise ValueError(said)
    return said
"""
FAILS = {
    "id": "wf",
    "steps": [{"id": "a", "component": "of_file"}],
    "output": "{{a.output}}",
}
ASKS = {
    "id": "asks",
    "steps": [
        {"id": "ok", "wait_for": {"signal": "go"}},
        {"id": "a", "component": "of_file"},
    ],
    "output": "{{a.output}}",
}
WITH = ("-c", "mended.py")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mended.py").write_text(MENDED)
    (tmp_path / "wf.json").write_text(json.dumps(FAILS))
    (tmp_path / "asks.json").write_text(json.dumps(ASKS))
    (tmp_path / "says").write_text("not yet")
    return tmp_path


def call(folder: Path, *arguments: str) -> tuple[int, str, str]:
    done = openagents(*arguments, folder=folder)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def started(folder: Path, *arguments: str) -> str:
    _, out, _ = call(folder, "run", *arguments)
    run: str = json.loads(out)["id"]
    return run


def ended(folder: Path, *arguments: str) -> tuple[int, str, Any]:
    """Return how a command that waits has ended: its exit code, the status and the output of the run."""
    code, out, _ = call(folder, "runs", *arguments, "--wait", *WITH)
    result = json.loads(out)
    return code, result["status"], result["output"]


def test_retry_follows_to_the_end_and_shows_what_happens_from_then_on(
    folder: Path,
) -> None:
    run = started(folder, "wf.json", *WITH)
    assert ended(folder, "retry", run) == (1, "failed", None)
    (folder / "says").write_text("well")
    code, out, err = call(folder, "runs", "retry", run, "--wait", *WITH)
    result = {"id": run, "status": "completed", "output": "well", "error": None}
    assert (code, json.loads(out)) == (0, result)
    lines = err.splitlines()
    assert lines[0] == f"run {run}"
    assert "reopened" in lines[1]  # and nothing of what was before
    assert "completed" in lines[-1]


def test_each_command_that_lets_a_run_go_on_waits_and_works(folder: Path) -> None:
    failed = started(folder, "wf.json", *WITH)
    other = started(folder, "wf.json", *WITH)
    assert ended(folder, "complete", other, "a", "--output", "7") == (0, "completed", 7)
    (folder / "says").write_text("well")
    well = (0, "completed", "well")
    assert ended(folder, "replay", failed) == well
    assert ended(folder, "rerun", failed, "a") == well
    assert ended(folder, "fork", failed, "--at", "1") == well
    assert ended(folder, "skip", started(folder, "wf.json", "--detach"), "a") == (
        0,
        "completed",
        None,
    )
    asking = started(folder, "asks.json", "--detach")
    assert ended(folder, "signal", asking, "go") == well
    paused = started(folder, "wf.json", "--detach")
    assert call(folder, "runs", "pause", paused)[0] == 0
    assert ended(folder, "resume", paused) == well
    exported = ("runs", "export", paused, "--output", "run.oac")
    assert call(folder, *exported)[0] == 0
    code, out, _ = call(
        folder, "runs", "import", "run.oac", "--wait", "--data", "elsewhere"
    )
    assert (code, json.loads(out)["output"]) == (0, "well")
    unwanted = started(folder, "asks.json", "--detach")
    assert ended(folder, "cancel", unwanted) == (3, "cancelled", None)


def test_without_a_worker_it_is_said_which_command_starts_one_and_that_does(
    folder: Path,
) -> None:
    run = started(folder, "wf.json", *WITH)
    code, out, err = call(
        folder, "runs", "retry", run, *WITH, "--data", "./.openagents"
    )
    assert (code, out) == (0, f"{run} running\n")
    assert "no worker is alive" in err
    worker = shlex.split(err.split("`")[1])
    assert worker == [
        *("openagents", "dev", "-c", "mended.py"),
        *("--data", "./.openagents"),
    ]
    assert call(folder, "runs", "pause", run)[2] == ""
    code, _, err = call(folder, "runs", "resume", run, "--wait", "--timeout", "0.2")
    assert (code, "no worker is alive" in err) == (8, True)
    (folder / "says").write_text("well")
    with command(folder, *worker[1:]) as working:
        assert call(folder, "runs", "watch", run)[0] == 0
        assert call(folder, "runs", "rerun", run, "a")[2] == ""
        working.send_signal(signal.SIGINT)
        assert working.wait(60) == 0


def test_what_is_asked_of_a_run_comes_before_what_it_does_by_itself(
    folder: Path,
) -> None:
    run = started(folder, "wf.json", *WITH)
    assert call(folder, "runs", "retry", run)[0] == 0
    (folder / "says").write_text("well")
    # It goes on already: whoever works here first, and looks then, finds that it has completed.
    code, _, err = call(folder, "runs", "retry", run, "--wait", *WITH)
    assert (code, "the run is running: it has not ended" in err) == (1, True)
    assert "`openagents runs watch` follows it" in err


def test_what_waits_for_a_signal_or_has_ended_needs_no_worker(folder: Path) -> None:
    asking = started(folder, "asks.json", "--detach", *WITH)
    assert call(folder, "runs", "pause", asking)[2] == ""
    assert call(folder, "runs", "resume", asking)[2] == ""
    assert call(folder, "runs", "cancel", asking)[1:] == (f"{asking} cancelled\n", "")


def test_how_to_wait_is_for_who_waits(folder: Path) -> None:
    for option in ("--timeout", "--workers"):
        code, _, err = call(folder, "runs", "resume", "0-none", option, "1")
        assert (code, "add --wait" in err) == (2, True)


def test_who_waits_for_the_workers_of_others_runs_nothing(folder: Path) -> None:
    messages: list[str] = []

    @tool("of_file", effect="idempotent")
    def of_file() -> str:
        if not messages:
            raise ValueError("not yet")
        return messages[0]

    data = folder / "data"
    with Engine.embedded(data, components=[of_file], workers=1) as engine:
        run = engine.run(FAILS, timeout=60).id
        messages.append("by the other one")
        code, out, err = call(
            folder, "runs", "retry", run, "--wait", "--data", str(data)
        )
    assert (code, json.loads(out)["output"]) == (0, "by the other one")
    assert "no worker" not in err


def test_ctrl_c_while_a_retried_run_goes_on_says_how_to_go_on_with_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "components.py").write_text(HANGS)
    document = {"id": "w", "steps": [{"id": "a", "component": "hangs"}]}
    (tmp_path / "workflow.json").write_text(json.dumps(document))
    start = ("workflow.json", "-c", "components.py", "--workers", "0", "--detach")
    run = started(tmp_path, *start)
    assert call(tmp_path, "runs", "cancel", run)[0] == 0
    retry = ("runs", "retry", run, "--wait", "-c", "components.py")
    with command(tmp_path, *retry) as retrying:
        wait_for((tmp_path / "begun").exists)
        retrying.send_signal(signal.SIGINT)
        notice = lines_until(retrying, "runs watch")[-3:]
        assert "Ctrl-C again" in notice[0]
        assert "go on with it: openagents dev -c components.py" in notice[1]
        retrying.send_signal(signal.SIGINT)
        assert retrying.wait(60) == -signal.SIGINT
