"""Runs that use the whole language at once, while workers, server and broker are killed or wiped."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from openagents_json.catalog.loader import load
from openagents_json.engine import Engine
from tests.acceptance.processes import COMPONENTS, wait_until_working, worker
from tests.acceptance.workers.test_chaos import Fleet
from tests.conftest import Server, serving, wait_for

CHILD: dict[str, Any] = {
    "id": "kid",
    "steps": [
        {"id": "a", "component": "quick", "inputs": {"n": "{{input.n}}"}},
        {"id": "nap", "sleep": 0.05},
        {
            "id": "b",
            "component": "quick",
            "inputs": {"n": "{{a.output}}"},
            "mutex": "kids",
        },
    ],
    "output": "{{b.output}}",
}
EVERYTHING: dict[str, Any] = {
    "id": "everything",
    "concurrency": {"key": "all", "limit": 40},
    "steps": [
        {
            "id": "each",
            "component": "quick",
            "foreach": [1, 2, 3, 4],
            "inputs": {"n": "{{item}}"},
            "max_concurrency": 2,
        },
        {
            "id": "again",
            "loop": {
                "until": "{{more.output >= 3}}",
                "max_iterations": 9,
                "steps": [
                    {
                        "id": "more",
                        "component": "quick",
                        "inputs": {"n": "{{previous or 0}}"},
                    }
                ],
            },
        },
        {
            "id": "kids",
            "workflow": "kid",
            "foreach": [1, 2],
            "inputs": {"n": "{{item}}"},
        },
        {"id": "go", "wait_for": {"signal": "go", "key": "{{input.n}}"}},
        {
            "id": "booked",
            "component": "flaky",
            "retry": {"max_retries": 9, "delay_seconds": 0.02},
            "rate_limit": {"key": "book", "limit": 500},
            "compensate": {"component": "quick", "inputs": {"n": "{{input.n}}"}},
        },
        {"id": "slow", "component": "slow", "inputs": {"ms": 20}},
        {
            "id": "end",
            "terminate": {"status": "failure"},
            "condition": "{{input.n % 4 == 0}}",
        },
        {"id": "last", "component": "quick", "inputs": {"n": "{{kids.output[1]}}"}},
    ],
    "output": {
        "each": "{{each.output}}",
        "again": "{{again.output}}",
        "last": "{{last.output}}",
    },
    "on_failure": {"component": "quick", "inputs": {"n": "{{input.n}}"}},
}
BATCHED: dict[str, Any] = {
    "id": "batched",
    "persistence": {"mode": "checkpoint", "every_steps": 5},
    "steps": [
        *({"id": f"s{i}", "component": "quick", "inputs": {"n": i}} for i in range(12)),
        {"id": "slow", "component": "slow", "inputs": {"ms": 20}},
    ],
    "output": "{{s11.output}}",
}


@pytest.fixture
def broker() -> Iterator[Server]:
    with serving("valkey") as started:
        yield started


def strike(
    round_: int, fleet: Fleet, chance: random.Random, store: Server, broker: Server
) -> None:
    """Kill or wipe something."""
    if round_ % 3 == 0:
        fleet.kill_one(chance)
    elif round_ % 3 == 1:
        store.kill()
        store.start()
    else:
        broker.connect().command(b"FLUSHALL")


def begin(engine: Engine, numbers: range) -> dict[str, tuple[str, Any]]:
    """Start runs of each kind, with the signals that they wait for."""
    expected: dict[str, tuple[str, Any]] = {}
    for n in numbers:
        run = engine.start(EVERYTHING, {"n": n}, idempotency_key=f"run-{n}")
        engine.signal(run, "go", n, key=str(n), idempotency_key="go")
        output = {"each": [2, 3, 4, 5], "again": 3, "last": 5}
        expected[run] = ("failed", None) if n % 4 == 0 else ("completed", output)
        expected[engine.start(BATCHED, idempotency_key=f"batch-{n}")] = (
            "completed",
            12,
        )
    return expected


def check_histories(engine: Engine, runs: dict[str, tuple[str, Any]]) -> None:
    """Nothing happened twice that happens once."""
    for run, (status, _) in runs.items():
        history = engine.history(run)
        once = Counter(
            (e.type, e.step)
            for e in history
            if e.type in ("ChildStarted", "ChildClosed", "TimerFired")
        )
        assert set(once.values()) <= {1}, (run, once)
        assert sum(e.type == "SignalReceived" for e in history) <= 1
        undone = [
            e.step
            for e in history
            if e.type == "StepCompleted" and (e.step or "").endswith("~compensate")
        ]
        assert undone == (["booked~compensate"] if status == "failed" else [])


@pytest.mark.slow
def test_runs_that_use_everything_survive_kills(
    private_server: Server, broker: Server
) -> None:
    chance, prefix = random.Random(11), private_server.prefix()
    components = load([str(COMPONENTS)])
    with Engine.connect(
        private_server.url,
        broker=broker.url,
        components=components,
        prefix=prefix,
        partitions=8,
    ) as engine:
        engine.publish(CHILD)
        fleet = Fleet(private_server, broker, prefix)
        expected: dict[str, tuple[str, Any]] = {}
        pause = threading.Event()
        try:
            for round_ in range(9):
                expected |= begin(engine, range(round_ * 6, round_ * 6 + 6))
                pause.wait(0.2 + 0.6 * chance.random())
                strike(round_, fleet, chance, private_server, broker)
            # what a server that died within a second of an answer has forgotten is asked for again, by its key
            expected = begin(engine, range(54))
            for run, (status, output) in expected.items():
                result = engine.wait(run, timeout=120)
                assert (result.status, result.output) == (status, output), result.error
            wait_for(
                lambda: (
                    not [
                        r
                        for r in engine.runs(limit=1000)
                        if r.status not in ("completed", "failed")
                    ]
                ),
                60,
            )
        finally:
            fleet.stop()
        assert engine.doctor() == []
        assert [
            drift
            for name in ("runs", "steps", "workers")
            for drift in engine.views.verify(name)
        ] == []
        check_histories(engine, expected)


def test_a_worker_that_dies_repeats_the_steps_since_the_last_checkpoint_and_no_others(
    server: Server,
) -> None:
    prefix = server.prefix()
    steps: list[dict[str, Any]] = [
        {
            "id": f"s{i}",
            "component": "noted",
            "inputs": {"n": i, "notes": "{{input.notes}}"},
        }
        for i in range(12)
    ]
    steps[9] = {
        "id": "s9",
        "component": "noted",
        "inputs": {"n": 9, "ms": 60_000, "notes": "{{input.notes}}"},
    }
    spec = {"mode": "checkpoint", "every_steps": 4, "every_seconds": 600}
    with Engine.connect(
        server.url, broker=server.url, components=load([str(COMPONENTS)]), prefix=prefix
    ) as engine:
        notes = server.directory / f"notes-{prefix}"
        run = engine.start(
            {"id": "kill", "persistence": spec, "steps": steps}, {"notes": str(notes)}
        )
        first = worker(server, prefix, more=("--name", "one"))
        try:
            wait_for(lambda: notes.exists() and "9" in notes.read_text().split())
        finally:
            first.kill()
            first.wait()
        engine.cancel(run, force=True)
        done = notes.read_text().split()
        assert done == [str(i) for i in range(10)]
        stored = [e.step for e in engine.history(run) if e.type == "StepCompleted"]
    assert stored == [f"s{i}" for i in range(8)]


def test_at_most_once_is_not_started_again_when_its_worker_dies(server: Server) -> None:
    prefix = server.prefix()
    step = {
        "id": "charge",
        "component": "noted",
        "inputs": {"n": 1, "ms": 60_000, "notes": "{{input.notes}}"},
        "effect": "at_most_once",
    }
    with Engine.connect(
        server.url, broker=server.url, components=load([str(COMPONENTS)]), prefix=prefix
    ) as engine:
        notes = server.directory / f"notes-{prefix}"
        run = engine.start({"id": "once", "steps": [step]}, {"notes": str(notes)})
        first = worker(server, prefix)
        wait_for(notes.exists)
        first.kill()
        first.wait()
        second = worker(server, prefix)
        try:
            result = engine.wait(run, timeout=120)
            wait_until_working(engine, second)
        finally:
            second.terminate()
            assert second.wait(120) == 0
        assert result.error is not None
        assert result.error["type"] == "UnknownOutcome"
        assert notes.read_text().split() == ["1"]


def test_of_a_killed_worker_only_what_no_checkpoint_had_stored_runs_again(
    server: Server,
) -> None:
    prefix = server.prefix()
    inner: list[dict[str, Any]] = [
        {
            "id": f"s{i}",
            "component": "noted",
            "inputs": {"n": f"{{{{item * 10 + {i}}}}}", "notes": "{{input.notes}}"},
        }
        for i in range(4)
    ]
    inner[2]["inputs"]["ms"] = "{{ input.ms if item == 5 else 0 }}"
    each = {"id": "each", "foreach": "{{input.items}}", "steps": inner}
    document = {"id": "kill", "persistence": "checkpoint", "steps": [each]}
    with Engine.connect(
        server.url, broker=server.url, components=load([str(COMPONENTS)]), prefix=prefix
    ) as engine:
        notes = server.directory / f"notes-{prefix}"
        run = engine.start(
            document, {"notes": str(notes), "ms": 2000, "items": list(range(1, 11))}
        )
        first = worker(server, prefix, more=("--name", "one", "--lease-ms", "2000"))
        try:
            wait_for(lambda: notes.exists() and "52" in notes.read_text().split())
        finally:
            first.kill()
            first.wait()
        stored = {e.step for e in engine.history(run) if e.type == "StepCompleted"}
        begun = notes.read_text().split()
        second = worker(server, prefix, more=("--name", "two"))
        try:
            assert engine.wait(run, timeout=60).ok
        finally:
            second.terminate()
            second.wait()
        assert engine.doctor() == []
    done = notes.read_text().split()
    twice = {
        f"each[{int(n) // 10 - 1}].s{int(n) % 10}" for n in done if done.count(n) > 1
    }
    assert len(begun) == len(set(begun))
    assert "each[4].s0" in twice
    assert not twice & stored
    assert set(done) == {f"{i}{j}" for i in range(1, 11) for j in range(4)}
