"""Worker processes: pools, and ending in good order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from openagents_json.catalog.loader import load
from openagents_json.engine import Engine
from tests.acceptance.processes import COMPONENTS, openagents, worker
from tests.conftest import Server, wait_for

LIVELY = COMPONENTS.with_name("lively.py")
TYPED = COMPONENTS.with_name("typed.py")
Begin = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def begin(server: Server) -> Iterator[tuple[Engine, Begin]]:
    """Start worker processes on a store of their own; they end with the test, and the store is in order then."""
    prefix, running = server.prefix(), []

    def start(*more: str, lease_ms: int = 1500) -> subprocess.Popen[str]:
        running.append(
            worker(
                server,
                prefix,
                more=("-c", str(LIVELY), "--lease-ms", str(lease_ms), *more),
            )
        )
        return running[-1]

    registry = load([str(COMPONENTS), str(LIVELY)])
    with Engine.connect(
        server.url, broker=server.url, components=registry, prefix=prefix, partitions=2
    ) as engine:
        yield engine, start
        for process in running:
            if process.poll() is None:
                process.kill()
            process.wait()
        assert engine.doctor() == []


def one(component: str, **step: Any) -> dict[str, Any]:
    return {"id": "w", "steps": [{"id": "a", "component": component, **step}]}


def test_prefork_runs_steps_of_both_kinds_and_ends_on_a_signal(
    begin: tuple[Engine, Begin],
) -> None:
    engine, start = begin
    process = start("--pool", "prefork", "--concurrency", "2")
    runs = engine.start_many(
        [(one("quick"), {}), (one("waits"), {}), (one("slow"), {})] * 5
    )
    assert [engine.wait(run, timeout=120).status for run in runs] == ["completed"] * 15
    workers = {
        event.worker
        for run in runs
        for event in engine.history(run)
        if event.type == "StepStarted"
    }
    assert str(process.pid) not in {str(name).split(":")[1] for name in workers}
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0


def test_prefork_gets_rid_of_a_component_that_does_not_stop(
    begin: tuple[Engine, Begin],
) -> None:
    engine, start = begin
    start("--pool", "prefork", "--concurrency", "1")
    stuck = engine.run(
        one("stubborn", inputs={"seconds": 600}, timeout=0.5), timeout=120
    )
    assert stuck.error is not None
    assert stuck.error["type"] == "TimeoutError"
    assert engine.run(one("quick"), timeout=120).ok


def test_children_end_when_their_main_process_is_killed(
    begin: tuple[Engine, Begin],
) -> None:
    engine, start = begin
    process = start("--pool", "prefork", "--concurrency", "1")
    run = engine.start(one("key"))
    assert engine.wait(run, timeout=120).ok
    child = next(
        int(str(e.worker).split(":")[1])
        for e in engine.history(run)
        if e.type == "StepStarted"
    )
    process.kill()
    process.wait()
    wait_for(lambda: gone(child))


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_told_to_stop_as_soon_as_it_is_there_ends_in_good_order(
    begin: tuple[Engine, Begin], told: signal.Signals
) -> None:
    engine, start = begin
    run = engine.start(one("stubborn", inputs={"seconds": 0.5}))
    process = start("--name", "first", lease_ms=600_000)
    wait_for(lambda: any(each_worker.alive for each_worker in engine.views.workers()))
    process.send_signal(told)
    assert process.wait(120) == 0
    start("--name", "second", lease_ms=600_000)
    assert engine.wait(run, timeout=120).ok


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_worker_told_to_stop_gives_a_long_step_to_another_at_once(
    begin: tuple[Engine, Begin], pool: str
) -> None:
    engine, start = begin
    first = start(
        "--pool", pool, "--grace-seconds", "0.5", "--name", "first", lease_ms=600_000
    )
    run = engine.start(one("stubborn", inputs={"seconds": 6}))
    wait_for(lambda: any(event.type == "StepStarted" for event in engine.history(run)))
    start("--name", "second", lease_ms=600_000)
    first.send_signal(signal.SIGTERM)
    assert engine.wait(run, timeout=120).ok
    assert first.wait(120) == 0
    started = [
        str(event.worker).partition(":")[0]
        for event in engine.history(run)
        if event.type == "StepStarted"
    ]
    assert started == ["first", "second"]
    assert "StepLeaseLost" not in [event.type for event in engine.history(run)]


def kinds(engine: Engine, run: str) -> list[str]:
    return [event.type for event in engine.history(run)]


@pytest.mark.parametrize(
    ("pool", "signals"),
    [
        ("prefork", ["SIGTERM"]),
        ("prefork", ["SIGQUIT"]),
        ("prefork", ["SIGHUP"]),
        ("prefork", ["SIGINT", "SIGINT"]),
        ("threads", ["SIGQUIT"]),
        ("threads", ["SIGINT", "SIGINT"]),
    ],
    ids=str,
)
def test_whatever_signal_all_processes_of_a_worker_get_a_step_is_given_back(
    begin: tuple[Engine, Begin],
    server: Server,
    pool: str,
    signals: list[str],
    tmp_path: Path,
) -> None:
    """A service manager and a terminal send their signals to every process of the group."""
    engine, start = begin
    marker, grace = tmp_path / "marker", "60" if len(signals) > 1 else "0.2"
    first = start(
        "--pool", pool, "--grace-seconds", grace, "--name", "first", lease_ms=600_000
    )
    run = engine.start(one("hangs_once", inputs={"marker": str(marker)}))
    wait_for(marker.exists, 60)
    start("--name", "second", lease_ms=600_000)
    log = server.directory / "worker.log"
    before = log.read_text().count("stopping: steps that run")
    os.killpg(first.pid, getattr(signal, signals[0]))
    # Two that are sent at once are one.
    wait_for(lambda: log.read_text().count("stopping: steps that run") > before)
    for name in signals[1:]:
        os.killpg(first.pid, getattr(signal, name))
    assert engine.wait(run, timeout=120).ok
    assert first.wait(120) == 0
    assert {"StepFailed", "StepLeaseLost"}.isdisjoint(kinds(engine, run))
    assert "StepReleased" in kinds(engine, run)


@pytest.mark.parametrize(
    ("pool", "name"),
    [("threads", "SIGQUIT"), ("prefork", "SIGTERM"), ("prefork", "SIGINT")],
)
def test_what_ends_within_the_grace_is_recorded_by_the_worker_that_ran_it(
    begin: tuple[Engine, Begin], pool: str, name: str, tmp_path: Path
) -> None:
    engine, start = begin
    notes = tmp_path / "notes"
    first = start("--pool", pool, "--grace-seconds", "60", lease_ms=600_000)
    run = engine.start(one("noted", inputs={"ms": 800, "notes": str(notes)}))
    wait_for(notes.exists, 60)
    os.killpg(first.pid, getattr(signal, name))
    assert first.wait(60) == 0
    assert engine.state(run).status == "completed"
    assert kinds(engine, run).count("StepStarted") == 1


def test_the_steps_of_a_killed_worker_go_to_others_when_the_leases_of_their_types_are_over(
    server: Server,
) -> None:
    prefix, registry = server.prefix(), load([str(TYPED)])
    options: dict[str, Any] = {
        "prefix": prefix,
        "components": registry,
        "partitions": 2,
    }
    with Engine.connect(server.url, broker=server.url, **options) as engine:
        process = worker(
            server,
            prefix,
            components=TYPED,
            more=("--name", "first", "--leases", "brief=500ms,lengthy=600s"),
        )
        short, long = engine.start(one("brief")), engine.start(one("lengthy"))
        wait_for(
            lambda: all(
                "StepStarted" in [x.type for x in engine.history(run)]
                for run in (short, long)
            )
        )
        process.kill()
        process.wait()
        with Engine.connect(
            server.url, workers=2, leases={"brief": 500, "lengthy": 600_000}, **options
        ):
            assert engine.wait(short, timeout=60).ok
            events = [event.type for event in engine.history(long)]
            assert (events.count("StepStarted"), "StepLeaseLost" in events) == (
                1,
                False,
            )
            assert [event.type for event in engine.history(short)].count(
                "StepLeaseLost"
            ) == 1
            assert engine.doctor() == []
            engine.cancel(long, force=True)
            assert engine.wait(long, timeout=60).status == "cancelled"


def test_a_lease_for_a_type_that_nobody_serves_is_told_of(server: Server) -> None:
    prefix = server.prefix()
    process = worker(server, prefix, more=("--leases", "tol=60s", "--name", "one"))
    where = ("--url", server.url, "--prefix", prefix)

    def names() -> list[str]:
        printed = openagents("doctor", *where, "--json").stdout
        return list(json.loads(printed)["workers"]) if printed else []

    wait_for(lambda: bool(names()))
    assert [name.partition(":")[0] for name in names()] == ["one"]
    process.terminate()
    assert process.wait(120) == 0
    hint = "'tol' is held here, it is not served; did you mean 'tool'?"
    assert hint in worker_log(server)


def worker_log(server: Server) -> str:
    return (server.directory / "worker.log").read_text()


def test_a_worker_is_paused_and_drained_from_elsewhere_and_no_step_is_lost_or_repeated(
    begin: tuple[Engine, Begin], server: Server
) -> None:
    engine, start = begin
    engine.control.pause(worker_type="tool", reason="not yet")
    process = start("--concurrency", "2", lease_ms=60_000)

    def told() -> list[Any]:
        return [info.get("told") for info in engine.workers().values()]

    wait_for(lambda: told() == [{"paused": ["tool"]}])
    longest = engine.start(one("obedient", inputs={"seconds": 6}))
    engine.control.resume(worker_type="tool")
    wait_for(lambda: "StepStarted" in kinds(engine, longest))
    runs = engine.start_many([(one("slow"), {}), (one("waits"), {})] * 4)
    wait_for(lambda: any(engine.status(run) == "completed" for run in runs))
    [name] = engine.workers()
    # Workers of other tests have written into the same log.
    stopped_before = worker_log(server).count("stopping")
    [order] = engine.control.drain(worker_type="tool", reason="it moves")
    wait_for(lambda: worker_log(server).count("stopping") > stopped_before)
    # Whoever moves it tells it by a signal, too: the step that runs has its grace all the same.
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0
    assert engine.workers() == {}
    assert engine.status(longest) == "completed"
    assert (order.target, order.reason) == (f"worker:{name}", "it moves")
    assert [x.what for x in engine.control.log()] == ["drain", "pause", "pause"]
    start("--concurrency", "4", lease_ms=60_000)
    assert [engine.wait(run, timeout=120).status for run in runs] == ["completed"] * 8
    for run in runs:
        types = [event.type for event in engine.history(run)]
        assert types.count("StepCompleted") == 1
        assert types.count("StepStarted") - types.count("StepReleased") == 1
