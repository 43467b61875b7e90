"""The views of a store: what they answer, that each event is in them once, and that drift is found."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from openagents_json.engine import Engine, RunFilter, Settings
from openagents_json.engine.archive.archive import Departure
from openagents_json.engine.open import viewing
from projections.errors import InvalidQuery
from tests.conftest import Server, wait_for
from tests.integration.views.opened_views import (
    FAILING,
    SINGLE,
    WAITING,
    Open,
)


def _is_later(engine: Engine, time_ms: int) -> bool:
    return engine.core.clock.now_ms() > time_ms


def test_lists_find_runs_by_any_combination(opened: Open) -> None:
    engine = opened()
    good = [engine.start(SINGLE, labels={"tenant": f"t{i % 2}"}) for i in range(6)]
    bad = [engine.start(FAILING, {"x": i}, labels={"tenant": "t1"}) for i in range(3)]
    waits = engine.start(WAITING)
    for run in good + bad:
        engine.wait(run, timeout=120)
    views = engine.views

    def runs_of(**chosen: Any) -> set[str]:
        return {row.id for row in views.runs(RunFilter(**chosen)).items}

    assert runs_of() == {*good, *bad, waits}
    assert runs_of(status=("completed",), labels={"tenant": "t1"}) == set(good[1::2])
    assert runs_of(labels={"tenant": "t1"}) == {*good[1::2], *bad}
    assert runs_of(workflow=("failing", "waiting")) == {*bad, waits}
    assert runs_of(version=("2.0.0",), error=("ValueError",)) == set(bad)
    assert runs_of(status=("running",)) == {waits}
    [row] = views.runs(RunFilter(status=("failed",)), limit=1).items
    assert row.step == "a"
    assert row.error is not None
    assert row.error["type"] == "ValueError"
    assert runs_of(fingerprint=(str(row.fingerprint),)) == set(bad)
    assert views.count(RunFilter(status=("failed", "completed"))) == 9
    times = sorted(
        r.ended_ms or 0 for r in views.runs(RunFilter(status=("failed",))).items
    )
    assert runs_of(
        ended_from=times[0], ended_to=times[-1] + 1, status=("failed",)
    ) == set(bad)
    assert runs_of(ended_from=times[-1] + 1, status=("failed",)) == set()
    assert runs_of(took_from=3_600_000) == set()
    assert runs_of(took_to=3_600_000) == {*good, *bad}
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
    asked: list[Callable[[], Any]] = [
        lambda: engine.views.runs(after=after),
        lambda: engine.views.as_of(10**14, after=after),
    ]
    for ask in asked:
        with pytest.raises(InvalidQuery, match="does not continue a page"):
            ask()


@pytest.mark.parametrize("limit", [0, -1])
def test_a_page_has_room_for_one_at_least(opened: Open, limit: int) -> None:
    engine = opened(workers=0)
    engine.start_many([(WAITING, {})] * 3)
    asked: list[Callable[[], Any]] = [
        lambda: engine.views.runs(limit=limit),
        lambda: engine.views.as_of(10**14, limit=limit),
    ]
    for ask in asked:
        with pytest.raises(InvalidQuery, match=f"not {limit}"):
            ask()


def test_labels_are_found_whatever_they_are_called(opened: Open) -> None:
    odd = ["", "a", "a=b", "a%3Db", "ü", "a:b", "a/b\n", "*", "x" * 3000]
    engine = opened(workers=0)
    labels_by_run: dict[str, tuple[str, str]] = {
        engine.start(WAITING, labels={name: value}): (name, value)
        for name in odd
        for value in (*odd, "b=a", "=", "c")
    }
    for name, value in labels_by_run.values():
        chosen = RunFilter(labels={name: value})
        [row], [then] = (
            engine.views.runs(chosen).items,
            engine.views.as_of(10**14, chosen).items,
        )
        assert labels_by_run[row.id] == labels_by_run[then.id] == (name, value)
        assert engine.views.count(chosen) == 1


def test_pages_follow_each_other_across_a_rebuild_that_numbers_runs_anew(
    opened: Open, tmp_path: Path
) -> None:
    engine = opened(partitions=1)
    gone = [engine.run(SINGLE, timeout=120).id for _ in range(4)]
    runs = list[str]()
    for _ in range(8):  # those of the millisecond where a page ends come twice
        runs.append(engine.start(WAITING))
        began = engine.history(runs[-1])[0].time_ms
        wait_for(partial(_is_later, engine, began))
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
    engine.wait(parent, timeout=120)
    [child] = engine.views.runs(RunFilter(parent=(parent,))).items
    assert (child.workflow, child.status) == ("single", "completed")
    assert child.parent is not None
    assert child.parent["step"] == "c"


def test_failures_are_grouped_by_what_they_have_in_common(opened: Open) -> None:
    engine = opened()
    runs = [engine.start(FAILING, {"x": i}) for i in range(3)]
    for run in runs:
        engine.wait(run, timeout=120)
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
    engine.wait(runs[0], timeout=120)
    [group] = engine.views.failures()
    assert (group.count, group.now) == (4, 3)
    assert [row.id for row in engine.views.runs(RunFilter(reopened=True)).items] == [
        runs[0]
    ]


def test_steps_under_way_components_and_workers_are_listed(opened: Open) -> None:
    engine = opened()
    waits = engine.start(WAITING)
    engine.run(SINGLE, timeout=120)
    engine.run(FAILING, {"x": 1}, timeout=120)
    [step] = engine.views.steps()
    assert (step.run, step.step, step.status) == (waits, "w", "wait")
    by_component = {x.component: x for x in engine.views.components()}
    assert (by_component["double"].completed, by_component["double"].error_rate) == (
        2,
        0.0,
    )
    assert (by_component["refuse"].failed, by_component["refuse"].error_rate) == (
        1,
        1.0,
    )
    assert by_component["double"].p99_ms is not None
    assert 0 < by_component["double"].p99_ms < 60_000
    [worker] = engine.views.workers()
    assert worker.alive
    assert (
        worker.counts["started"],
        worker.counts["completed"],
        worker.counts["failed"],
    ) == (3, 2, 1)
    engine.signal(waits, "go")
    engine.wait(waits, timeout=120)
    assert engine.views.steps() == []


def test_a_list_of_steps_is_read_when_it_is_given(private_server: Server) -> None:
    """Whoever draws it has closed the store by then, and its server may have gone."""
    server = private_server  # what other tests do in the background would be counted
    settings = Settings(url=server.url, prefix=server.prefix())
    with Engine.open(settings, components=[]) as engine:
        waits = engine.start(WAITING)
        wait_for(lambda: bool(engine.views.steps()))
    with viewing(settings) as views:
        listed = iter(views.steps())
    before = commands_of(server)
    assert [step.run for step in listed] == [waits]
    assert commands_of(server) == before


def commands_of(server: Server) -> int:
    """Return how many commands a server has carried out for others than who asks this."""
    connection = server.connect()
    try:
        stats = connection.client.info("commandstats")
    finally:
        connection.close()
    asking = ("cmdstat_info", "cmdstat_hello", "cmdstat_client", "cmdstat_ping")
    return sum(
        stat["calls"] for name, stat in stats.items() if not name.startswith(asking)
    )


def test_a_list_as_of_a_time_shows_what_was_so_then(opened: Open) -> None:
    engine = opened()
    first = engine.start(WAITING)
    assert engine.views.runs().items[0].status == "running"
    then = max(event.time_ms for event in engine.history(first))
    wait_for(lambda: engine.core.clock.now_ms() > then + 2)
    engine.signal(first, "go")
    engine.wait(first, timeout=120)
    second = engine.start(FAILING, {"x": 1})
    engine.wait(second, timeout=120)
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
