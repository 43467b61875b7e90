"""`max_elapsed_seconds` on a real server: by its clock alone, across workers, runs and ways to store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from eventstore.run_model import ClaimRequest
from openagents_json import tool
from openagents_json.catalog.registry import Registry
from openagents_json.engine import Engine
from openagents_json.testing import replay
from tests.conftest import Server, wait_for
from tests.integration.limits.skewed import PARTITIONS, open_skewed

HOUR = 3600
SHORT = {
    "max_retries": 1000,
    "delay_seconds": 0.05,
    "backoff_multiplier": 1.5,
    "max_elapsed_seconds": 0.4,
}
AMPLE = {"max_retries": 2, "delay_seconds": 0.05, "max_elapsed_seconds": 600}


def registry(**functions: Callable[..., Any]) -> Registry:
    components = Registry()

    def down() -> None:
        raise ConnectionError("down")

    for name, function in {"down": down, "ok": lambda: 1, **functions}.items():
        components.add(tool(name, effect="idempotent")(function))
    return components


def doc(retry: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "id": "w",
        "steps": [{"id": "a", "component": "down", "retry": retry}],
        **more,
    }


def begun(engine: Engine, run: str, step: str = "a") -> list[int]:
    return [
        x.time_ms
        for x in engine.history(run)
        if x.type == "StepStarted" and x.data["step"] == step
    ]


def reasons(engine: Engine, run: str) -> list[str]:
    return [
        x.data.get("reason", "")
        for x in engine.history(run)
        if x.type in ("StepFailed", "StepTimedOut")
    ]


def check(engine: Engine, run: str) -> None:
    """See that a run has failed for want of time, and that each of its attempts was in time."""
    result = engine.wait(run, timeout=40)
    assert (result.status, (result.error or {}).get("type")) == (
        "failed",
        "ConnectionError",
    )
    times = begun(engine, run)
    assert all(
        at - times[0] <= 400 for at in times[:-1]
    )  # the last may have been claimed too late, and not begun
    assert set(reasons(engine, run)[:-1]) <= {""}
    assert reasons(engine, run)[-1] == "max_elapsed"


@pytest.mark.parametrize("ahead_s", [HOUR, -HOUR])
def test_it_is_measured_by_the_clock_of_the_server(
    server: Server, ahead_s: int
) -> None:
    prefix, components = server.prefix(), registry()
    with (
        open_skewed(server.url, prefix, ahead_s, components) as engine,
        Engine.connect(
            server.url,
            prefix=prefix,
            workers=1,
            components=components,
            partitions=PARTITIONS,
        ) as other,
    ):
        short, ample = engine.start(doc(SHORT), {}), engine.start(doc(AMPLE), {})
        check(other, short)
        assert other.wait(ample, timeout=40).status == "failed"
        assert (len(begun(other, ample)), reasons(other, ample)) == (3, ["", "", ""])
        assert other.doctor() == []


@pytest.mark.parametrize("mode", ["step", "checkpoint", "outcome"])
def test_it_holds_in_every_way_to_store_a_run(server: Server, mode: str) -> None:
    with Engine.connect(
        server.url,
        prefix=server.prefix(),
        workers=2,
        components=registry(),
        partitions=2,
    ) as engine:
        document = doc(SHORT, persistence={"mode": mode})
        document["steps"] = [{"id": "first", "component": "ok"}, *document["steps"]]
        run = engine.start(document, {})
        check(engine, run)
        history = [{"type": x.type, "data": x.data} for x in engine.history(run)]
        assert replay(document, history, real=()) is None
        assert "max_elapsed" in "\n".join(engine.explain(run).lines())
        engine.retry(run)
        wait_for(lambda: reasons(engine, run).count("max_elapsed") == 2)
        assert engine.doctor() == []


def test_a_step_whose_worker_died_is_not_begun_again_when_its_time_is_over(
    server: Server,
) -> None:
    prefix, components = server.prefix(), registry()
    with Engine.connect(
        server.url, prefix=prefix, components=components, partitions=1, workers=0
    ) as engine:
        run = engine.start(doc({**SHORT, "max_elapsed_seconds": 0.01}), {})
        engine.core.store.tell(0, "dead", {"down": True})
        [reply] = engine.core.store.claim(
            [ClaimRequest(0, "tool", 1, "c", "dead")], worker="dead:1:a/1", lease_ms=50
        )
        assert len(reply.claimed) == 1
        with Engine.connect(
            server.url, prefix=prefix, components=components, workers=1, partitions=1
        ):
            result = engine.wait(run, timeout=120)
        assert (result.error or {})["type"] == "WorkerLost"
        assert (len(begun(engine, run)), reasons(engine, run)) == (1, ["max_elapsed"])
        assert engine.doctor() == []


def test_a_retry_that_waited_too_long_is_claimed_and_not_begun(server: Server) -> None:
    calls: list[str] = []
    runs: list[str] = []

    def down() -> None:
        calls.append("down")
        wait_for(lambda: bool(runs))
        engine.pause(runs[0])
        raise ConnectionError("down")

    with Engine.connect(
        server.url,
        prefix=server.prefix(),
        workers=1,
        components=registry(down=down),
        partitions=1,
    ) as engine:
        runs.append(run := engine.start(doc(SHORT), {}))
        wait_for(lambda: bool(reasons(engine, run)))
        wait_for(lambda: engine.core.store.now_ms() > begun(engine, run)[0] + 500)
        engine.resume(run)
        check(engine, run)
        assert calls == ["down"]
        assert engine.doctor() == []


def test_a_workflow_that_is_tried_again_is_limited_too(server: Server) -> None:
    with Engine.connect(
        server.url,
        prefix=server.prefix(),
        workers=2,
        components=registry(),
        partitions=2,
    ) as engine:
        engine.publish(
            {
                "id": "child",
                "version": "1.0.0",
                "steps": [{"id": "x", "component": "down"}],
            }
        )
        run = engine.start(
            {"id": "w", "steps": [{"id": "a", "workflow": "child", "retry": SHORT}]}, {}
        )
        result = engine.wait(run, timeout=40)
        assert (result.status, (result.error or {}).get("type")) == (
            "failed",
            "ConnectionError",
        )
        assert reasons(engine, run)[-1] == "max_elapsed"
        times = [x.time_ms for x in engine.history(run) if x.type == "ChildStarted"]
        assert all(at - times[0] <= 400 for at in times[:-1])
        assert engine.doctor() == []
