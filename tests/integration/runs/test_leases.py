"""Leases by worker type: each claim, each heartbeat, and what the doctor says, by the length of its own."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from eventstore.redis.driver.scripts import PlainCall
from openagents_json import tool
from openagents_json.components.decorators import Effect
from openagents_json.engine import Engine
from openagents_json.engine.diagnosis.doctor import diagnose
from openagents_json.engine.errors import InvalidSetting
from openagents_json.engine.settings import Settings, from_environment
from tests.conftest import Server, wait_for

LEASES = {"brief": 900, "lengthy": 600_000}


def components(go_on: threading.Event, effect: Effect) -> list[Any]:
    def component(name: str) -> Any:
        @tool(name, queue=name.partition("_")[0], effect=effect)
        def wait(n: int = 0) -> int:
            if n:
                go_on.wait(60)
            return n

        @tool(f"{name}_async", queue=name, effect=effect)
        async def wait_async() -> None:
            while not go_on.is_set():
                await tick()

        return [wait, wait_async]

    return [*component("brief"), *component("lengthy")]


async def tick() -> None:
    import asyncio

    await asyncio.sleep(0.01)


def doc(queue: str) -> dict[str, Any]:
    """Make a document whose second step comes by the commit of the first."""
    steps = [{"id": f"s{n}", "component": queue, "inputs": {"n": n}} for n in (0, 1)]
    return {"id": queue, "steps": steps}


def left_ms(engine: Engine, run: str, step: str) -> float:
    """Return how long the lease of a step lasts from now on, 0 when there is none."""
    store = engine.core.store
    due = store.keys.due(store.keys.partition_of(run))
    [score] = store.call([PlainCall((b"ZSCORE", due, f"l|{run}|{step}".encode()))])
    return float(score) - store.now_ms() if score is not None else 0


@pytest.mark.parametrize("effect", ["idempotent", "at_most_once"])
def test_claims_and_heartbeats_give_each_step_the_lease_of_its_type(
    server: Server, effect: Effect
) -> None:
    go_on = threading.Event()
    options: dict[str, Any] = {
        "workers": 4,
        "components": components(go_on, effect),
        "partitions": 2,
        "lease_ms": 5000,
    }
    with Engine.connect(
        server.url, prefix=server.prefix(), leases=LEASES, **options
    ) as engine:
        runs = {queue: engine.start(doc(queue), {}) for queue in LEASES}
        lanes = {
            q: engine.start(
                {"id": q, "steps": [{"id": "s1", "component": f"{q}_async"}]}, {}
            )
            for q in LEASES
        }
        each = [
            (queue, run)
            for by_queue in (runs, lanes)
            for queue, run in by_queue.items()
        ]
        wait_for(lambda: all(left_ms(engine, run, "s1") > 0 for _, run in each))
        keeper = engine._worker.runtime.keeper  # type: ignore[union-attr]
        last = [job for job in keeper.jobs() if job.lease.step == "s1"]
        held = {
            job.lease: keeper.held(job.lease).extended  # type: ignore[union-attr]
            for job in last
            if job.step.queue.startswith("brief")
        }
        wait_for(
            lambda: all(
                (now := keeper.held(x)) is None or now.extended > then
                for x, then in held.items()
            )
        )
        for queue, run in each:
            left = left_ms(engine, run, "s1")
            assert left <= 900 if queue == "brief" else 500_000 < left <= 600_000
        lines = "\n".join(diagnose(engine, Settings(url=server.url)).lines())
        assert "brief (lease 0.9 s), lengthy (lease 600 s)" in lines
        go_on.set()
        assert all(engine.wait(run, timeout=120).ok for _, run in each)
        assert engine.doctor() == []


def test_what_is_said_of_no_type_holds_for_all_others(server: Server) -> None:
    go_on = threading.Event()
    options: dict[str, Any] = {
        "workers": 2,
        "components": components(go_on, "idempotent"),
        "partitions": 1,
        "lease_ms": 300_000,
    }
    with Engine.connect(
        server.url, prefix=server.prefix(), leases={"lengthy": 600_000}, **options
    ) as engine:
        run = engine.start(doc("brief"), {})
        wait_for(lambda: left_ms(engine, run, "s1") > 0)
        assert 200_000 < left_ms(engine, run, "s1") <= 300_000
        go_on.set()
        assert engine.wait(run, timeout=120).ok


@pytest.mark.parametrize(
    ("text", "leases"),
    [
        ("", {}),
        ("agent=60s,tool=5s", {"agent": 60_000, "tool": 5000}),
        (" agent = 1.5m , gpu=750 ", {"agent": 90_000, "gpu": 750}),
        ("tool=300ms,", {"tool": 300}),
    ],
)
def test_leases_are_read_as_people_write_them(
    text: str, leases: dict[str, int]
) -> None:
    settings = from_environment({"OPENAGENTS_LEASES": text})
    assert settings.leases == leases
    assert settings.lease_ms == 10_000


@pytest.mark.parametrize("leases", [{"agent": 1}, {"agent": 3_600_001}])
def test_a_program_is_told_of_a_lease_that_cannot_be(
    server: Server, leases: dict[str, int]
) -> None:
    with pytest.raises(InvalidSetting, match="setting leases: the lease of 'agent' is"):
        Engine.connect(server.url, prefix=server.prefix(), leases=leases)
