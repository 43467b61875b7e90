"""Ctrl-C on a terminal, at 80 and 120 columns: commands say at once what happens, how to force it, and to go on."""

from __future__ import annotations

import json
import shlex
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openagents_json import Context, tool
from openagents_json.engine import Engine
from tests.acceptance.commands.test_interrupts import COMPONENTS, DOCUMENT
from tests.acceptance.processes import openagents
from tests.acceptance.terminals import live
from tests.conftest import wait_for

CTRL_C = "\x03"
FORCED = -signal.SIGINT
WAITS: dict[str, Any] = {
    "id": "waits",
    "steps": [
        {"id": "says", "component": "says"},
        {"id": "ok", "wait_for": {"signal": "go"}},
    ],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("live")
    (base / "components.py").write_text(COMPONENTS)
    (base / "workflow.json").write_text(json.dumps(DOCUMENT))
    return base


@pytest.fixture(scope="module")
def waiting(folder: Path) -> Iterator[list[str]]:
    """Runs that have said a word and wait for a signal, in the store of the folder, which stays open."""

    @tool("says")
    def says(context: Context) -> None:
        context.emit("a word")

    with Engine.embedded(
        folder / ".openagents", components=[says], workers=1
    ) as engine:
        runs = engine.start_many([(WAITS, {})] * 3)
        wait_for(lambda: all(map(engine.waits_for_signal, runs)))
        yield [run.id for run in runs]


def test_run_ends_at_the_second_ctrl_c_and_says_how_to_go_on(folder: Path) -> None:
    with live(folder, "run", "workflow.json", "-c", "components.py") as running:
        run = running.says(r"run (\S+) ")[1]
        wait_for((folder / "begun").exists)
        running.press(CTRL_C)
        # The step hangs all the time: whoever waited for it before speaking would never come to this.
        running.says(r"stopping: steps that run here may end first.*Ctrl-C again ends")
        running.says("go on with it: openagents dev -c components.py")
        running.says(f"follow it again: openagents runs watch {run}")
        running.press(CTRL_C)
        assert running.end() == FORCED


def test_who_only_looks_on_leaves_the_run_alone(
    folder: Path, waiting: list[str]
) -> None:
    run = waiting[0]
    for columns, command in ((80, "watch"), (120, "output")):
        with live(folder, "runs", command, run, columns=columns) as following:
            following.says("openagents runs signal" if command == "watch" else "a word")
            following.press(CTRL_C)
            following.says(f"no longer following run {run}, which goes on without this")
            following.says(f"follow it again: openagents runs {command} {run}")
            assert following.end() == 130


def test_who_waits_for_many_runs_is_told_where_to_see_them(
    folder: Path, waiting: list[str]
) -> None:
    with Engine.embedded(folder / ".openagents", components=[], workers=0) as engine:
        for run in waiting:
            engine.pause(run)
    with live(folder, "runs", "resume", *waiting, "--wait", columns=120) as resuming:
        resuming.says("3 runs resumed")
        resuming.press(CTRL_C)
        resuming.says("no longer waiting; the runs go on without this command; Ctrl-C")
        look = shlex.split(resuming.says("(openagents runs list)")[1])[1:]
        assert resuming.end() == 130
    listed = openagents(*look, folder=folder).stdout
    assert all(run in listed for run in waiting)


def test_a_question_is_answered_by_ctrl_c_too(folder: Path, waiting: list[str]) -> None:
    with live(folder, "runs", "cancel", *waiting[:2]) as asking:
        asking.says(r"cancel 2 runs\? \[y/N\]:")
        asking.press(CTRL_C)
        asking.says("nothing was done")
        assert asking.end() == 130
    assert "cancel" not in openagents("runs", "show", waiting[0], folder=folder).stdout


def test_a_worker_says_how_long_its_steps_have(folder: Path) -> None:
    with live(folder, "worker", "-c", "components.py", columns=120) as working:
        working.says("working on agent, asset, tool")
        working.press(CTRL_C)
        working.says(r"stopping: steps that run have 10 s to end; Ctrl-C again gives")
        working.says("their runs go on when a worker is started again")
        assert working.end() == 0


MENDED = """
from pathlib import Path
from threading import Event

from openagents_json import tool


@tool("mended", effect="pure")
def mended() -> str:
    if Path("fails").exists():
        raise ValueError("not yet")
    if not Path("goes").exists():
        Event().wait()
    return "well"
"""


def test_a_heal_keeps_its_report_and_says_how_to_go_on_with_it(tmp_path: Path) -> None:
    (tmp_path / "mended.py").write_text(MENDED)
    document = {"id": "heals", "steps": [{"id": "a", "component": "mended"}]}
    (tmp_path / "heals.json").write_text(json.dumps(document))
    (tmp_path / "fails").touch()
    failed = openagents("run", "heals.json", "-c", "mended.py", folder=tmp_path)
    assert failed.returncode == 1
    (tmp_path / "fails").unlink()
    heal_it = ("runs", "heal", "--where", "workflow=heals", "-c", "mended.py")
    with live(tmp_path, *heal_it) as healing:
        healing.says("sandbox: ")
        healing.press(CTRL_C)
        # The component hangs in the sandbox: nobody waits for it.
        healing.says("stopping: what is healed stays so.*Ctrl-C again ends this")
        resume = healing.says(
            r"go on with it: openagents (runs heal --resume heal-\S+)"
        )
        if healing.process.poll() is None:
            healing.press(CTRL_C)
        assert healing.end() in (FORCED, 130)
    (tmp_path / "goes").touch()
    again = (*shlex.split(resume[1]), "-c", "mended.py")
    done = openagents(*again, folder=tmp_path)
    assert (done.returncode, "1 healed (1 completed" in done.stdout) == (0, True), done


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("doctor", "stopping: "),
        ("runs list", "stopping: nothing was changed"),
        ("runs archive 0-x --to archive", "stopping: what is done by now stays so"),
    ],
)
def test_who_waits_for_a_server_that_does_not_answer_is_answered(
    command: str, message: str, folder: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        with live(folder, *command.split(), "--url", url) as asking:
            connection, _ = silent.accept()
            asking.press(CTRL_C)
            asking.says(f"{message}.*Ctrl-C again ends this command at once")
            assert asking.end() == 130
            connection.close()
