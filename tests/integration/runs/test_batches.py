"""Selective persistence under others: batches of several workers in one run, and what happens to the run meanwhile."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from openagents_json.catalog.registry import Registry
from openagents_json.components.context import Context
from openagents_json.engine import Engine
from tests.conftest import Server, wait_for

ITEMS, LONG = 20, 5


class Counted:
    """Components that count their calls; `hold` makes one of them wait until it is let go."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.registry = Registry()

        def count(context: Context) -> int:
            return self.count(context)

        def hold(context: Context) -> int:
            return self.hold(context)

        self.registry.tool("count", effect="idempotent")(count)
        self.registry.tool("hold", effect="idempotent")(hold)

    def count(self, context: Context) -> int:
        with self.lock:
            self.calls[context.step_id] += 1
        return self.calls[context.step_id]

    def hold(self, context: Context) -> int:
        first = self.count(context) == 1
        self.reached.set()
        if first:
            assert self.go_on.wait(20)
        return 1


@pytest.fixture
def counted() -> Counted:
    return Counted()


@pytest.fixture
def engine(server: Server, counted: Counted) -> Iterator[Engine]:
    with Engine.connect(
        server.url,
        prefix=server.prefix(),
        components=counted.registry,
        workers=8,
        partitions=1,
    ) as opened:
        yield opened


def block(mode: str) -> dict[str, Any]:
    steps = [{"id": f"s{i}", "component": "count"} for i in range(LONG)]
    return {
        "id": "w",
        "persistence": mode,
        "steps": [{"id": "each", "foreach": list(range(ITEMS)), "steps": steps}],
    }


def commits(engine: Engine, run: str) -> int:
    return len({event.commit for event in engine.history(run)})


@pytest.mark.parametrize("mode", ["checkpoint", "outcome"])
def test_batches_of_many_workers_in_one_run_repeat_no_step(
    engine: Engine, counted: Counted, mode: str
) -> None:
    run = engine.run(block(mode), timeout=60)
    assert run.ok
    assert sum(counted.calls.values()) == ITEMS * LONG
    assert set(counted.calls.values()) == {1}
    assert engine.doctor() == []


@pytest.mark.parametrize("mode", ["checkpoint", "outcome"])
def test_batches_beside_each_other_save_commits(engine: Engine, mode: str) -> None:
    counts = []
    for each in ("step", mode):
        document = block(each)
        document["steps"][0]["max_concurrency"] = 2
        counts.append(commits(engine, engine.run(document, timeout=60).id))
    assert counts[1] < counts[0] / 1.5


def test_parallel_chains_have_fences_of_their_own_that_rise(
    engine: Engine, counted: Counted
) -> None:
    edges = {"a2": ["a1"], "b2": ["b1"], "a3": ["a2"], "b3": ["b2"]}
    steps: list[dict[str, Any]] = [
        {"id": name, "component": "count"} for name in ("a1", "b1")
    ]
    steps += [
        {"id": name, "component": "count", "depends_on": source}
        for name, source in edges.items()
    ]
    for _ in range(20):
        run = engine.run(
            {
                "id": "w",
                "persistence": "checkpoint",
                "execution": "graph",
                "steps": steps,
            },
            timeout=20,
        )
        fences = [
            int(e.data["fence"])
            for e in engine.history(run.id)
            if e.type == "StepStarted"
        ]
        assert fences == sorted(set(fences))
    assert engine.doctor() == []
    assert set(counted.calls.values()) == {20}


def held(mode: str) -> dict[str, Any]:
    names = ["count", "count", "hold", "count"]
    return {
        "id": "w",
        "persistence": mode,
        "steps": [{"id": f"s{i}", "component": n} for i, n in enumerate(names)],
    }


@pytest.mark.parametrize("mode", ["checkpoint", "outcome"])
def test_a_signal_that_comes_in_the_midst_of_a_batch_costs_no_step(
    engine: Engine, counted: Counted, mode: str
) -> None:
    document = held(mode)
    document["steps"].append({"id": "told", "wait_for": {"signal": "go"}})
    run = engine.start(document)
    assert counted.reached.wait(20)
    engine.signal(run, "go", 7)
    counted.go_on.set()
    assert engine.wait(run, timeout=120).output == {"told": 7}
    assert set(counted.calls.values()) == {1}
    assert engine.doctor() == []


def test_a_pause_in_the_midst_of_a_batch_keeps_the_first_step_and_the_others_are_done_again(
    engine: Engine, counted: Counted
) -> None:
    run = engine.start(held("checkpoint"))
    assert counted.reached.wait(20)
    engine.pause(run)
    counted.go_on.set()
    wait_for(lambda: any(e.type == "StepCompleted" for e in engine.history(run)))
    assert [e.step for e in engine.history(run) if e.type == "StepCompleted"] == ["s0"]
    engine.resume(run)
    assert engine.wait(run, timeout=120).ok
    assert counted.calls == {"s0": 1, "s1": 2, "s2": 2, "s3": 2}
    assert engine.doctor() == []
