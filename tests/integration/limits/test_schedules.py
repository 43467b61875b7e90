"""Schedules: each firing starts one run, whatever crashes and however many fire at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eventstore.errors import StoreUnavailable
from executor.coordination.schedule_times import (
    Schedule,
    firings,
    next_firing,
    start_of,
)
from executor.coordination.schedules import ScheduleService
from executor.coordination.zones import ZONES_VERSION
from executor.errors import InvalidSchedule, ScheduleExists, ScheduleNotFound
from openagents_json import Registry
from openagents_json.catalog.errors import UnknownWorkflow
from openagents_json.engine import Engine
from openagents_json.engine.archive.archive import Departure
from openagents_json.engine.diagnosis.doctor import diagnose
from openagents_json.engine.settings import Settings
from openagents_json.workflow.errors import InvalidInputs
from openagents_json.workflow.times import moment_of
from tests.conftest import Server, wait_for
from tests.integration.limits.timetable import Clock, fired, schedule


def test_a_crash_between_the_run_and_the_note_of_it_starts_no_second_run(
    engine: Engine, clock: Clock, table: ScheduleService
) -> None:
    table.create(schedule(inputs={"at": "{{scheduled_time}}"}))
    clock.now += 60_000
    clock.broken = True
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            table.fire("nightly", actor="test")
    clock.broken = False
    for _ in range(3):
        table.fire("nightly", actor="test")
    assert fired(engine) == ["2030-01-01T00:01:00Z"]
    run = engine.runs()[0].id
    assert engine.state(run).inputs["at"] == "2030-01-01T00:01:00Z"
    assert table.get("nightly")[1].started == 1


@pytest.mark.parametrize(
    ("overlap", "started", "skipped", "waiting", "open_runs"),
    [
        ("allow", 3, 0, 0, 3),
        ("skip", 1, 2, 0, 1),
        ("queue", 1, 0, 2, 1),
        ("replace", 3, 0, 0, 1),
    ],
)
def test_what_happens_when_the_run_before_is_still_open(
    engine: Engine,
    clock: Clock,
    table: ScheduleService,
    overlap: str,
    started: int,
    skipped: int,
    waiting: int,
    open_runs: int,
) -> None:
    table.create(schedule(overlap=overlap))
    for _ in range(3):
        clock.now += 60_000
        table.fire("nightly", actor="test")
    progress = table.get("nightly")[1]
    assert (progress.started, progress.skipped, len(progress.waiting)) == (
        started,
        skipped,
        waiting,
    )
    assert sum(run.status == "running" for run in engine.runs()) == open_runs
    if waiting:
        engine.signal(progress.last_run, "go")
        table.fire("nightly", actor="test")
        assert len(table.get("nightly")[1].waiting) == 1


@pytest.mark.parametrize(("overlap", "waiting"), [("skip", 0), ("queue", 1)])
def test_what_takes_the_place_of_a_schedule_does_not_fire_beside_its_last_run(
    engine: Engine, clock: Clock, table: ScheduleService, overlap: str, waiting: int
) -> None:
    table.create(schedule(overlap=overlap))
    clock.now += 60_000
    table.fire("nightly", actor="test")
    table.create(schedule(overlap=overlap, every_seconds=30), replace_it=True)
    clock.now += 30_000
    table.fire("nightly", actor="test")
    progress = table.get("nightly")[1]
    assert (progress.started, len(progress.waiting)) == (1, waiting)
    assert len(engine.runs()) == 1


def test_a_paused_schedule_fires_nothing_and_goes_on_from_now(
    engine: Engine, clock: Clock, table: ScheduleService
) -> None:
    table.create(schedule())
    table.pause("nightly")
    clock.now += 10 * 60_000
    table.fire("nightly", actor="test")
    table.pause("nightly", paused=False)
    table.fire("nightly", actor="test")
    assert fired(engine) == []
    clock.now += 60_000
    table.fire("nightly", actor="test")
    assert fired(engine) == ["2030-01-01T00:11:00Z"]


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"every_seconds": 0}, InvalidSchedule),
        ({"cron": "* * * * *"}, InvalidSchedule),
        ({"every_seconds": 0, "cron": "61 * * * *"}, InvalidSchedule),
        ({"timezone": "Mars/Olympus"}, InvalidSchedule),
        ({"overlap": "maybe"}, InvalidSchedule),
        ({"name": "night|ly"}, InvalidSchedule),
        ({"catchup_seconds": float("nan")}, InvalidSchedule),
        ({"jitter_seconds": float("inf")}, InvalidSchedule),
        ({"workflow": "raport"}, UnknownWorkflow),
        ({"inputs": {"n": "many"}}, InvalidInputs),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(
    table: ScheduleService, wrong: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        table.create(schedule(**wrong))
    with pytest.raises(ScheduleNotFound):
        table.get("nightly")


def test_a_schedule_is_created_once(table: ScheduleService) -> None:
    table.create(schedule())
    with pytest.raises(ScheduleExists):
        table.create(schedule())
    table.create(schedule(every_seconds=5), replace_it=True)
    table.delete("nightly")
    assert table.every() == []


def test_cron_follows_the_clocks_of_its_time_zone() -> None:
    spec = Schedule("n", "w", cron="30 2 * * *", timezone="Europe/Paris")
    start = moment_of("2030-03-29T12:00:00Z")
    times = firings(spec, start, start)
    next_times = [next(times) for _ in range(3)]
    assert next_times[0] == moment_of("2030-03-30T01:30:00Z")
    assert next_times[1] - next_times[0] < 24 * 3600_000
    assert next_times[2] == moment_of("2030-04-01T00:30:00Z")


def test_jitter_is_the_same_whenever_it_is_asked_for() -> None:
    spec = Schedule("n", "w", every_seconds=60, jitter_seconds=30)
    times = [next_firing(spec, t * 60_000, 0) or 0 for t in range(50)]
    jitters = [start_of(spec, at) - at for at in times]
    assert jitters == [start_of(spec, at) - at for at in times]
    assert 0 <= min(jitters) < max(jitters) <= 30_000


def test_the_relay_fires_what_is_due(server: Server) -> None:
    with Engine.connect(
        server.url, prefix=server.prefix(), components=Registry(), partitions=2
    ) as engine:
        registry = Registry()
        registry.tool("now")(lambda: 1)
        engine.publish({"id": "tick", "steps": [{"id": "s", "sleep": 0}]})
        engine.schedules.create(
            Schedule("every-second", "tick", every_seconds=1, overlap="allow")
        )
        with Engine.connect(
            server.url,
            prefix=engine.core.store.keys.prefix,
            components=registry,
            workers=1,
        ):
            wait_for(
                lambda: sum(run.status == "completed" for run in engine.runs()) >= 2, 20
            )
        times = fired(engine)
        assert len(set(times)) == len(times)


def test_doctor_names_the_release_of_the_zones_and_warns_of_workers_with_another(
    server: Server,
) -> None:
    registry = Registry()
    registry.tool("now")(lambda: 1)
    with Engine.connect(
        server.url, prefix=server.prefix(), components=registry, workers=1, partitions=1
    ) as engine:
        told = diagnose(engine, Settings())
        assert next(iter(told.lines())).endswith(f"time zones {ZONES_VERSION}")
        assert [finding for finding in told.findings if finding.code == "zones"] == []
        directory = engine.core.directory
        [info] = directory.workers().values()
        directory.beat("elsewhere", {**info, "zones": "2019a"})
        told = diagnose(engine, Settings())
        assert any(
            "worker elsewhere has time zones 2019a" in line for line in told.lines()
        )
        assert [
            finding.level for finding in told.findings if finding.code == "zones"
        ] == ["warning"]


@pytest.mark.parametrize("what", ["archived", "deleted", "redacted", "taken"])
def test_a_schedule_goes_on_whatever_became_of_the_run_of_a_firing(
    engine: Engine, clock: Clock, table: ScheduleService, tmp_path: Path, what: str
) -> None:
    table.create(schedule())
    clock.now += 60_000
    clock.broken = True
    if what != "taken":
        with pytest.raises(StoreUnavailable):
            table.fire("nightly", actor="test")  # its run is there, and no note of it
        run = engine.runs()[0].id
        engine.signal(run, "go")
    match what:
        case "archived":
            engine.archive.leave(run, Departure(str(tmp_path)))
        case "deleted":
            engine.archive.leave(run, Departure(""))
        case "redacted":
            engine.redact(run)
        case _:
            start = table._runs._start_of(schedule(), clock.now)
            engine.core.handler.beginnings.start_each(
                [replace(start, commit_id="another")], actor="test"
            )
    clock.broken = False
    table.fire("nightly", actor="test")
    clock.now += 60_000
    table.fire("nightly", actor="test")
    progress = table.get("nightly")[1]
    assert (progress.started, progress.last_ms, progress.error) == (2, clock.now, "")
    before = clock.now - 120_000
    runs = table.backfill("nightly", before, clock.now + 1, actor="test")
    assert len(runs) == 3
    assert all(run.ok for run in runs)


def test_a_schedule_whose_zone_is_not_known_here_says_so_and_is_looked_at_again(
    engine: Engine, clock: Clock, table: ScheduleService
) -> None:
    table.create(schedule(every_seconds=0, cron="* * * * *", timezone="Europe/Paris"))
    stored = table._stored("nightly")
    clock.put(
        "nightly",
        stored.revision,
        {**stored.spec, "timezone": "Europe/New_Paris"},
        stored.state,
        clock.now,
    )
    clock.now += 60_000
    table.fire("nightly", actor="test")
    progress = table.get("nightly")[1]
    assert "Europe/New_Paris" in progress.error
    assert progress.next_ms == clock.now
    stored = table._stored("nightly")
    clock.put(
        "nightly",
        stored.revision,
        {**stored.spec, "timezone": "Europe/Paris"},
        stored.state,
        clock.now,
    )
    table.fire("nightly", actor="test")
    progress = table.get("nightly")[1]
    assert (progress.started, progress.error) == (1, "")


def test_who_has_seen_a_schedule_that_was_deleted_does_not_change_the_next_one(
    table: ScheduleService,
) -> None:
    """A worker that fires the old one notes that when a new one of that name is there."""
    table.create(schedule())
    old = table._stored("nightly")
    table.delete("nightly")
    table.create(replace(schedule(), labels={"which": "new"}))
    assert not table._schedules.put("nightly", old.revision, old.spec, old.state, None)
    assert table.get("nightly")[0].labels == {"which": "new"}
