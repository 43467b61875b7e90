"""A program may have modules with the names of our rooms: the engine finds its own, and says when one is in the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from openagents_json import rooms

SCRIPT = Path(sys.executable).with_name("openagents")
TASKS = """
from openagents_json import tool

@tool("hello", effect="pure")
def hello():
    return "hi"
"""
PROGRAM = """
from openagents_json.engine import Engine
from tasks import hello
with Engine.embedded("data", components=[hello]) as engine:
    print(engine.run({"id": "w", "steps": [{"id": "a", "component": "hello"}]}, timeout=30).status)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A program's folder with a module of each name, two of them as packages."""
    for name in ("cli", "executor"):
        (tmp_path / f"{name}.py").write_text(f"def own():\n    return 'own {name}'\n")
    for name in ("projections", "eventstore"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("def own():\n    return 1\n")
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "w.json").write_text(
        json.dumps({"id": "w", "steps": [{"id": "a", "component": "hello"}]})
    )
    return tmp_path


def started(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the folder, which stands first on the path."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder), rooms.HOME]),
    }
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_program_with_modules_of_these_names_runs(folder: Path) -> None:
    done = started(folder, sys.executable, "program.py")
    assert (done.returncode, done.stdout, done.stderr) == (0, "completed\n", "")


@pytest.mark.parametrize(
    "command", [[str(SCRIPT)], [sys.executable, "-m", "openagents_json"]]
)
def test_the_command_works_beside_modules_of_these_names(
    command: list[str], folder: Path
) -> None:
    done = started(folder, *command, "run", "w.json", "-c", "tasks.py", "--json")
    result = json.loads(done.stdout)
    assert (done.returncode, result["status"]) == (0, "completed")
    assert done.stderr == f"run {result['id']}\n"


def test_a_program_may_have_a_cli_of_its_own(folder: Path) -> None:
    (folder / "program.py").write_text(PROGRAM + "import cli\nprint(cli.own())\n")
    assert (
        started(folder, sys.executable, "program.py").stdout == "completed\nown cli\n"
    )


@pytest.mark.parametrize("room", ["eventstore", "projections", "executor"])
def test_a_module_that_was_there_first_is_named(room: str, folder: Path) -> None:
    (folder / "program.py").write_text(f"import {room}\n{PROGRAM}")
    done = started(folder, sys.executable, "program.py")
    says = done.stderr.splitlines()[-1]
    assert (done.returncode, done.stdout) == (1, "")
    assert says.startswith(f"ImportError: '{room}' is {folder / room}")
    assert says.endswith("give yours another name")


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("cli", "from cli import own"),
        ("executor", "import executor; executor.own()"),
        ("projections", "from projections.mine import own"),
        ("eventstore", "from eventstore import own"),
    ],
)
def test_components_that_mean_a_module_of_their_own_are_told_which_name_is_taken(
    room: str, line: str, folder: Path
) -> None:
    (folder / "tasks.py").write_text(f"{line}\n{TASKS}")
    done = started(folder, str(SCRIPT), "run", "w.json", "-c", "tasks.py")
    assert (done.returncode, done.stdout) == (1, "")
    [says] = done.stderr.splitlines()
    assert f"'{room}' is a package of openagents-json, so {folder / room}" in says
    assert "needs another name" in says


def test_nothing_but_the_rooms_is_found_in_another_way() -> None:
    finder = rooms.PackagesBeside(["executor"])
    assert finder.find_spec("json") is None
    assert finder.find_spec("executor.runs.handler", [rooms.HOME]) is None
    spec = finder.find_spec("executor")
    assert spec is not None
    assert spec.origin == str(Path(rooms.HOME) / "executor" / "__init__.py")
