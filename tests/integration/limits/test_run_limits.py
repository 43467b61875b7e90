"""Limits of how many runs of a workflow there are at a time."""

from __future__ import annotations

from functools import partial

import pytest

from executor.coordination.schedule_times import Schedule
from openagents_json.engine import ConcurrencyLimitReached, Engine
from tests.conftest import wait_for
from tests.integration.limits.room import due_members, limited


def is_over(engine: Engine, time_ms: int) -> bool:
    return engine.schedules._schedules.now_ms() > time_ms


def is_running(engine: Engine, run: str) -> bool:
    return engine.state(run).status == "running"


def test_runs_over_the_limit_wait_for_their_turn(engines: list[Engine]) -> None:
    engine = engines[0]
    runs = [engine.start(limited("queue"), {"k": "a"}) for _ in range(4)]
    other = engine.start(limited("queue"), {"k": "b"})
    assert [engine.state(run).status for run in [*runs, other]] == [
        "running",
        "running",
        "queued",
        "queued",
        "running",
    ]
    for position, run in enumerate(runs):
        wait_for(partial(is_running, engine, run))
        assert sum(engine.state(x).status == "running" for x in runs) <= 2, position
        engine.signal(run, "go")
        assert engine.wait(run, timeout=120).ok
    engine.cancel(other)


def test_runs_over_the_limit_are_rejected(engines: list[Engine]) -> None:
    runs = [engines[0].start(limited("reject"), {"k": "a"}) for _ in range(2)]
    with pytest.raises(ConcurrencyLimitReached, match="2 runs with the key 'a'"):
        engines[1].start(limited("reject"), {"k": "a"})
    engines[0].signal(runs[0], "go")
    wait_for(lambda: engines[0].state(runs[0]).status == "completed")
    wait_for(lambda: engines[0].doctor() == [])
    wait_for(lambda: "u|" + runs[0] not in due_members(engines[0]))
    assert (
        engines[1].state(engines[1].start(limited("reject"), {"k": "a"})).status
        == "running"
    )


def test_the_oldest_is_cancelled_for_a_newer_one(engines: list[Engine]) -> None:
    runs = [engines[0].start(limited("cancel_oldest"), {"k": "a"}) for _ in range(3)]
    wait_for(lambda: engines[0].state(runs[2]).status == "running")
    assert [engines[0].state(run).status for run in runs] == [
        "cancelled",
        "running",
        "running",
    ]


def test_of_many_starts_the_last_one_begins(engines: list[Engine]) -> None:
    document = {
        "id": "debounced",
        "debounce": {"key": "{{input.k}}", "seconds": 0.4},
        "steps": [{"id": "a", "component": "now"}],
    }
    runs = [engines[i % 2].start(document, {"k": "doc-7", "n": i}) for i in range(5)]
    assert engines[0].wait(runs[-1], timeout=120).ok
    assert [engines[0].wait(run, timeout=120).status for run in runs[:-1]] == [
        "cancelled"
    ] * 4
    begun = [
        e
        for e in engines[0].history(runs[-1])
        if e.type in ("RunQueued", "RunAdmitted")
    ]
    assert begun[1].time_ms - begun[0].time_ms >= 400


DEBOUNCED = {
    "id": "settle",
    "debounce": {"key": "all", "seconds": 0.4},
    "steps": [{"id": "a", "component": "now"}],
}


def test_debounce_holds_whoever_starts_the_run(engines: list[Engine]) -> None:
    engine = engines[0]
    engine.publish(DEBOUNCED)
    engine.schedules.create(
        Schedule("often", "settle", every_seconds=3600, overlap="allow")
    )
    hour = 3_600_000
    anchor = engine.schedules.get("often")[1].anchor_ms
    fired = engine.schedules.backfill(
        "often", anchor - 3 * hour + 1, anchor, actor="test"
    )
    parent = engine.start(
        {
            "id": "parent",
            "steps": [
                {"id": "kid", "workflow": "settle", "on_error": [{"then": "continue"}]}
            ],
        }
    )
    wait_for(lambda: bool(engine.state(parent).children))
    child = engine.state(parent).children["kid"]
    wait_for(lambda: any(run.id == child for run in engine.runs()))
    last = engine.start(DEBOUNCED)
    ends = [engine.wait(run, timeout=120).status for run in (*fired, child, last)]
    assert ends == ["cancelled", "cancelled", "cancelled", "completed"]
    assert engine.wait(parent, timeout=120).status == "completed"


def test_the_newest_start_begins_also_when_its_starter_died_before_it_said_so(
    engines: list[Engine],
) -> None:
    engine = engines[0]
    first = engine.start(DEBOUNCED)
    start = engine._start_of(DEBOUNCED, {}, None, None)
    [handled] = engine.core.handler.beginnings.start_each([start], actor="dies")
    assert not isinstance(handled, Exception)
    assert engine.wait(start.run, timeout=120).ok
    assert engine.wait(first, timeout=120).status in (
        "completed",
        "cancelled",
    )  # who knew of the newer one in time?
    late = [engine._start_of(DEBOUNCED, {}, None, None) for _ in range(2)]
    for one in late:
        [handled] = engine.core.handler.beginnings.start_each([one], actor="dies")
        assert not isinstance(handled, Exception)
        wait_for(partial(is_over, engine, handled.time_ms))
    engine.core.gatekeeper.arrive(engine.core.sessions.load(late[1].run), actor="test")
    assert [engine.wait(one.run, timeout=120).status for one in late] == [
        "cancelled",
        "completed",
    ]
