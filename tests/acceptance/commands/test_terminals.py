"""Several terminals on one store, as a new user has them: `dev` in one, `run` in another; workers, and their bells."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from executor.celery.app import CeleryDoorbell, celery_queue, make_app
from openagents_json.catalog.loader import load
from openagents_json.engine import Engine
from tests.acceptance.processes import COMMAND, COMPONENTS, worker
from tests.conftest import Server, wait_for
from tests.fork_server import ForkedProcess, run_forked

GREETING: dict[str, Any] = {
    "id": "greeting",
    "steps": [{"id": "n", "component": "number"}],
    "output": "{{n.output}}",
}
MODULE = """
from openagents_json import tool

@tool("number")
def number() -> int:
    return 41
"""
OTHER = MODULE.replace("number", "other")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "components.py").write_text(MODULE)
    (tmp_path / "others.py").write_text(OTHER)
    (tmp_path / "workflow.json").write_text(json.dumps(GREETING))
    other = {
        "id": "other",
        "steps": [{"id": "o", "component": "other"}],
        "output": "{{o.output}}",
    }
    (tmp_path / "other.json").write_text(json.dumps(other))
    return tmp_path


@contextmanager
def process(
    folder: Path, *arguments: str, says: str
) -> Iterator[subprocess.Popen[str]]:
    """Have a process for the time of a block, from when it says something; then it is ended as at a terminal."""
    with ForkedProcess(
        [*COMMAND, *arguments], stderr=subprocess.PIPE, text=True, cwd=folder
    ) as running:
        try:
            assert running.stderr is not None
            assert any(says in line for line in running.stderr)
            yield running
        finally:
            running.send_signal(signal.SIGINT)
            assert running.wait(30) == 0


def call(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_forked(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=60, cwd=folder
    )


def test_dev_in_one_terminal_and_run_in_another(folder: Path) -> None:
    with process(folder, "dev", "--components", "components.py", says="working on"):
        done = call(folder, "run", "workflow.json")
        assert (done.returncode, json.loads(done.stdout)["output"]) == (0, 41)
        with_others = call(folder, "run", "other.json", "--components", "others.py")
        assert (with_others.returncode, json.loads(with_others.stdout)["output"]) == (
            0,
            41,
        )
        later = [
            call(folder, "run", "workflow.json", "--components", "others.py")
            for _ in range(2)
        ]
        assert [json.loads(x.stdout)["output"] for x in later] == [41, 41]
        history = call(
            folder, "runs", "history", json.loads(later[0].stdout)["id"], "--json"
        ).stdout
    assert "StepReleased" not in history
    assert '"worker": "dev:' in history


def test_run_without_components_works_on_nothing_and_says_what_is_missing(
    folder: Path,
) -> None:
    ready = {
        "id": "w",
        "steps": [{"id": "a", "component": "echo", "inputs": {"value": 1}}],
    }
    (folder / "ready.json").write_text(json.dumps(ready))
    alone = call(folder, "run", "ready.json", "--timeout", "1.5")
    assert alone.returncode != 0
    assert "no worker is alive" in alone.stderr
    with process(folder, "dev", "--components", "others.py", says="working on"):
        call(folder, "run", "other.json", "--components", "others.py")
        lacking = call(
            folder,
            "run",
            "workflow.json",
            "--components",
            "components.py",
            "--workers",
            "0",
            "--timeout",
            "2",
        )
        assert (
            "step n waits for the component number, which no live worker has"
            in lacking.stderr
        )
        doctor = call(folder, "doctor")
        assert doctor.returncode == 1
        assert (
            "1 step waits for the component number, which no live worker has"
            in doctor.stdout
        )


Begin = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def begin(server: Server) -> Iterator[tuple[str, Begin]]:
    prefix, running = server.prefix(), []

    def start(prefix: str, *more: str) -> subprocess.Popen[str]:
        running.append(worker(server, prefix, more=more))
        return running[-1]

    yield prefix, start
    for one in running:
        one.terminate()
        assert one.wait(30) == 0


def test_a_worker_serves_the_queues_that_are_named_and_no_others(
    server: Server, begin: tuple[str, Begin]
) -> None:
    prefix, start = begin
    with Engine.connect(
        server.url, prefix=prefix, components=load([str(COMPONENTS)]), partitions=2
    ) as engine:
        start(prefix, "--queues", "gpu")
        wait_for(lambda: bool(engine.core.directory.workers()))
        [info] = engine.core.directory.workers().values()
        assert info["queues"] == ["gpu"]
        run = engine.start({"id": "w", "steps": [{"id": "a", "component": "quick"}]})
        assert "which no live worker has, in queue tool" in "\n".join(
            engine.explain(run).lines()
        )
        start(prefix)
        assert engine.wait(run, timeout=30).ok


def bells(server: Server, prefix: str) -> int:
    """Count the doorbells that nobody has heard yet."""
    return int(server.connect().command(b"LLEN", celery_queue(prefix, "tool").encode()))


def test_workers_of_another_prefix_leave_doorbells_alone(
    server: Server, begin: tuple[str, Begin]
) -> None:
    prefix, start = begin
    start(prefix)
    other = server.prefix()
    CeleryDoorbell(make_app(server.url, other), other).ring("tool")
    with Engine.connect(
        server.url, prefix=prefix, components=load([str(COMPONENTS)]), partitions=2
    ) as engine:
        runs = engine.start_many(
            [({"id": "w", "steps": [{"id": "a", "component": "quick"}]}, {})] * 10
        )
        assert all(engine.wait(run, timeout=30).ok for run in runs)
    assert bells(server, other) == 1


@pytest.mark.parametrize(
    ("options", "heard"), [({}, 1), ({"broker": None}, 0), ({"broker": ""}, 0)]
)
def test_an_engine_rings_through_its_own_server_unless_it_is_told_otherwise(
    server: Server, options: dict[str, Any], heard: int
) -> None:
    prefix = server.prefix()
    with Engine.connect(
        server.url,
        prefix=prefix,
        components=load([str(COMPONENTS)]),
        partitions=2,
        **options,
    ) as engine:
        engine.start({"id": "w", "steps": [{"id": "a", "component": "quick"}]})
    assert bells(server, prefix) == heard
