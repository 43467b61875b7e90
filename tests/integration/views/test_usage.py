"""Usage on a real store: recorded however attempts end, summed up once, and limited by budgets."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from openagents_json import Context, tool
from openagents_json.engine import Engine, InvalidArgument
from openagents_json.testing import replay
from openagents_json.workflow.errors import Rejected
from projections.errors import InvalidQuery
from tests.conftest import Server, wait_for

SILENT_MAY_END = threading.Event()
OVERDUE_GOES_ON = threading.Event()


@tool("spend")
def spend(
    context: Context, cost: Any = 1, model: str = "m", fails: bool = False
) -> Any:
    context.usage(model=model, input_tokens=10, output_tokens=5, cost=cost)
    if fails:
        raise ValueError("paid, and failed")
    return cost


@tool("spend_async")
async def spend_async(context: Context, seconds: float = 0.0) -> None:
    context.usage(model="async", cost="0.5")
    await asyncio.sleep(seconds)


@tool("silent")
def silent(context: Context) -> None:
    """Use something, say nothing for too long, and use something more."""
    context.usage(model="silent", cost=1)
    assert context.token.wait(60)
    context.usage(model="silent", cost=2)
    SILENT_MAY_END.set()


@tool("overdue")
def overdue(context: Context) -> None:
    """Use something, go on for longer than it may, and use something more."""
    context.usage(model="late", cost=1)
    assert OVERDUE_GOES_ON.wait(60)
    context.usage(model="late", cost=2)


@tool("free")
def free() -> None:
    """Use nothing."""


def step(name: str, cost: Any = "1", **more: Any) -> dict[str, Any]:
    inputs = {"cost": cost} | more.pop("inputs", {})
    return {"id": name, "component": "spend", "inputs": inputs, **more}


def steps(*specs: dict[str, Any], **document: Any) -> dict[str, Any]:
    return {"id": "w", "steps": [*specs], **document}


@pytest.fixture
def engine(server: Server) -> Iterator[Engine]:
    components = [spend, spend_async, silent, overdue, free]
    with Engine.connect(
        server.url,
        prefix=server.prefix(),
        components=components,
        partitions=2,
        workers=2,
    ) as opened:
        yield opened
        assert opened.doctor() == []
        assert opened.views.verify("usage") == []


def sums(engine: Engine, **by: Any) -> dict[str, tuple[int, int, int, str]]:
    return {
        row.name: (row.attempts, row.input_tokens, row.output_tokens, row.cost)
        for row in engine.usage(**by)
    }


def test_usage_is_summed_up_by_workflow_step_model_and_label(engine: Engine) -> None:
    retry = {"max_retries": 1, "delay_seconds": 0}
    failing = step("b", "0.25", inputs={"fails": True, "model": "n"}, retry=retry)
    failing["on_error"] = [{"then": "continue"}]
    each = step("e", "{{item}}", foreach=["0.1", "0.2"])
    document = steps(step("a", 0.1), failing, each, {"id": "f", "component": "free"})
    run = engine.start(document, labels={"team": "x", "env": "t"})
    assert engine.wait(run, timeout=60).ok
    other = steps({"id": "a", "component": "spend_async"}, id="other")
    assert engine.run(other, labels={"team": "y"}, timeout=60).ok
    assert engine.run(steps({"id": "f", "component": "free"}, id="free"), timeout=60).ok
    assert sums(engine) == {"w": (5, 50, 25, "0.9"), "other": (1, 0, 0, "0.5")}
    assert sums(engine, by="step", workflow="w") == {
        "w/a": (1, 10, 5, "0.1"),
        "w/b": (2, 20, 10, "0.5"),
        "w/e": (2, 20, 10, "0.3"),
    }
    assert sums(engine, by="model") == {
        "m": (3, 30, 15, "0.4"),
        "n": (2, 20, 10, "0.5"),
        "async": (1, 0, 0, "0.5"),
    }
    assert sums(engine, by="label") == {
        "team=x": (5, 50, 25, "0.9"),
        "env=t": (5, 50, 25, "0.9"),
        "team=y": (1, 0, 0, "0.5"),
    }
    with pytest.raises(InvalidQuery, match="by 'colour'"):
        engine.usage(by="colour")
    assert engine.state(run).usage == {
        "input_tokens": 50,
        "output_tokens": 25,
        "cost": "0.9",
    }
    rows = {row.path: row.usage for row in engine.overview(run).steps}
    assert rows["b"] == {"input_tokens": 20, "output_tokens": 10, "cost": "0.5"}
    assert (rows["e[1]"] or {})["cost"] == "0.2"
    assert rows["f"] is None


def test_a_component_that_does_not_answer_has_spent_what_it_reported(
    engine: Engine,
) -> None:
    """What it used until then stands with the attempt that timed out, the rest with its late outcome; nothing twice."""
    quiet: dict[str, Any] = {
        "id": "a",
        "component": "silent",
        "timeouts": {"heartbeat": 0.2},
    }
    quiet["on_error"] = [{"then": "continue"}]
    late = {"id": "g", "wait_for": {"signal": "go"}}
    run = engine.start(steps(quiet, late))
    assert SILENT_MAY_END.wait(60)
    wait_for(lambda: "StepOutcomeIgnored" in [x.type for x in engine.history(run)])
    by_type = {
        x.type: x.data["usage"] for x in engine.history(run) if "usage" in x.data
    }
    assert by_type == {
        "StepTimedOut": {"silent": {"cost_nanos": 10**9}},
        "StepOutcomeIgnored": {"silent": {"cost_nanos": 2 * 10**9}},
    }
    assert sums(engine)["w"] == (2, 0, 0, "3")
    engine.signal(run, "go")
    assert engine.wait(run, timeout=60).ok


def test_what_is_told_of_an_attempt_that_was_timed_out_already_is_kept(
    engine: Engine,
) -> None:
    OVERDUE_GOES_ON.clear()
    slow = {"id": "a", "component": "overdue", "timeout": 0.3}
    slow["on_error"] = [{"then": "continue"}]
    run = engine.start(steps(slow, {"id": "g", "wait_for": {"signal": "go"}}))
    worker = engine._worker
    assert worker is not None
    wait_for(lambda: "StepTimedOut" in [x.type for x in engine.history(run)])
    [held] = worker.runtime.keeper._held
    job = worker.runtime.keeper._held[held].job
    # The heartbeat of the worker finds it late as well, and then it ends by itself.
    worker._late(job, "start_to_close", 300)
    OVERDUE_GOES_ON.set()
    wait_for(lambda: not worker.runtime.keeper._held)
    wait_for(lambda: sums(engine)["w"] == (2, 0, 0, "3"))
    ignored = [x for x in engine.history(run) if x.type == "StepOutcomeIgnored"]
    assert [x.data["outcome"] for x in ignored] == ["Expired", "Expired"]
    engine.signal(run, "go")
    assert engine.wait(run, timeout=60).ok


def test_what_a_worker_gives_back_when_it_stops_has_been_spent(server: Server) -> None:
    has_begun, may_end = threading.Event(), threading.Event()

    @tool("deaf", effect="idempotent")
    def deaf(context: Context) -> None:
        context.usage(model="deaf", cost=1)
        has_begun.set()
        may_end.wait(60)  # and not for the word that it should stop

    store: Any = {"url": server.url, "prefix": server.prefix(), "components": [deaf]}
    with Engine.connect(**store, workers=0) as watching:
        with Engine.connect(**store, workers=1) as working:
            run = working.start(steps({"id": "a", "component": "deaf"}))
            assert has_begun.wait(60)
            working.close(grace_seconds=0)
        released = next(x for x in watching.history(run) if x.type == "StepReleased")
        assert released.data["usage"] == {"deaf": {"cost_nanos": 10**9}}
        may_end.set()


def test_time_limits_forks_retries_and_children_are_counted_once(
    engine: Engine,
) -> None:
    slow = {"id": "s", "component": "spend_async", "inputs": {"seconds": 60}}
    timed = steps({**slow, "timeout": 0.2}, id="timed")
    assert not engine.run(timed, timeout=60).ok
    assert sums(engine)["timed"] == (1, 0, 0, "0.5")
    engine.publish(steps(step("x", 2), id="child"))
    parent = steps({"id": "k", "workflow": "child"}, step("p", 1), id="parent")
    run = engine.start(parent)
    assert engine.wait(run, timeout=60).ok
    assert sums(engine)["parent"] == (1, 10, 5, "1")
    assert sums(engine)["child"] == (1, 10, 5, "2")
    assert engine.state(run).usage["cost"] == "3"
    assert ({r.path: r.usage for r in engine.overview(run).steps}["k"] or {}) == {
        "input_tokens": 10,
        "output_tokens": 5,
        "cost": "2",
    }
    engine.retry(run, step="p")
    assert engine.wait(run, timeout=60).ok
    assert engine.state(run).usage["cost"] == "4"
    assert sums(engine)["parent"] == (2, 20, 10, "2")
    closed = next(x.version for x in engine.history(run) if x.type == "ChildClosed")
    fork = engine.replay.fork(run, closed + 1)
    assert engine.wait(fork, timeout=60).ok
    assert engine.state(fork).usage["cost"] == "1"
    assert sums(engine)["parent"] == (3, 30, 15, "3")
    assert sums(engine)["child"] == (1, 10, 5, "2")
    history = [{"type": x.type, "data": x.data} for x in engine.history(run)]
    assert replay(parent, history) is None


def test_a_budget_of_a_start_ends_a_run_or_lets_a_person_decide(
    engine: Engine,
) -> None:
    document = steps(*(step(f"s{n}") for n in range(4)), budget={"cost": 10})
    failed = engine.run(document, budget={"cost": "1.5"}, timeout=60)
    assert (failed.error or {})["type"] == "BudgetExceeded"
    run = engine.start(document, budget={"cost": 1, "on_exceeded": "pause"})
    wait_for(lambda: engine.state(run).status == "paused")
    assert "cost 2 of 1" in engine.state(run).reason
    engine.resume(run)
    assert engine.wait(run, timeout=60).ok
    asking = engine.start(document, budget={"cost": 1, "on_exceeded": "ask"})
    wait_for(lambda: engine.state(asking).status == "paused")
    with pytest.raises(Rejected):
        engine.signal(asking, "budget", {"approve": "perhaps"})
    engine.signal(asking, "budget", {"approve": True}, idempotency_key="k")
    assert engine.wait(asking, timeout=60).ok
    for wrong in ({"cost": "dear"}, {"euro": 1}, {"on_exceeded": "stop"}):
        with pytest.raises(InvalidArgument, match="the budget"):
            engine.start(document, budget=wrong)


def test_steps_in_batches_are_paid_for_once(engine: Engine) -> None:
    for mode in ("checkpoint", "outcome"):
        document = steps(step("a"), step("b"), step("c"), id=mode, persistence=mode)
        assert engine.run(document, timeout=60).ok
        assert sums(engine)[mode] == (3, 30, 15, "3")


def test_erased_labels_are_in_no_sum(engine: Engine) -> None:
    run = engine.start(steps(step("a")), labels={"customer": "ada"})
    assert engine.wait(run, timeout=60).ok
    assert sums(engine, by="label") == {"customer=ada": (1, 10, 5, "1")}
    engine.redact(run, labels=True)
    assert sums(engine, by="label") == {"(none)": (1, 10, 5, "1")}
    assert sums(engine) == {"w": (1, 10, 5, "1")}
