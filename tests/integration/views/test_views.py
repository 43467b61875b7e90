"""The views of a store: what they answer, that each event is in them once, and that drift is found."""

from __future__ import annotations

import base64
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eventstore.event import Recorded
from eventstore.keys import Keyspace
from eventstore.redis.driver.connection import Connection
from eventstore.redis.projection_log import LogReader
from eventstore.redis.views import RedisViewStore
from openagents_json import tool
from openagents_json.engine import Engine, RunFilter, Settings
from openagents_json.engine.archive.archive import Departure
from openagents_json.engine.diagnosis.doctor import diagnose
from openagents_json.workflow.core.state import CLOSED_RUN
from projections import Projection, projection
from projections.errors import InvalidQuery, UnknownProjection
from projections.runner import Runner
from projections.runs import RUNS
from tests.conftest import Server, wait_for
from tests.simulation import steps

Open = Callable[..., Engine]


@tool("double")
def double(x: int = 1) -> int:
    return 2 * x


@tool("refuse")
def refuse(x: int = 1) -> int:
    raise ValueError(f"order {x} of 'customer {x}' is not for us")


SINGLE = steps(
    {"id": "a", "component": "double"}, {"id": "b", "component": "double"}, id="single"
)
FAILING = steps(
    {"id": "a", "component": "refuse", "inputs": {"x": "{{input.x}}"}},
    id="failing",
    version="2.0.0",
)
WAITING = {"id": "waiting", "steps": [{"id": "w", "wait_for": {"signal": "go"}}]}


@pytest.fixture
def opened(server: Server) -> Iterator[Open]:
    prefix, engines = server.prefix(), list[Engine]()

    def begin(**options: Any) -> Engine:
        defaults = {"components": [double, refuse], "workers": 2, "partitions": 4}
        engines.append(
            Engine.connect(server.url, prefix=prefix, **{**defaults, **options})
        )
        return engines[-1]

    yield begin
    for engine in engines:
        engine.close()


def test_lists_find_runs_by_any_combination(opened: Open) -> None:
    engine = opened()
    good = [engine.start(SINGLE, labels={"tenant": f"t{i % 2}"}) for i in range(6)]
    bad = [engine.start(FAILING, {"x": i}, labels={"tenant": "t1"}) for i in range(3)]
    waits = engine.start(WAITING)
    for run in good + bad:
        engine.wait(run, timeout=20)
    views = engine.views

    def found(**chosen: Any) -> set[str]:
        return {row.id for row in views.runs(RunFilter(**chosen)).items}

    assert found() == {*good, *bad, waits}
    assert found(status=("completed",), labels={"tenant": "t1"}) == set(good[1::2])
    assert found(labels={"tenant": "t1"}) == {*good[1::2], *bad}
    assert found(workflow=("failing", "waiting")) == {*bad, waits}
    assert found(version=("2.0.0",), error=("ValueError",)) == set(bad)
    assert found(status=("running",)) == {waits}
    [row] = views.runs(RunFilter(status=("failed",)), limit=1).items
    assert row.step == "a"
    assert row.error is not None
    assert row.error["type"] == "ValueError"
    assert found(fingerprint=(str(row.fingerprint),)) == set(bad)
    assert views.count(RunFilter(status=("failed", "completed"))) == 9
    times = sorted(
        r.ended_ms or 0 for r in views.runs(RunFilter(status=("failed",))).items
    )
    assert found(
        ended_from=times[0], ended_to=times[-1] + 1, status=("failed",)
    ) == set(bad)
    assert found(ended_from=times[-1] + 1, status=("failed",)) == set()
    assert found(took_from=3_600_000) == set()
    assert found(took_to=3_600_000) == {*good, *bad}
    with pytest.raises(InvalidQuery):
        views.count(RunFilter(took_to=5))


def test_pages_follow_each_other_while_runs_are_added(opened: Open) -> None:
    engine = opened(workers=0)
    runs = engine.start_many([(WAITING, {})] * 30)
    seen, after = list[str](), ""
    while True:
        page = engine.views.runs(limit=7, after=after)
        seen += [row.id for row in page.items]
        engine.start(WAITING)
        if not page.next:
            break
        after = page.next
    assert sorted(seen) == sorted(runs)


def _cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "after",
    [
        "nonsense",
        "ü",
        *map(_cursor, ("[1]", "[1e400,0,0]", "[NaN,0,0]", "[" * 100_000)),
    ],
)
def test_what_continues_no_page_is_refused(opened: Open, after: str) -> None:
    engine = opened(workers=0)
    for ask in (
        lambda: engine.views.runs(after=after),
        lambda: engine.views.as_of(10**14, after=after),
    ):
        with pytest.raises(InvalidQuery, match="does not continue a page"):
            ask()


@pytest.mark.parametrize("limit", [0, -1])
def test_a_page_has_room_for_one_at_least(opened: Open, limit: int) -> None:
    engine = opened(workers=0)
    engine.start_many([(WAITING, {})] * 3)
    for ask in (
        lambda: engine.views.runs(limit=limit),
        lambda: engine.views.as_of(10**14, limit=limit),
    ):
        with pytest.raises(InvalidQuery, match=f"not {limit}"):
            ask()


def test_labels_are_found_whatever_they_are_called(opened: Open) -> None:
    odd = ["", "a", "a=b", "a%3Db", "ü", "a:b", "a/b\n", "*", "x" * 3000]
    engine = opened(workers=0)
    made = {
        engine.start(WAITING, labels={name: value}): (name, value)
        for name in odd
        for value in (*odd, "b=a", "=", "c")
    }
    for name, value in made.values():
        chosen = RunFilter(labels={name: value})
        [found], [then] = (
            engine.views.runs(chosen).items,
            engine.views.as_of(10**14, chosen).items,
        )
        assert made[found.id] == made[then.id] == (name, value)
        assert engine.views.count(chosen) == 1


def test_pages_follow_each_other_across_a_rebuild_that_numbers_runs_anew(
    opened: Open, tmp_path: Path
) -> None:
    engine = opened(partitions=1)
    gone = [engine.run(SINGLE, timeout=20).id for _ in range(4)]
    runs = list[str]()
    for _ in range(8):  # those of the millisecond where a page ends come twice
        runs.append(engine.start(WAITING))
        began = engine.history(runs[-1])[0].time_ms
        wait_for(lambda began=began: engine.core.clock.now_ms() > began)
    for run in gone:
        engine.archive.leave(run, Departure(str(tmp_path), "old"))
    first = engine.views.runs(limit=4)
    engine.views.views.rebuild("runs")
    assert engine.views.views.finish_rebuild("runs")
    again, *second = engine.views.runs(after=first.next).items
    assert again.id == first.items[-1].id
    assert [row.id for row in (*first.items, *second)] == runs[::-1]


def test_children_are_found_by_their_parent(opened: Open) -> None:
    engine = opened()
    engine.publish(SINGLE)
    parent = engine.start(
        {"id": "parent", "steps": [{"id": "c", "workflow": "single"}]}
    )
    engine.wait(parent, timeout=20)
    [child] = engine.views.runs(RunFilter(parent=(parent,))).items
    assert (child.workflow, child.status) == ("single", "completed")
    assert child.parent is not None
    assert child.parent["step"] == "c"


def test_failures_are_grouped_by_what_they_have_in_common(opened: Open) -> None:
    engine = opened()
    runs = [engine.start(FAILING, {"x": i}) for i in range(3)]
    for run in runs:
        engine.wait(run, timeout=20)
    [group] = engine.views.failures()
    assert (group.count, group.now, group.workflow, group.step, group.type) == (
        3,
        3,
        "failing",
        "a",
        "ValueError",
    )
    assert {group.first_run, group.last_run} <= set(runs)
    engine.retry(runs[0])
    engine.wait(runs[0], timeout=20)
    [group] = engine.views.failures()
    assert (group.count, group.now) == (4, 3)
    assert [row.id for row in engine.views.runs(RunFilter(reopened=True)).items] == [
        runs[0]
    ]


def test_steps_under_way_components_and_workers_are_listed(opened: Open) -> None:
    engine = opened()
    waits = engine.start(WAITING)
    engine.run(SINGLE, timeout=20)
    engine.run(FAILING, {"x": 1}, timeout=20)
    [step] = engine.views.steps()
    assert (step.run, step.step, step.status) == (waits, "w", "wait")
    known = {x.component: x for x in engine.views.components()}
    assert (known["double"].completed, known["double"].error_rate) == (2, 0.0)
    assert (known["refuse"].failed, known["refuse"].error_rate) == (1, 1.0)
    assert known["double"].p99_ms is not None
    assert 0 < known["double"].p99_ms < 60_000
    [worker] = engine.views.workers()
    assert worker.alive
    assert (
        worker.counts["started"],
        worker.counts["completed"],
        worker.counts["failed"],
    ) == (3, 2, 1)
    engine.signal(waits, "go")
    engine.wait(waits, timeout=20)
    assert list(engine.views.steps()) == []


def test_a_list_as_of_a_time_shows_what_was_so_then(opened: Open) -> None:
    engine = opened()
    first = engine.start(WAITING)
    assert engine.views.runs().items[0].status == "running"
    then = max(event.time_ms for event in engine.history(first))
    wait_for(lambda: engine.core.clock.now_ms() > then + 2)
    engine.signal(first, "go")
    engine.wait(first, timeout=20)
    second = engine.start(FAILING, {"x": 1})
    engine.wait(second, timeout=20)
    now = max(event.time_ms for event in engine.history(second))

    def statuses(time_ms: int, **chosen: Any) -> dict[str, str]:
        return {
            row.id: row.status
            for row in engine.views.as_of(time_ms, RunFilter(**chosen)).items
        }

    assert statuses(then) == {first: "running"}
    assert statuses(then, status=("completed",)) == {}
    assert statuses(now) == {first: "completed", second: "failed"}
    assert statuses(now, status=("failed",)) == {second: "failed"}
    assert statuses(then - 60_000) == {}


def test_any_history_leaves_the_views_as_a_fold_of_the_log(opened: Open) -> None:
    engine = opened()
    runs = [engine.start(SINGLE) for _ in range(5)] + [
        engine.start(FAILING, {"x": i}) for i in range(5)
    ]
    runs += [engine.start(WAITING) for _ in range(5)]
    engine.pause(runs[-1])
    engine.cancel(runs[-2])
    for run in runs[:10]:
        engine.wait(run, timeout=20)
    for name in ("runs", "steps", "workers"):
        assert engine.views.verify(name) == []
    for row in engine.views.runs().items:
        state = engine.state(row.id)
        assert (row.status, row.events) == (
            state.status,
            state.version,
        ) or state.status not in CLOSED_RUN


def _raw(engine: Engine) -> tuple[Connection, Keyspace]:
    return engine.core.connection, engine.core.store.keys


def test_drift_is_found_wherever_it_is_and_a_rebuild_mends_it(opened: Open) -> None:
    engine = opened(partitions=1)
    for x in range(4):
        engine.run(FAILING, {"x": x}, timeout=20)
    assert engine.views.verify("runs") == []
    connection, keys = _raw(engine)
    base = keys.view(0, "runs.1.1:").decode()
    [run, *_] = [row.id for row in engine.views.runs().items]
    damages = [
        (b"HDEL", f"{base}docs", run),
        (b"HSET", f"{base}tally", "made-up/count", 3),
        (b"DEL", f"{base}f:status=failed:0"),
        (b"SET", f"{base}f:status=lost:0", b"s\x00\x01"),
    ]
    for generation, damage in enumerate(damages, 1):
        command = [
            part.replace(".1:", f".{generation}:") if isinstance(part, str) else part
            for part in damage
        ]
        connection.command(*command)
        assert engine.views.verify("runs") != [], damage
        assert engine.views.views.rebuild("runs") == generation + 1
        assert engine.views.views.finish_rebuild("runs")
        assert engine.views.verify("runs") == []
        assert len(engine.views.runs(RunFilter(status=("failed",))).items) == 4


def test_a_rebuild_goes_on_beside_the_view_in_use_and_workers_finish_it(
    opened: Open,
) -> None:
    engine = opened()
    for x in range(3):
        engine.run(FAILING, {"x": x}, timeout=20)
    assert engine.views.views.rebuild("runs") == 2
    assert engine.views.views.rebuild("runs") == 2
    while engine.views.views.status()[0].generation == 1:
        assert len(engine.views.runs(RunFilter(status=("failed",))).items) == 3
    assert len(engine.views.runs(RunFilter(status=("failed",))).items) == 3
    assert engine.views.views.status()[0].rebuilding is None


def test_users_write_a_projection_as_one_function(opened: Open) -> None:
    @projection(
        "per-step", types=["StepCompleted"], key=lambda event: str(event.data["step"])
    )
    def per_step(document: Any, event: Recorded) -> Any:
        return {"runs": [*(document or {"runs": []})["runs"], event.stream]}

    engine = opened(projections=[per_step])
    runs = {engine.run(SINGLE, timeout=20).id for _ in range(3)}
    found = engine.views.views.get("per-step", "b")
    assert {run for document in found for run in document["runs"]} == runs
    assert engine.views.verify("per-step") == []
    with pytest.raises(UnknownProjection, match="per-step"):
        engine.views.views.get("other", "x")


def test_a_projection_that_raises_stops_alone_and_says_where(
    opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    broken = threading.Event()
    broken.set()

    @projection("picky", types=["RunStarted"])
    def picky(document: Any, event: Recorded) -> Any:
        if broken.is_set() and event.data["inputs"].get("x") == 2:
            raise KeyError("no such thing")
        return {"x": event.data["inputs"].get("x")}

    clock = [0.0]
    engine = opened(workers=0, partitions=1)
    runs = [engine.start(FAILING, {"x": x}) for x in range(4)]
    connection, keys = _raw(engine)
    store = RedisViewStore(engine.core.store)
    runner = Runner(
        LogReader(engine.core.store), store, [RUNS, picky], 1, lambda: clock[0]
    )
    with caplog.at_level(logging.ERROR):
        runner.catch_up([0])
    assert f"of {runs[2]}: KeyError" in caplog.text
    [(head, [whole, half])] = store.checkpoints(["runs.1.1", "picky.1.1"], [0])
    assert (whole, half) == (head, engine.events.read(runs[2])[0].position.n - 1)
    [trouble] = store.troubles("picky.1.1", [0])
    assert (trouble["run"], trouble["version"], trouble["type"]) == (
        runs[2],
        1,
        "RunStarted",
    )
    assert {row.key for row in store.documents("picky.1.1", 0)} == set(runs[:2])
    told = diagnose(opened(workers=0, partitions=1, projections=[picky]), Settings())
    assert not told.healthy
    assert any(
        f"projection picky stands still in partition 0, before event 1 (RunStarted) of {runs[2]}"
        in line
        for line in told.lines()
    )
    broken.clear()
    runner.catch_up([0])
    assert store.troubles("picky.1.1", [0]) == [trouble]
    clock[0] += 20_000
    runner.catch_up([0])
    assert store.troubles("picky.1.1", [0]) == [None]
    assert {row.key for row in store.documents("picky.1.1", 0)} == set(runs)
    assert connection is engine.core.connection
    assert keys.partitions == 1


def test_a_document_that_is_no_json_stops_its_projection_at_that_event(
    opened: Open,
) -> None:
    odd = Projection(
        "odd",
        lambda _, event: (
            {"x": {1, 2}} if event.data["inputs"].get("x") == 1 else {"x": 0}
        ),
    )
    engine = opened(workers=0, partitions=1)
    runs = [engine.start(WAITING, {"x": x}) for x in range(3)]
    store = RedisViewStore(engine.core.store)
    begun = Projection("odd", odd.apply, types=frozenset({"RunStarted"}))
    Runner(LogReader(engine.core.store), store, [begun], 1, lambda: 0.0).catch_up([0])
    [trouble] = store.troubles("odd.1.1", [0])
    assert trouble["run"] == runs[1]
    assert [row.key for row in store.documents("odd.1.1", 0)] == [runs[0]]
