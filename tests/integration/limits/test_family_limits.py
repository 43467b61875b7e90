"""Limits that parents and children share: none waits for a place that its own parent has, or cancels it for one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from executor.errors import RunNotFound
from openagents_json import Registry
from openagents_json.engine import Engine, Settings
from openagents_json.engine.diagnosis.deadlocks import stuck_runs
from openagents_json.engine.diagnosis.doctor import diagnose
from tests.conftest import Server, wait_for


class Doors:
    """A component that waits at a door, and counts who is inside."""

    def __init__(self) -> None:
        self.registry, self.open = Registry(), threading.Event()
        self.inside, self.most, self.lock = 0, 0, threading.Lock()

        @self.registry.tool("pass", effect="idempotent")
        def enter(n: int = 0) -> int:
            with self.lock:
                self.inside += 1
                self.most = max(self.most, self.inside)
            assert self.open.wait(20)
            with self.lock:
                self.inside -= 1
            return n


@pytest.fixture
def doors() -> Doors:
    return Doors()


@pytest.fixture
def engine(server: Server, doors: Doors) -> Iterator[Engine]:
    with Engine.connect(
        server.url,
        prefix=server.prefix(),
        components=doors.registry,
        workers=4,
        partitions=2,
    ) as opened:
        yield opened


def limited(
    name: str, policy: str, *steps: dict[str, Any], limit: int = 1, key: str = "k"
) -> dict[str, Any]:
    concurrency = {"key": key, "limit": limit, "on_limit": policy}
    return {
        "id": name,
        "concurrency": concurrency,
        "steps": list(steps),
        "execution": "graph",
    }


def status(engine: Engine, run: str) -> str:
    try:
        return engine.state(run).status
    except RunNotFound:
        return ""


LEAF = {"id": "in", "component": "pass", "inputs": {"n": 1}}


@pytest.mark.parametrize("policy", ["queue", "reject", "cancel_oldest"])
def test_a_child_and_a_grandchild_run_under_the_place_of_their_parent(
    engine: Engine, doors: Doors, policy: str
) -> None:
    doors.open.set()
    engine.publish(limited("leaf", policy, LEAF))
    engine.publish({"id": "between", "steps": [{"id": "call", "workflow": "leaf"}]})
    top = limited(
        "top",
        policy,
        {"id": "call", "workflow": "between"},
        {"id": "beside", "workflow": "leaf"},
    )
    assert engine.run(top, timeout=120).output == {
        "call": {"call": {"in": 1}},
        "beside": {"in": 1},
    }
    assert engine.doctor() == []


@pytest.mark.parametrize("policy", ["queue", "reject", "cancel_oldest"])
def test_a_workflow_that_calls_itself_ends(
    engine: Engine, doors: Doors, policy: str
) -> None:
    doors.open.set()
    again = {
        "id": "again",
        "workflow": "down",
        "inputs": {"n": "{{input.n - 1}}"},
        "condition": "{{input.n > 0}}",
    }
    document = limited("down", policy, again, LEAF) | {
        "output": "{{in.output + (again.output or 0)}}"
    }
    assert engine.run(document, {"n": 3}, timeout=120).output == 4


def test_others_wait_for_the_place_until_the_whole_family_has_ended(
    engine: Engine, doors: Doors
) -> None:
    engine.publish(limited("leaf", "queue", LEAF))
    top = limited("top", "queue", {"id": "call", "workflow": "leaf"})
    first, second = engine.start(top), engine.start(top)
    wait_for(lambda: doors.inside == 1)
    assert engine.state(second).status == "queued"
    doors.open.set()
    assert [engine.wait(run, timeout=120).ok for run in (first, second)] == [True, True]
    assert doors.most == 1


@pytest.mark.parametrize("policy", ["queue", "cancel_oldest"])
def test_a_detached_child_is_counted_and_waits_until_its_parent_has_ended(
    engine: Engine, doors: Doors, policy: str
) -> None:
    engine.publish(limited("leaf", policy, LEAF))
    run = engine.start(
        limited(
            "top", policy, {"id": "call", "workflow": "leaf", "detached": True}, LEAF
        )
    )
    wait_for(lambda: doors.inside == 1)
    child = next(
        event.data["child"]
        for event in engine.history(run)
        if event.type == "ChildStarted"
    )
    wait_for(lambda: status(engine, child) != "")
    assert engine.state(child).status == "queued"
    doors.open.set()
    assert engine.wait(run, timeout=120).ok
    assert engine.wait(child, timeout=120).ok
    assert doors.most == 1


def test_the_child_of_a_parent_that_is_opened_again_begins_though_the_place_is_taken(
    engine: Engine, doors: Doors
) -> None:
    doors.open.set()
    engine.publish(limited("leaf", "queue", LEAF))
    top = limited("top", "queue", {"id": "call", "workflow": "leaf"})
    run = engine.run(top, timeout=120).id
    doors.open.clear()
    engine.start(limited("other", "queue", LEAF))
    wait_for(lambda: doors.inside == 1)
    engine.retry(run, step="call")
    wait_for(lambda: doors.inside == 2)
    doors.open.set()
    assert engine.wait(run, timeout=120).ok


def crossing(name: str, other: str) -> dict[str, Any]:
    """A workflow that calls another one when it is told to, with a place in its hand."""
    asked: dict[str, Any] = {"condition": "{{input.top}}"}
    steps = [
        {"id": "go", "wait_for": "go", **asked},
        {"id": "call", "workflow": other, "depends_on": ["go"], **asked},
    ]
    return limited(name, "queue", *steps, key=name) | {
        "inputs": {"top": {"type": "boolean", "default": False}}
    }


def test_runs_that_wait_for_each_other_are_named_by_the_doctor_until_one_is_cancelled(
    engine: Engine,
) -> None:
    engine.publish(
        limited("b", "queue", {"id": "nothing", "sleep": 0}) | {"version": "0.1.0"}
    )
    engine.publish(crossing("a", "b@*"))
    engine.publish(crossing("b", "a"))
    runs = [engine.start(name, {"top": True}) for name in ("a", "b")]
    wait_for(
        lambda: all(
            "go" in engine.core.sessions.load(run).state.open_steps for run in runs
        )
    )
    assert list(stuck_runs(engine)) == []
    for run in runs:
        engine.signal(run, "go")
    wait_for(lambda: list(stuck_runs(engine)) != [])
    [finding] = [
        each for each in diagnose(engine, Settings()).findings if each.code == "circle"
    ]
    assert (finding.level, all(run in finding.what for run in runs)) == ("error", True)
    cancelled = finding.remedy.partition("openagents runs cancel ")[2].partition(")")[0]
    [other] = [run for run in runs if run != cancelled]
    engine.cancel(cancelled)
    assert engine.wait(other, timeout=120).ok
    assert list(stuck_runs(engine)) == []
