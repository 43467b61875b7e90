"""Schedules that are changed, triggered by hand and asked when they fire next."""

from __future__ import annotations

import pytest

from executor.coordination.schedule_times import Firing
from executor.coordination.schedules import ScheduleService
from executor.errors import InvalidSchedule, ScheduleNotFound
from openagents_json.catalog.errors import UnknownWorkflow
from openagents_json.engine import ConcurrencyLimitReached, Engine
from openagents_json.workflow.errors import InvalidInputs
from openagents_json.workflow.times import moment_of
from tests.integration.limits.timetable import (
    DOCUMENT,
    Clock,
    clock_at,
    fired,
    schedule,
    service,
)


def test_what_is_not_changed_stays_and_new_times_count_from_now_on(
    engine: Engine, clock: Clock, table: ScheduleService
) -> None:
    table.create(schedule(inputs={"n": 2}, labels={"team": "a"}, overlap="skip"))
    clock.now += 60_000
    table.fire("nightly", actor="test")
    before = table.get("nightly")[1]
    clock.now += 30_000
    changed, progress = table.update("nightly", jitter_seconds=0.5)
    assert (changed.inputs, changed.labels, changed.overlap, changed.every_seconds) == (
        {"n": 2},
        {"team": "a"},
        "skip",
        60,
    )
    assert progress == before  # no firing is lost, and none comes twice
    changed, progress = table.update("nightly", cron="0 3 * * *", inputs={"n": 3})
    assert (changed.cron, changed.every_seconds, changed.inputs) == (
        "0 3 * * *",
        0.0,
        {"n": 3},
    )
    assert progress.next_ms == moment_of("2030-01-01T03:00:00Z")
    assert (progress.last_run, progress.started) == (before.last_run, 1)
    assert table.update("nightly", every_seconds=90)[0].cron == ""
    assert table.get("nightly")[1].next_ms == clock.now + 90_000


def test_a_relay_that_fires_meanwhile_is_not_overwritten(
    engine: Engine, clock: Clock, table: ScheduleService
) -> None:
    table.create(schedule())
    clock.now += 60_000
    relay = service(engine, clock_at(engine, clock.now))
    clock.meanwhile = lambda: relay.fire("nightly", actor="relay")
    _, progress = table.update("nightly", catchup_seconds=60.0)
    assert progress.started == 1
    assert table.get("nightly")[0].catchup_seconds == 60.0


def test_changes_that_cannot_be_leave_it_as_it_was(table: ScheduleService) -> None:
    table.create(schedule())
    before = table.get("nightly")
    with pytest.raises(InvalidSchedule, match="not both"):
        table.update("nightly", cron="0 3 * * *", every_seconds=60)
    with pytest.raises(InvalidSchedule, match="61"):
        table.update("nightly", cron="61 * * * *")
    with pytest.raises(InvalidSchedule, match="paused of a schedule cannot be changed"):
        table.update("nightly", paused=True)
    with pytest.raises(InvalidInputs):
        table.update("nightly", inputs={"n": "x"})
    with pytest.raises(UnknownWorkflow):
        table.update("nightly", workflow="nothing")
    with pytest.raises(ScheduleNotFound):
        table.update("none", cron="0 3 * * *")
    assert table.get("nightly") == before


def test_a_run_is_triggered_beside_the_times_and_once_for_a_key(
    engine: Engine, clock: Clock, table: ScheduleService
) -> None:
    table.create(schedule(inputs={"at": "{{scheduled_time}}"}, paused=True))
    before = table.get("nightly")
    clock.now += 1
    run = table.trigger("nightly", actor="me")
    assert engine.state(run).inputs["at"] == "2030-01-01T00:00:00.001000Z"
    assert engine.history(run)[0].actor == "schedule:nightly (me)"
    clock.now += 1
    keyed = table.trigger("nightly", actor="me", idempotency_key="k")
    clock.now += 1
    assert table.trigger("nightly", actor="me", idempotency_key="k") == keyed
    assert len({run, keyed, table.trigger("nightly", actor="me")}) == 3
    assert len(fired(engine)) == 3
    # Another one at the same moment is another run.
    assert table.trigger("nightly", actor="me") != table.trigger("nightly", actor="me")
    assert len(fired(engine)) == 5
    assert table.get("nightly") == before
    with pytest.raises(ScheduleNotFound):
        table.trigger("none", actor="me")


def test_who_triggers_a_run_that_is_not_let_in_is_told(
    engine: Engine, table: ScheduleService
) -> None:
    limit = {"limit": 1, "on_limit": "reject"}
    engine.publish({**DOCUMENT, "id": "one", "concurrency": limit})
    table.create(schedule(workflow="one"))
    table.trigger("nightly", actor="me", idempotency_key="first")
    with pytest.raises(ConcurrencyLimitReached):
        table.trigger("nightly", actor="me", idempotency_key="second")


def test_the_next_times_are_told_with_their_jitter(
    clock: Clock, table: ScheduleService
) -> None:
    table.create(schedule())
    times = [clock.now + 60_000, clock.now + 120_000]
    assert table.next_firings("nightly", 2) == [Firing(at, at) for at in times]
    clock.now += 150_000  # both are late, and not made up for yet
    assert [x.nominal_ms for x in table.next_firings("nightly", 2)] == times
    table.pause("nightly")
    assert [x.nominal_ms for x in table.next_firings("nightly", 1)] == [
        times[1] + 60_000
    ]
    table.update("nightly", jitter_seconds=30)
    [firing] = table.next_firings("nightly", 1)
    assert 0 < firing.starts_ms - firing.nominal_ms < 30_000
