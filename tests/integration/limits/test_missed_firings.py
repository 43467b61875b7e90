"""Firings that were missed or are asked for later: made up for in slices, and by hand."""

from __future__ import annotations

import pytest

from eventstore.redis.driver.scripts import PlainCall
from executor.coordination.schedule_times import (
    Schedule,
)
from executor.coordination.schedules import SLICE, ScheduleService
from openagents_json import Registry
from openagents_json.engine import ConcurrencyLimitReached, Engine
from openagents_json.workflow.times import moment_of
from tests.conftest import Server, wait_for
from tests.integration.limits.timetable import Clock, fired, schedule


def test_what_was_missed_is_made_up_for_within_the_limit(
    engine: Engine, clock: Clock, table: ScheduleService
) -> None:
    table.create(schedule(catchup_seconds=150))
    clock.now += 10 * 60_000
    table.fire("nightly", actor="test")
    assert fired(engine) == [f"2030-01-01T00:{minute:02d}:00Z" for minute in (8, 9, 10)]
    assert table.get("nightly")[1].missed == 7


def test_backfill_starts_what_was_not_started(
    engine: Engine, clock: Clock, table: ScheduleService
) -> None:
    table.create(schedule())
    clock.now += 60_000
    table.fire("nightly", actor="test")
    start = moment_of("2029-12-31T23:58:00Z")
    for _ in range(2):
        runs = table.backfill("nightly", start, clock.now + 1, actor="test")
    assert len(runs) == 4
    assert fired(engine) == [f"2029-12-31T23:{m}:00Z" for m in (58, 59)] + [
        f"2030-01-01T00:0{m}:00Z" for m in (0, 1)
    ]


def test_what_was_missed_is_made_up_for_in_slices(
    engine: Engine, clock: Clock, table: ScheduleService
) -> None:
    table.create(schedule())
    clock.now += 50 * 60_000
    table.fire("nightly", actor="test")
    assert table.get("nightly")[1].started == SLICE
    store = engine.core.store
    [members] = [
        store.call(
            [
                PlainCall(
                    (
                        b"ZSCORE",
                        store.keys.due(store.keys.partition_of("nightly")),
                        b"s|nightly",
                    )
                )
            ]
        )
    ]
    assert float(members[0]) <= clock.now  # the relay comes back for the rest
    for _ in range(2):
        table.fire("nightly", actor="test")
    assert table.get("nightly")[1].started == 50
    assert len(set(fired(engine))) == 50


def test_a_queue_of_short_runs_catches_up(server: Server) -> None:
    registry, prefix = Registry(), server.prefix()
    registry.tool("now")(lambda: 1)
    with Engine.connect(
        server.url, prefix=prefix, components=registry, workers=1, partitions=2
    ) as engine:
        engine.publish({"id": "tick", "steps": [{"id": "s", "component": "now"}]})
        engine.schedules.create(
            Schedule("busy", "tick", every_seconds=1, overlap="queue", paused=True)
        )
        stored = engine.schedules._stored("busy")
        late = {
            **stored.state,
            "next_ms": stored.state["anchor_ms"] - 60_000,
            "anchor_ms": stored.state["anchor_ms"] - 90_000,
        }
        now = engine.schedules._schedules.now_ms()
        engine.schedules._schedules.put(
            "busy", stored.revision, {**stored.spec, "paused": False}, late, now
        )
        wait_for(lambda: engine.schedules.get("busy")[1].started >= 60, 60)
        wait_for(lambda: len(engine.schedules.get("busy")[1].waiting) <= 1)


def test_a_backfill_says_of_each_firing_what_became_of_it(
    engine: Engine, clock: Clock, table: ScheduleService
) -> None:
    engine.publish(
        {
            "id": "one",
            "concurrency": {"limit": 2, "on_limit": "reject"},
            "steps": [{"id": "s", "wait_for": "go"}],
        }
    )
    table.create(schedule(workflow="one"))
    runs = table.backfill("nightly", clock.now, clock.now + 4 * 60_000, actor="test")
    assert [run.ok for run in runs] == [True, True, False, False]
    assert isinstance(runs[2].error, ConcurrencyLimitReached)
    with pytest.raises(ConcurrencyLimitReached):
        table.backfill(
            "nightly", clock.now + 4 * 60_000, clock.now + 6 * 60_000, actor="test"
        )
