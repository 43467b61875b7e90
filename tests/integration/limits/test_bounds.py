"""How large runs and requests may grow: what would go beyond is refused, and a run at its bound ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from executor.coordination.schedule_times import Schedule
from executor.coordination.starts import SLICE
from executor.errors import PayloadOverLimit, TooManyStarts
from executor.runs.codec import Limits
from openagents_json import Context, tool
from openagents_json.engine import Engine, from_environment
from openagents_json.workflow.core.bounds import Bounds
from openagents_json.workflow.errors import Rejected
from openagents_json.workflow.history.conformance import first_difference
from tests.conftest import Server, wait_for

Open = Callable[..., Engine]
LOOP = {
    "max_iterations": 1000,
    "while": "true",
    "steps": [{"id": "a", "component": "echo", "inputs": {"n": 1}}],
}
CHILD = {
    "id": "child",
    "steps": [{"id": "a", "component": "echo", "inputs": {"n": "{{input.n}}"}}],
    "output": 1,
}


@pytest.fixture
def opened(server: Server) -> Iterator[Open]:
    prefix = server.prefix()
    with ExitStack() as stack:

        def connect(
            workers: int = 2, components: list[Any] | None = None, **bounds: int
        ) -> Engine:
            starts = bounds.pop("starts", 100)
            limits = Limits(bounds=Bounds(**bounds), starts=starts)
            engine = Engine.connect(
                server.url,
                prefix=prefix,
                workers=workers,
                components=components or [],
                partitions=1,
                limits=limits,
                lease_ms=3000,
            )
            return stack.enter_context(engine)

        yield connect


def fits(engine: Engine, run: str) -> None:
    """Check that a replay leads to the history that a bound has ended, and that the store is in order."""
    session = engine.core.sessions.load(run)
    happened = engine.core.sessions.payloads.decode(engine.replay.recorded(run))
    assert first_difference(session.plan, happened) is None
    wait_for(lambda: engine.doctor() == [])


@pytest.mark.parametrize("persistence", ["step", "checkpoint", "outcome"])
def test_a_run_at_its_bound_of_events_fails_and_says_why(
    opened: Open, persistence: str
) -> None:
    engine = opened(events=100)
    run = engine.run(
        {
            "id": "w",
            "persistence": persistence,
            "steps": [{"id": "each", "loop": LOOP}],
        },
        timeout=60,
    )
    assert (run.status, (run.error or {})["type"]) == ("failed", "EventLimit")
    assert "limit of 100 events" in (run.error or {})["message"]
    assert "OPENAGENTS_MAX_EVENTS" in (run.error or {})["message"]
    events = engine.history(run.id)
    assert events[-1].type == "RunFailed"
    assert len(events) <= 110
    if persistence != "outcome":
        fits(engine, run.id)
    if len(events) >= 100:
        with pytest.raises(Rejected, match="limit of 100 events"):
            engine.retry(run.id)
        with pytest.raises(Rejected, match="limit of 100 events"):
            engine.replay.fork(run.id, len(events))
        assert engine.replay.fork(run.id, 10)
        assert len(engine.history(run.id)) == len(events)


def test_a_larger_bound_lets_the_run_go_on(opened: Open) -> None:
    small = opened(events=100, workers=0)
    small.close()
    document = {
        "id": "w",
        "steps": [
            {
                "id": "each",
                "loop": {**LOOP, "max_iterations": 30, "while": "{{index < 30}}"},
            }
        ],
    }
    engine = opened(events=100)
    run = engine.run(document, timeout=60)
    assert (run.error or {})["type"] == "EventLimit"
    engine.close()
    larger = opened(events=10_000)
    larger.retry(run.id)
    assert larger.wait(run.id, timeout=60).ok


def test_what_is_under_way_is_withdrawn_and_what_was_done_is_undone(
    opened: Open,
) -> None:
    undone = list[int]()

    @tool("wait")
    def wait(context: Context) -> None:
        while not context.cancelled:
            context.token.wait(0.05)

    @tool("undo")
    def undo(n: int) -> None:
        undone.append(n)

    engine = opened(components=[wait, undo], workers=3, events=100)
    document = {
        "id": "w",
        "execution": "graph",
        "steps": [
            {
                "id": "done",
                "component": "echo",
                "inputs": {"n": 1},
                "compensate": {"component": "undo", "inputs": {"n": "{{result.n}}"}},
            },
            {"id": "long", "component": "wait"},
            {"id": "each", "depends_on": ["done"], "loop": LOOP},
        ],
        "on_failure": [{"id": "note", "component": "echo", "inputs": {"n": 2}}],
    }
    run = engine.run(document, timeout=60)
    assert (run.error or {})["type"] == "EventLimit"
    assert undone == [1]
    assert engine.state(run.id).status == "failed"
    fits(engine, run.id)


def test_undoing_without_an_end_is_ended_too(opened: Open) -> None:
    engine = opened(events=100)
    document = {
        "id": "w",
        "steps": [
            {"id": "bad", "component": "fail", "inputs": {"message": "it broke"}}
        ],
        "on_failure": [{"id": "each", "loop": LOOP}],
    }
    run = engine.run(document, timeout=60)
    assert (run.status, (run.error or {})["type"]) == ("failed", "ComponentError")
    assert (
        "it broke; the run has reached its limit of 100 events"
        in (run.error or {})["message"]
    )
    assert len(engine.history(run.id)) <= 220
    wait_for(lambda: engine.doctor() == [])


def test_a_signal_that_is_one_too_many_ends_the_run(opened: Open) -> None:
    engine = opened(events=100, workers=0)
    run = engine.start(
        {
            "id": "w",
            "steps": [{"id": "a", "wait_for": {"signal": "go", "key": "never"}}],
        }
    )
    for number in range(200):
        if engine.state(run).status != "running":
            break
        engine.signal(run, "go", number, key="other")
    assert (engine.wait(run).error or {})["type"] == "EventLimit"
    assert engine.history(run)[-2].type in ("SignalReceived", "StepCancelled")
    fits(engine, run)


def test_a_run_starts_no_more_children_than_it_may(opened: Open) -> None:
    engine = opened(children=3)
    engine.publish(CHILD)
    document = {
        "id": "w",
        "steps": [
            {
                "id": "each",
                "foreach": [1, 2, 3, 4, 5],
                "tolerated_failures": 5,
                "workflow": "child",
                "inputs": {"n": "{{item}}"},
            }
        ],
        "output": "{{each.output}}",
    }
    run = engine.run(document, timeout=60)
    assert sorted(map(str, run.output)) == ["1", "1", "1", "None", "None"]
    failed = [step for step in engine.state(run.id).steps if step.status == "failed"]
    assert {(step.error or {})["type"] for step in failed} == {"ChildLimit"}
    assert "3 child runs" in str((failed[0].error or {})["message"])
    assert engine.views.runs().items[0].workflow in ("w", "child")
    assert (
        len([row for row in engine.views.runs().items if row.workflow == "child"]) == 3
    )
    fits(engine, run.id)


def test_a_child_is_not_tried_again_beyond_the_bound(opened: Open) -> None:
    engine = opened(children=2)
    engine.publish(
        {
            "id": "child",
            "steps": [{"id": "a", "component": "fail", "inputs": {"message": "no"}}],
        }
    )
    retry = {"max_attempts": 5, "delay_seconds": 0}
    run = engine.run(
        {"id": "w", "steps": [{"id": "a", "workflow": "child", "retry": retry}]},
        timeout=60,
    )
    assert run.status == "failed"
    assert "it is not tried again" in (run.error or {})["message"]
    assert [event.type for event in engine.history(run.id)].count("ChildStarted") == 2


def test_items_of_nested_foreach_steps_are_counted_together(opened: Open) -> None:
    engine = opened(items=12)
    inner = {
        "id": "in",
        "foreach": "{{input.inner}}",
        "component": "echo",
        "inputs": {"n": "{{item}}"},
    }
    document: dict[str, Any] = {
        "id": "w",
        "steps": [{"id": "out", "foreach": "{{input.outer}}", "steps": [inner]}],
        "output": "{{out.output}}",
    }
    run = engine.run(document, {"outer": [1, 2, 3], "inner": [1, 2, 3, 4]}, timeout=60)
    assert run.ok
    run = engine.run(
        document, {"outer": [1, 2, 3], "inner": [1, 2, 3, 4, 5]}, timeout=60
    )
    assert (run.error or {})["type"] == "ItemLimit"
    assert (
        "15 items with those of the foreach around it, more than 12"
        in (run.error or {})["message"]
    )
    assert not [
        event for event in engine.history(run.id) if event.type == "StepStarted"
    ]
    fits(engine, run.id)


def test_one_request_starts_no_more_runs_than_it_may(opened: Open) -> None:
    engine = opened(workers=0, starts=3)
    assert len(engine.start_many([(CHILD, {"n": 1})] * 3)) == 3
    with pytest.raises(
        TooManyStarts, match="may start 3 runs, not 4; nothing was started"
    ):
        engine.start_many([(CHILD, {"n": 1})] * 4)
    engine.publish(CHILD)
    engine.schedules.create(
        Schedule("hourly", "child", every_seconds=3600, paused=True)
    )
    now = engine.core.clock.now_ms()
    with pytest.raises(TooManyStarts):
        engine.schedules.backfill("hourly", now - 10 * 3_600_000, now, actor="test")
    assert len(engine.runs()) == 3


def test_what_is_started_in_slices_has_its_results_in_order(opened: Open) -> None:
    engine, count = opened(workers=0, starts=2 * SLICE), SLICE + 3
    refused = [(CHILD, {"n": 1})] * SLICE + [(CHILD, {"n": "x" * 9_000_000})]
    with pytest.raises(PayloadOverLimit):
        engine.start_many(refused)
    assert engine.runs() == []
    keys = [
        f"k{n % (count - 1)}" for n in range(count)
    ]  # the last is the first again, from another slice
    runs = engine.start_many(
        [(CHILD, {"n": n % (count - 1)}) for n in range(count)], keys=keys
    )
    assert (runs[0], len(set(runs)), all(run.ok for run in runs)) == (
        runs[-1],
        count - 1,
        True,
    )
    assert [engine.state(runs[n]).inputs["n"] for n in (0, SLICE - 1, SLICE)] == [
        0,
        SLICE - 1,
        SLICE,
    ]


def test_each_bound_has_a_setting_and_a_generous_default() -> None:
    assert from_environment({}).limits == Limits()
    names = ("EVENTS", "CHILDREN", "ITEMS", "STARTS")
    chosen = from_environment(
        {f"OPENAGENTS_MAX_{name}": str(200 + i) for i, name in enumerate(names)}
    ).limits
    assert (chosen.bounds, chosen.starts) == (Bounds(200, 201, 202), 203)


def test_a_history_under_larger_bounds_than_the_default_ones_is_no_other_history(
    opened: Open,
) -> None:
    inner = {
        "id": "in",
        "foreach": "{{input.inner}}",
        "component": "echo",
        "inputs": {"n": "{{item}}"},
    }
    document: dict[str, Any] = {
        "id": "w",
        "steps": [{"id": "out", "foreach": "{{input.outer}}", "steps": [inner]}],
    }
    document["steps"][0]["max_concurrency"] = (
        1  # items are counted when the first of them begins
    )
    together = list(range(5000)), list(range(Bounds().items // 5000 + 1))
    engine = opened(items=1_000_000, workers=0)
    run = engine.start(document, dict(zip(("outer", "inner"), together, strict=True)))
    assert "out[0].in[0]" in [step.id for step in engine.state(run).steps]
    engine.cancel(run)
    fits(engine, run)
