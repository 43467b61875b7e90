"""Worker types in processes of their own: none delays another, and a step over its memory limit harms no other."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openagents_json.catalog.loader import load
from openagents_json.engine import Engine
from tests.acceptance.processes import COMPONENTS, openagents, worker
from tests.conftest import Server, wait_for

LIMITED = COMPONENTS.with_name("limited.py")
ONE_SERVER = pytest.mark.parametrize("server", ["valkey"], indirect=True)
"""What these tests are about happens in the workers, whatever their store is."""

MEMORY = "OPENAGENTS_WORKER_TYPES__TOOL__MEMORY_MB"


@pytest.fixture
def prefix(server: Server) -> str:
    return server.prefix()


@pytest.fixture
def engine(server: Server, prefix: str) -> Iterator[Engine]:
    registry = load([str(LIMITED)])
    with Engine.connect(
        server.url,
        broker=server.url,
        components=registry,
        prefix=prefix,
        partitions=2,
    ) as opened:
        yield opened
        assert opened.doctor() == []


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    begun: list[subprocess.Popen[str]] = []
    yield begun
    for process in begun:
        process.kill()
        process.wait()


def one(component: str, **step: Any) -> dict[str, Any]:
    return {"id": "w", "steps": [{"id": "a", "component": component, **step}]}


def kinds(engine: Engine, run: str) -> list[str]:
    return [event.type for event in engine.history(run)]


def process_of(engine: Engine, run: str) -> int:
    *_, started = [e for e in engine.history(run) if e.type == "StepStarted"]
    return int(str(started.worker).split(":")[1])


@ONE_SERVER
def test_a_flood_of_slow_agent_steps_keeps_no_tool_step_waiting(
    engine: Engine,
    server: Server,
    prefix: str,
    processes: list[subprocess.Popen[str]],
    tmp_path: Path,
) -> None:
    marker = tmp_path / "marker"
    fleet = worker(
        server,
        prefix,
        components=LIMITED,
        more=("--type", "agent,tool", "--concurrency", "1"),
    )
    processes.append(fleet)
    flood = engine.start_many(
        [(one("sluggish.wait", inputs={"marker": str(marker)}), {})] * 8
    )
    wait_for(lambda: any("StepStarted" in kinds(engine, run) for run in flood))
    quick = engine.start_many([(one("brisk"), {}), (one("floating"), {})] * 4)
    assert all(engine.wait(run, timeout=60).ok for run in quick)
    # Every slot of the agents is taken, and nobody has let one of them go.
    assert {engine.state(run).status for run in flood} == {"running"}
    agents = {
        process_of(engine, run) for run in flood if "StepStarted" in kinds(engine, run)
    }
    tools = {process_of(engine, run) for run in quick}
    assert agents.isdisjoint(tools)
    marker.touch()
    assert all(engine.wait(run, timeout=60).ok for run in flood)
    fleet.send_signal(signal.SIGTERM)
    assert fleet.wait(60) == 0


@ONE_SERVER
def test_a_step_over_its_memory_limit_fails_alone_and_its_process_is_replaced(
    engine: Engine,
    server: Server,
    prefix: str,
    processes: list[subprocess.Popen[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(MEMORY, "400")
    monkeypatch.setenv("OPENAGENTS_WORKER_TYPES__TOOL__POOL", "prefork")
    retry = {"max_retries": 1, "delay_seconds": 0}
    greedy = one("greedy", inputs={"megabytes": 600}, retry=retry)
    gulping = one("gulping", inputs={"megabytes": 4000})
    beside = [one("brisk"), one("floating"), one("careful")] * 3
    # More than the limit, if one process had to keep all of it.
    hoarding = one("hoarding", foreach=[90] * 6, inputs={"megabytes": "{{item}}"})
    hoarding["steps"][0]["max_concurrency"] = 1
    processes.append(
        worker(
            server,
            prefix,
            components=LIMITED,
            more=("--type", "tool", "--concurrency", "1"),
        )
    )
    runs = engine.start_many([(d, {}) for d in [*beside, greedy, gulping, *beside]])
    ended = [engine.wait(run, timeout=120) for run in runs]
    neighbours = [*runs[:9], *runs[11:]]
    again, refused = runs[9], runs[10]
    assert [x.status for x in ended] == [
        *["completed"] * 10,
        "failed",
        *["completed"] * 9,
    ]
    failure = next(e for e in engine.history(again) if e.type == "StepFailed")
    assert failure.data["error"]["type"] == "MemoryLimitExceeded"
    assert failure.data["usage"] == {"m": {"cost_nanos": 10**9}}
    assert ended[10].error is not None
    assert ended[10].error["type"] == "MemoryLimitExceeded"
    assert "StepLeaseLost" not in kinds(engine, again) + kinds(engine, refused)
    for run in neighbours:
        assert kinds(engine, run).count("StepStarted") == 1
        assert {"StepFailed", "StepLeaseLost"}.isdisjoint(kinds(engine, run))
    workers = {e.worker for e in engine.history(again) if e.type == "StepStarted"}
    assert len(workers) == 2
    kept = engine.run(hoarding, timeout=60)
    assert kept.ok, kept.error
    assert kinds(engine, kept.id).count("StepStarted") == 6


@ONE_SERVER
def test_a_type_without_a_process_gets_one_for_a_step_that_a_timer_makes_ready(
    engine: Engine,
    server: Server,
    prefix: str,
    processes: list[subprocess.Popen[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAGENTS_WORKER_TYPES__TOOL__MIN_PROCESSES", "0")
    document = {
        "id": "later",
        "steps": [
            {"id": "nap", "sleep": 0.1},
            {"id": "work", "component": "brisk", "depends_on": ["nap"]},
        ],
    }
    more = ("--type", "tool", "--concurrency", "1")
    fleet = worker(server, prefix, components=LIMITED, more=more)
    processes.append(fleet)
    assert engine.run(document, timeout=120).ok
    fleet.send_signal(signal.SIGTERM)
    assert fleet.wait(120) == 0


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_a_pool_whose_steps_share_a_process_refuses_a_memory_limit(
    server: Server, monkeypatch: pytest.MonkeyPatch, pool: str
) -> None:
    monkeypatch.setenv(MEMORY, "400")
    path = ["--url", server.url, "--prefix", server.prefix(), "-c", str(LIMITED)]
    done = openagents("worker", "--pool", pool, *path)
    assert done.returncode == 2
    assert f"cannot be held by the pool '{pool}'" in done.stderr
    assert done.stderr.count("\n") <= 2


def test_one_of_two_ways_to_say_what_is_served_is_enough() -> None:
    done = openagents("worker", "--type", "tool", "--queues", "tool")
    assert done.returncode == 2
    assert "give one" in done.stderr
