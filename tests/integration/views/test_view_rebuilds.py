"""Views that drift, that are built anew and that users write: nothing stands in them but what the log says."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

from eventstore.event import Recorded
from eventstore.redis.projection_log import LogReader
from eventstore.redis.views import RedisViewStore
from openagents_json.engine import RunFilter, Settings
from openagents_json.engine.diagnosis.doctor import diagnose
from openagents_json.workflow.core.state import CLOSED_RUN
from projections import Projection, projection
from projections.errors import UnknownProjection
from projections.runner import Runner
from projections.runs import RUNS
from tests.integration.views.opened_views import (
    FAILING,
    SINGLE,
    WAITING,
    Open,
    raw_store,
)


def test_any_history_leaves_the_views_as_a_fold_of_the_log(opened: Open) -> None:
    engine = opened()
    runs = [engine.start(SINGLE) for _ in range(5)] + [
        engine.start(FAILING, {"x": i}) for i in range(5)
    ]
    runs += [engine.start(WAITING) for _ in range(5)]
    engine.pause(runs[-1])
    engine.cancel(runs[-2])
    for run in runs[:10]:
        engine.wait(run, timeout=120)
    for name in ("runs", "steps", "workers"):
        assert engine.views.verify(name) == []
    for row in engine.views.runs().items:
        state = engine.state(row.id)
        assert (row.status, row.events) == (
            state.status,
            state.version,
        ) or state.status not in CLOSED_RUN


def test_drift_is_found_wherever_it_is_and_a_rebuild_mends_it(opened: Open) -> None:
    engine = opened(partitions=1)
    for x in range(4):
        engine.run(FAILING, {"x": x}, timeout=120)
    assert engine.views.verify("runs") == []
    connection, keys = raw_store(engine)
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
        engine.run(FAILING, {"x": x}, timeout=120)
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
    runs = {engine.run(SINGLE, timeout=120).id for _ in range(3)}
    row = engine.views.views.get("per-step", "b")
    assert {run for document in row for run in document["runs"]} == runs
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
    connection, keys = raw_store(engine)
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
