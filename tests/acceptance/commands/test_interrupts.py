"""Ctrl-C says at once what happens, how to force it, and how to go on; what it says works."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.acceptance.processes import COMMAND, openagents
from tests.conftest import wait_for
from tests.fork_server import ForkedProcess

COMPONENTS = """
import time
from pathlib import Path

from openagents_json import tool


@tool("hangs", effect="idempotent")
def hangs() -> str:
    Path("begun").touch()
    while not Path("go").exists():
        time.sleep(0.01)
    return "done"
"""
DOCUMENT = {"id": "w", "steps": [{"id": "a", "component": "hangs"}]}


@contextmanager
def command(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = ForkedProcess(
        [*COMMAND, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def lines_until(process: subprocess.Popen[str], part: str) -> list[str]:
    assert process.stderr is not None
    lines = [process.stderr.readline()]
    while part not in lines[-1]:
        assert lines[-1], lines
        lines.append(process.stderr.readline())
    return lines


def test_run_names_its_run_first_and_ctrl_c_says_how_to_force_it_and_to_go_on(
    tmp_path: Path,
) -> None:
    (tmp_path / "components.py").write_text(COMPONENTS)
    (tmp_path / "workflow.json").write_text(json.dumps(DOCUMENT))
    with command(tmp_path, "run", "workflow.json", "-c", "components.py") as running:
        assert running.stderr is not None
        word, run = running.stderr.readline().split()
        assert word == "run"
        wait_for((tmp_path / "begun").exists)
        running.send_signal(signal.SIGINT)
        # The step still hangs: whoever waited for its end before speaking would never come to this line.
        notice = lines_until(running, "runs watch")[-3:]
        assert run in notice[0]
        assert "Ctrl-C again" in notice[0]
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == -signal.SIGINT
    (tmp_path / "go").touch()
    go_on, watch = (shlex.split(line.split(": ", 2)[2])[1:] for line in notice[1:])
    with command(tmp_path, *go_on) as working:
        followed = openagents(*watch, folder=tmp_path)
        assert followed.returncode == 0, followed.stderr
        assert "run completed" in followed.stdout
        working.send_signal(signal.SIGINT)
        assert working.wait(60) == 0


def test_ctrl_c_in_dev_says_at_once_what_happens_and_how_to_force_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "components.py").write_text(COMPONENTS)
    (tmp_path / "workflow.json").write_text(json.dumps(DOCUMENT))
    start = ["run", "workflow.json", "-c", "components.py", "--workers", "0"]
    assert openagents(*start, "--detach", folder=tmp_path).returncode == 0
    with command(tmp_path, "dev", "-c", "components.py") as working:
        wait_for((tmp_path / "begun").exists)
        working.send_signal(signal.SIGINT)
        # The step still hangs, so this was said before it has ended.
        notice = lines_until(working, "stopping")[-1]
        assert "Ctrl-C again" in notice
        assert "their runs go on" in notice
        working.send_signal(signal.SIGINT)
        assert working.wait(60) == 0
