"""Schedules: each firing starts one run, whatever crashes and however many fire at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eventstore.errors import StoreUnavailable
from eventstore.redis.coordination.schedules import ScheduleStore
from eventstore.redis.driver.scripts import PlainCall
from executor.coordination.schedule_times import (
    Schedule,
    firings,
    next_firing,
    start_of,
)
from executor.coordination.schedules import SLICE, ScheduleService
from executor.coordination.zones import ZONES_VERSION
from executor.errors import InvalidSchedule, ScheduleExists, ScheduleNotFound
from openagents_json import Registry
from openagents_json.catalog.errors import UnknownWorkflow
from openagents_json.engine import ConcurrencyLimitReached, Engine
from openagents_json.engine.archive.archive import Departure
from openagents_json.engine.diagnosis.doctor import diagnose
from openagents_json.engine.settings import Settings
from openagents_json.workflow.errors import InvalidInputs
from openagents_json.workflow.times import moment_of
from tests.conftest import Server, wait_for

DOCUMENT = {
    "id": "report",
    "inputs": {"at": {"type": "string"}, "n": {"type": "integer", "default": 1}},
    "steps": [{"id": "s", "wait_for": "go"}],
    "output": {"at": "{{input.at}}"},
}


@pytest.fixture
def engine(server: Server) -> Iterator[Engine]:
    with Engine.connect(
        server.url, prefix=server.prefix(), components=Registry(), partitions=4
    ) as opened:
        opened.publish(DOCUMENT)
        yield opened


class Clock(ScheduleStore):
    """A store of schedules with a time of its own, that can fail when it is written to."""

    now, broken = 0, False

    def now_ms(self) -> int:
        return self.now

    def put(self, *args: Any) -> bool:
        if self.broken:
            raise StoreUnavailable("the test says so", ConnectionError())
        return super().put(*args)


@pytest.fixture
def clock(engine: Engine) -> Clock:
    made = Clock(engine.core.store)
    made.now = moment_of("2030-01-01T00:00:00Z")
    return made


@pytest.fixture
def table(engine: Engine, clock: Clock) -> ScheduleService:
    return ScheduleService(
        engine.core.handler, engine.core.starter, engine.core.workflows, clock
    )


def schedule(**more: Any) -> Schedule:
    return Schedule(
        **{
            "name": "nightly",
            "workflow": "report",
            "every_seconds": 60,
            "overlap": "allow",
            **more,
        }
    )


def fired(engine: Engine) -> list[str]:
    return sorted(
        (engine.state(r.id).labels or {})["scheduled_for"]
        for r in engine.runs(limit=1000)
    )


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


def test_what_was_missed_is_made_up_for_within_the_limit(
    engine: Engine, clock: Clock, table: ScheduleService
) -> None:
    table.create(schedule(catchup_seconds=150))
    clock.now += 10 * 60_000
    table.fire("nightly", actor="test")
    assert fired(engine) == [f"2030-01-01T00:{minute:02d}:00Z" for minute in (8, 9, 10)]
    assert table.get("nightly")[1].missed == 7


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
    found = [next(times) for _ in range(3)]
    assert found[0] == moment_of("2030-03-30T01:30:00Z")
    assert found[1] - found[0] < 24 * 3600_000
    assert found[2] == moment_of("2030-04-01T00:30:00Z")


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
