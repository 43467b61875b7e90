"""One engine on a real server: time limits, cancelling, pausing, large payloads, keys, and ending in good order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eventstore.errors import NotJson
from executor.errors import PayloadOverLimit, RunNotFound
from executor.runs.codec import Limits
from openagents_json import tool
from openagents_json.engine import Engine, WaitTimeout
from openagents_json.workflow.errors import Rejected, UnknownEvent
from tests.conftest import Server, wait_for
from tests.integration.opened_engine import Open, components, steps, types


def begun(engine: Engine, run: str) -> bool:
    return "StepStarted" in types(engine, run)


@pytest.mark.parametrize("component", ["obedient", "sleeper"])
def test_cancelling_reaches_a_component_that_runs(opened: Open, component: str) -> None:
    engine = opened(lease_ms=1500)  # with which it is extended, a worker is told
    run = engine.start(
        steps({"id": "a", "component": component}, {"id": "b", "component": "quick"})
    )
    wait_for(lambda: begun(engine, run))
    engine.cancel(run, "enough")
    result = engine.wait(run, timeout=60)
    assert (result.status, engine.state(run).reason) == ("cancelled", "enough")
    assert "b" not in [
        step.id for step in engine.state(run).steps if step.status == "completed"
    ]
    with pytest.raises(Rejected):
        engine.pause(run)


def test_a_forced_cancel_does_not_wait(opened: Open) -> None:
    engine = opened()
    run = engine.start(
        steps({"id": "a", "component": "stubborn", "inputs": {"seconds": 2}})
    )
    wait_for(lambda: begun(engine, run))
    engine.cancel(run, force=True)
    assert engine.state(run).status == "cancelled"


def test_a_paused_run_finishes_what_runs_and_starts_nothing(opened: Open) -> None:
    engine = opened()
    run = engine.start(
        steps(
            {"id": "a", "component": "slow", "inputs": {"ms": 300}},
            {"id": "b", "component": "quick"},
        )
    )
    wait_for(lambda: begun(engine, run))
    engine.pause(run, "wait")
    wait_for(lambda: "StepCompleted" in types(engine, run))
    with pytest.raises(WaitTimeout):
        engine.wait(run, timeout=0.5)
    assert types(engine, run).count("StepStarted") == 1
    engine.resume(run)
    assert engine.wait(run, timeout=120).ok


@pytest.mark.parametrize("size", [100, 40_000, 3_000_000])
def test_payloads_of_any_size_arrive_whole(
    opened: Open, server: Server, size: int
) -> None:
    engine = opened()
    document = steps(
        {"id": "a", "component": "large", "inputs": {"size": size}},
        {"id": "b", "component": "measure", "inputs": {"text": "{{a.output.text}}"}},
        output={
            "length": "{{b.output}}",
            "whole": "{{a.output}}",
            "given": "{{input.text}}",
        },
        inputs={"text": {"type": "string"}},
    )
    result = engine.run(document, {"text": "y" * size}, timeout=120)
    whole = {"text": "x" * size, "blobs": [["output"], "0" * 64, 1], "size": size}
    assert result.output == {"length": size, "whole": whole, "given": "y" * size}
    fresh = opened(workers=0)
    assert fresh.wait(result.id) == result
    stream = engine.core.store.keys.stream(result.id)
    entries = server.connect().command(b"XRANGE", stream, b"-", b"+")
    assert max(len(field) for _, fields in entries for field in fields) < 40_000


def test_a_payload_over_the_limit_is_refused_by_step_and_field(opened: Open) -> None:
    engine = opened(limits=Limits(inline=1000, payload=10_000))
    with pytest.raises(
        PayloadOverLimit, match=r"the run: inputs\.text has 20002 bytes"
    ):
        engine.start(steps({"id": "a", "component": "quick"}), {"text": "x" * 20_000})
    result = engine.run(
        steps({"id": "a", "component": "large", "inputs": {"size": 20_000}}), timeout=20
    )
    assert result.error is not None
    assert (result.error["type"], result.error["step"]) == ("PayloadTooLarge", "a")
    assert "output has" in str(result.error["message"])
    doubled = steps(
        {"id": "a", "component": "large", "inputs": {"size": 8000}},
        {
            "id": "b",
            "component": "measure",
            "inputs": {"text": "{{a.output.text}}{{a.output.text}}"},
        },
    )
    result = engine.run(doubled, timeout=120)
    assert result.error is not None
    assert (
        result.error["step"],
        "inputs.text has" in str(result.error["message"]),
    ) == ("b", True)


@pytest.mark.parametrize(
    ("component", "inputs", "error"),
    [
        ("sleeper", {"seconds": "soon"}, "InvalidComponentInput"),
        ("measure", {"text": 5}, "InvalidComponentInput"),
        ("leaves", {}, "ComponentExit"),
        ("exits", {}, "SystemExit"),
        ("fail", {}, "ComponentError"),
    ],
)
def test_a_component_that_fails_takes_nothing_along(
    opened: Open, component: str, inputs: dict[str, Any], error: str
) -> None:
    engine = opened(workers=1)
    result = engine.run(
        steps({"id": "a", "component": component, "inputs": inputs}), timeout=10
    )
    assert result.error is not None
    assert (result.status, result.error["type"]) == ("failed", error)
    for other in ("waits", "quick"):
        assert engine.run(steps({"id": "a", "component": other}), timeout=10).ok


def test_a_component_may_turn_asynchronous_and_back_while_runs_wait_for_it(
    opened: Open,
) -> None:
    @tool("turns")
    def turns() -> str:
        return "sync"

    @tool("turns")
    async def turned() -> str:
        return "async"

    document = steps({"id": "a", "component": "turns"}, output="{{a.output}}")
    for before, after, says in ((turns, turned, "async"), (turned, turns, "sync")):
        run = opened(workers=0, components=[before]).start(document)
        working = opened(components=[after])
        assert working.wait(run, timeout=10).output == says
        working.close()


def test_workers_may_have_their_own_in_the_place_of_what_comes_with_the_engine(
    opened: Open,
) -> None:
    @tool("sleep")
    def sleep(hours: int) -> str:
        return f"{hours} h"

    opened(components=[sleep])
    result = opened(workers=0, components=[]).run(
        steps(
            {"id": "a", "component": "sleep", "inputs": {"hours": 8}},
            output="{{a.output}}",
        ),
        timeout=10,
    )
    assert result.output == "8 h"


def test_inputs_are_held_as_they_are_stored(opened: Open) -> None:
    engine = opened()
    document = steps({"id": "a", "component": "quick"}, output="{{input.x}}")
    run = engine.start(document, {"x": (1, {"k": (2,)})})
    assert (
        engine.state(run).inputs
        == {"x": [1, {"k": [2]}]}
        == opened(workers=0).state(run).inputs
    )
    for odd in ({1: 2}, float("nan"), b"x"):
        with pytest.raises(NotJson, match=r"^x"):
            engine.start(document, {"x": odd})


@pytest.mark.damages_store("an event of a run is taken away")
@pytest.mark.parametrize("component", ["quick", "waits"])
def test_a_run_that_cannot_be_read_stops_nobody_else(
    server: Server, component: str
) -> None:
    document, connection = steps({"id": "a", "component": component}), server.connect()
    store: dict[str, Any] = {
        "prefix": server.prefix(),
        "partitions": 1,
        "components": components(),
        "lease_ms": 500,
    }
    with Engine.connect(server.url, **store) as idle:
        odd, keys = idle.start(document), idle.core.store.keys
        fields = [
            "t",
            "FromTheFuture",
            "d",
            "{}",
            "m",
            "1",
            "n",
            "3",
            "c",
            "x",
            "a",
            "",
            "y",
            "",
        ]
        connection.command(b"XADD", keys.stream(odd), "3-0", *fields)
        connection.command(b"HSET", keys.head(odd), "v", "3", "lc", "x")
        connection.command(b"ZADD", keys.due(0), 1, f"w|{odd}")
        runs = idle.start_many([(document, {})] * 20)
        with Engine.connect(server.url, workers=2, **store) as busy:
            assert [busy.wait(run, timeout=120).status for run in runs] == [
                "completed"
            ] * 20
            with pytest.raises(UnknownEvent, match="a newer version"):
                busy.state(odd)
            later = busy.start(document)
            assert busy.wait(later, timeout=120).ok


def test_the_same_key_is_the_same_run_whoever_asks(opened: Open) -> None:
    one, two = opened(), opened(workers=0)
    document = steps({"id": "a", "component": "quick", "inputs": {"n": 1}})
    runs = {engine.start(document, idempotency_key="k") for engine in (one, two, one)}
    assert len(runs) == 1
    assert one.wait(runs.pop(), timeout=20).ok
    assert one.start(document, idempotency_key="other") not in runs


def test_the_context_is_the_same_key_in_every_attempt(opened: Open) -> None:
    engine = opened()
    result = engine.run(
        steps({"id": "a", "component": "key"}, output="{{a.output}}"), timeout=20
    )
    assert result.output == {
        "run": result.id,
        "step": "a",
        "key": f"{result.id}/a",
        "attempt": 1,
    }


@pytest.mark.parametrize(
    ("component", "status"),
    [
        ("stubborn", "completed"),
        ("obedient", "completed"),
        ("sleeper", "completed"),
        ("once", "failed"),
    ],
)
def test_closing_gives_work_back_and_starts_nothing_twice_that_may_not_be(
    opened: Open, component: str, status: str, tmp_path: Path
) -> None:
    marker, once = tmp_path / "begun", component == "once"
    inputs = {"seconds": 15, "marker": str(marker)} if once else {"seconds": 3}
    first = opened(lease_ms=1000 if once else 60_000)
    run = first.start(steps({"id": "a", "component": component, "inputs": inputs}))
    wait_for(
        lambda: begun(first, run) and (marker.exists() or not once)
    )  # what was not begun yet may start elsewhere
    first.close(grace_seconds=0)
    second = opened()
    result = second.wait(run, timeout=120)
    assert result.status == status
    assert types(second, run).count("StepStarted") == (1 if once else 2)
    if once:
        assert result.error is not None
        assert result.error["type"] == "UnknownOutcome"


def test_what_is_not_there_is_said_so(opened: Open) -> None:
    engine = opened()
    for ask in (
        engine.state,
        engine.history,
        engine.wait,
        engine.cancel,
        engine.pause,
        engine.resume,
    ):
        with pytest.raises(RunNotFound, match="there is no run '0-none'"):
            ask("0-none")


def test_runs_are_listed_newest_first_and_all_of_them(opened: Open) -> None:
    engine = opened(workers=0)
    started: list[str] = []
    for _ in range(3):
        started += engine.start_many(
            [(steps({"id": "a", "component": "quick"}), {})] * 150
        )
    listed = [info.id for info in engine.runs(limit=1000)]
    assert sorted(listed) == sorted(started)
    assert set(listed[:150]) == set(started[300:])
    assert [info.id for info in engine.runs(limit=7)] == listed[:7]
