"""Shells complete names of the store in use: with little, in three round trips, and silently when it is away."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from cli.completion.types import Completed
from cli.root import cli
from cli.run_ids import RunId
from openagents_json.engine import Engine, Schedule
from tests.acceptance.commands.test_terminal_safety import commands
from tests.acceptance.processes import COMMAND, openagents
from tests.conftest import Server, wait_for
from tests.integration.faults.proxy import StirringProxy

pytestmark = pytest.mark.one_worker
WORKFLOW = {"id": "greeting", "steps": [{"id": "wait", "wait_for": "go"}]}
ALLOWED = {"hiredis"}
"""What is imported of the drivers and libraries: what packs commands, and nothing that connects."""

PATIENT = """
import openagents_json.engine.inspection.completion as completion
completion.SECONDS = 60
from cli.main import main
"""
"""What completes without the deadline of whoever has pressed a key: what is proposed is not how soon."""

COUNT = f"""
import sys
{PATIENT}
try:
    main()
except SystemExit:
    pass
print(" ".join(sys.modules), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A store whose server runs, because this test uses it."""
    folder = tmp_path_factory.mktemp("completed")
    (folder / "report.json").write_text("{}")
    (folder / "report.yaml").write_text("{}")
    (folder / "parts.py").write_text("")
    (folder / "nested").mkdir()
    with Engine.embedded(folder / "data", components=[], workers=0) as opened:
        opened.publish({**WORKFLOW, "version": "1.2.0"}, alias="stable")
        opened.core.directory.publish({"fetch@1.0.0": {}, "fetch@2.0.0": {}})
        opened.schedules.create(Schedule("nightly", "greeting", every_seconds=3600))
        yield opened


def folder_of(engine: Engine) -> Path:
    return Path(engine.url.removeprefix("unix://")).parents[1]


def proposals(
    *words: str, folder: Path, beginning: str = "", program: str = f"{PATIENT}main()"
) -> list[str]:
    """Return what would be proposed for the last word, as the shell's script asks for it."""
    done = asked(*words, folder=folder, beginning=beginning, program=program)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    return [line.partition(",")[2] for line in lines if line]


def asked(
    *words: str,
    folder: Path,
    beginning: str = "",
    shell: str = "bash",
    program: str = f"{PATIENT}main()",
) -> subprocess.CompletedProcess[str]:
    line = ["openagents", *words, beginning]
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).resolve().parents[3]),
            "COMP_WORDS": " ".join(line),
            "COMP_CWORD": beginning if shell == "fish" else str(len(line) - 1),
            "_OPENAGENTS_COMPLETE": f"{shell}_complete",
        },
    )


def test_names_of_the_store_are_proposed(engine: Engine) -> None:
    folder = folder_of(engine)
    first = engine.start(WORKFLOW)
    started_ms = engine.core.store.now_ms()
    wait_for(lambda: engine.core.store.now_ms() > started_ms)  # so that one is later
    latest = engine.start(WORKFLOW)
    where = ("--data", "data")
    runs = proposals("runs", "show", *where, folder=folder)
    assert [run for run in runs if run in (first, latest)] == [
        row.id for row in engine.runs() if row.id in (first, latest)
    ]
    some = proposals("runs", "cancel", *where, folder=folder, beginning=first[:6])
    assert first in some
    assert all(run.startswith(first[:6]) for run in some)
    assert proposals("schedules", "pause", *where, folder=folder) == ["nightly"]
    published = proposals("run", *where, folder=folder, beginning="gr")
    assert published == ["greeting", "greeting@1.2.0", "greeting@stable"]
    documents = proposals("run", *where, folder=folder, beginning="rep")
    assert documents == ["report.json", "report.yaml"]
    files = proposals("run", *where, "-c", folder=folder)
    assert files == ["data/", "nested/", "parts.py", *documents]
    assert proposals("components", "stats", *where, folder=folder) == ["fetch"]
    by_workflow = ("runs", "list", *where, "--workflow")
    assert proposals(*by_workflow, folder=folder) == ["greeting"]
    for shell in ("zsh", "fish"):
        told = asked("runs", "show", *where, folder=folder, shell=shell).stdout
        assert latest in told
        assert "greeting running" in told


def test_profiles_are_proposed_and_say_which_store_is_asked(engine: Engine) -> None:
    folder = folder_of(engine)
    data = json.dumps(str(folder / "data"))
    toml = f"[profiles.here]\ndata = {data}\n[profiles.heaven]\nprefix = 'x'\n"
    (folder / "nested" / "openagents.toml").write_text(toml)
    below = folder / "nested"
    offered = proposals("runs", "list", "--profile", folder=below)
    assert offered == ["here", "heaven"]
    by_profile = ("schedules", "show", "--profile")
    assert proposals(*by_profile, "here", folder=below) == ["nightly"]
    assert proposals(*by_profile, "heaven", folder=below) == []


def test_completion_takes_few_modules_and_three_round_trips(
    engine: Engine, tmp_path: Path
) -> None:
    from tests.architecture.test_start import heavy

    engine.start(WORKFLOW)
    proxy = StirringProxy(Path(engine.url.removeprefix("unix://")), tmp_path / "s")
    try:
        for words, trips in ((("runs", "show"), 3), (("schedules", "show"), 2)):
            proxy.requests = 0
            done = asked(*words, "--url", proxy.url, folder=tmp_path, program=COUNT)
            modules = set(done.stderr.split())
            assert done.stdout
            assert proxy.requests == trips
            assert heavy(modules) <= ALLOWED
            assert len(modules) <= 260
    finally:
        proxy.close()


def test_a_store_that_does_not_answer_proposes_nothing_and_nothing_is_started(
    tmp_path: Path,
) -> None:
    assert proposals("runs", "show", folder=tmp_path) == []
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "w.json").write_text(json.dumps(WORKFLOW))
    started = openagents("run", "w.json", "--detach", folder=tmp_path)
    assert started.returncode == 0, started.stderr
    with socket.create_server(("127.0.0.1", 0)) as silent:
        away = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        shown = ("runs", "show", "--url", away)
        assert proposals(*shown, folder=tmp_path, program=COMMAND[2]) == []
    for url in ("redis://127.0.0.1:1", "redis://a:word@127.0.0.1:1", "http://x", "@no"):
        assert proposals("schedules", "show", "--url", url, folder=tmp_path) == []
    (tmp_path / "openagents.toml").write_text("[profiles\n")
    assert proposals("runs", "show", folder=tmp_path) == []


def test_an_embedded_store_that_nobody_uses_is_left_alone(tmp_path: Path) -> None:
    with Engine.embedded(tmp_path / "data", components=[], workers=0) as opened:
        opened.start(WORKFLOW)
    running = tmp_path / "data" / "server.json"
    wait_for(lambda: not running.exists())
    assert proposals("runs", "show", "--data", "data", folder=tmp_path) == []
    assert not running.exists()


@pytest.mark.parametrize("server", ["valkey"], indirect=True)
def test_a_server_of_its_own_is_asked_in_the_store_of_the_prefix(
    server: Server, tmp_path: Path
) -> None:
    prefix = server.prefix()
    with Engine.connect(server.url, prefix=prefix, components=[]) as engine:
        run = engine.start(WORKFLOW)
    there = ("runs", "show", "--url", server.url, "--prefix")
    assert proposals(*there, prefix, folder=tmp_path) == [run]
    assert proposals(*there, f"{prefix}-other", folder=tmp_path) == []


def test_every_argument_that_names_something_of_the_store_is_completed() -> None:
    names = {"run", "runs", "one", "other"}
    for path, command in commands():
        arguments = [p for p in command.params if isinstance(p, click.Argument)]
        for argument in arguments:
            if argument.name in names and path[-1] != "import":
                kind = Completed if path[0] == "workflows" else RunId
                assert isinstance(argument.type, kind), path
            is_new = path == ("schedules", "create")
            if path[0] == "schedules" and argument.name == "name" and not is_new:
                assert isinstance(argument.type, Completed), path


def test_bash_completes_a_command_by_its_script(tmp_path: Path) -> None:
    script = """
eval "$(openagents completion bash)"
COMP_WORDS=(openagents runs ret) COMP_CWORD=2
_openagents_completion openagents
echo "${COMPREPLY[@]}"
complete -p openagents
"""
    folder = str(Path(sys.executable).parent)
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
        timeout=60,
    )
    assert done.stderr == ""
    proposed, bound = done.stdout.splitlines()
    assert (proposed, "_openagents_completion" in bound) == ("retry", True)


def test_scripts_of_all_shells_are_printed() -> None:
    for shell in ("bash", "zsh", "fish"):
        assert "_OPENAGENTS_COMPLETE" in openagents("completion", shell).stdout
    assert isinstance(ShellComplete(cli, {}, "openagents", "_X"), ShellComplete)
