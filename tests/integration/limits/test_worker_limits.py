"""What a worker type allows its steps: time, attempts, and how many wait behind another one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from openagents_json import capability
from openagents_json.catalog.registry import Registry
from openagents_json.components.context import Context
from openagents_json.engine import Engine, Settings
from openagents_json.engine.profiles.worker_type import WorkerType
from openagents_json.engine.worker_types.settle import work_settings
from tests.conftest import Server, wait_for

Open = Callable[..., Engine]


class Held:
    """Components that wait until they are let go, and that fail."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.registry = Registry()
        self.held = 0
        self.count_held: Callable[[], int] = lambda: 0

        @self.registry.tool("hold", effect="idempotent")
        def hold() -> int:
            assert self.go_on.wait(60)
            return 1

        @self.registry.tool("obey", effect="idempotent")
        def obey(context: Context) -> int:
            context.token.wait(60)
            context.raise_if_cancelled()
            return 1

        @self.registry.tool("fail", effect="idempotent")
        def fail() -> int:
            raise ConnectionError("down")

        @self.registry.tool("number", effect="pure")
        def number(n: int = 0) -> int:
            self.held = max(self.held, self.count_held())
            return n


@pytest.fixture
def held() -> Iterator[Held]:
    components = Held()
    yield components
    components.go_on.set()


@pytest.fixture
def begin(server: Server, held: Held) -> Iterator[Open]:
    """Open an engine whose threads work as a worker type says."""
    opened: list[Engine] = []

    def start(**limits: Any) -> Engine:
        settings = Settings(
            url=server.url,
            prefix=server.prefix(),
            partitions=1,
            lease_ms=30_000,
            worker_types={"tool": WorkerType(**limits)},
        )
        opened.append(Engine.open(settings, components=held.registry, workers=1))
        return opened[-1]

    yield start
    held.go_on.set()
    for engine in opened:
        assert engine.doctor() == []
        engine.close()


def one(component: str, **step: Any) -> dict[str, Any]:
    return {"id": "w", "steps": [{"id": "a", "component": component, **step}]}


def count(engine: Engine, run: str, kind: str) -> int:
    return [event.type for event in engine.history(run)].count(kind)


@pytest.mark.parametrize("component", ["hold", "obey"])
def test_an_attempt_ends_when_its_worker_type_gives_it_no_more_time(
    begin: Open, component: str
) -> None:
    engine = begin(step_seconds=0.3)
    failed = engine.run(one(component), timeout=60)
    assert failed.error is not None
    assert failed.error["type"] == "TimeoutError"
    assert "0.3 s is over" in failed.error["message"]


def test_a_step_has_no_more_attempts_than_its_worker_type_allows(begin: Open) -> None:
    engine = begin(max_attempts=2)
    tried = one("fail", retry={"max_retries": 9, "delay_seconds": 0})
    failed = engine.run(tried, timeout=60)
    assert not failed.ok
    assert count(engine, failed.id, "StepStarted") == 2
    engine.retry(failed.id)
    engine.wait(failed.id, timeout=60)
    assert count(engine, failed.id, "StepStarted") == 4


@pytest.mark.parametrize("server", ["valkey"], indirect=True)
def test_a_step_has_no_more_time_and_attempts_than_its_component_declares(
    server: Server,
) -> None:
    registry = Registry()

    @registry.agent("writer", max_attempts=2)
    class Writer:
        @capability(effect="idempotent", step_seconds=0.3)
        def fail(self, context: Context) -> None:
            if context.attempt == 1:
                context.token.wait(60)
            raise ConnectionError("down")

    with Engine.connect(
        server.url, prefix=server.prefix(), components=registry, workers=1, partitions=1
    ) as engine:
        tried = one("writer.fail", retry={"max_retries": 9, "delay_seconds": 0})
        failed = engine.run(tried, timeout=60)
        assert failed.error is not None
        assert failed.error["type"] == "ConnectionError"
        assert count(engine, failed.id, "StepTimedOut") == 1
        assert count(engine, failed.id, "StepStarted") == 2


def test_with_a_prefetch_of_one_no_step_waits_behind_another(
    begin: Open, held: Held
) -> None:
    engine = begin(prefetch=1)
    # Short steps first: a slot that may takes many of those at a time.
    assert all(engine.wait(run, timeout=60).ok for run in numbers(engine, 40))
    runs = engine.start_many([(one("hold"), {})] * 6)
    wait_for(lambda: sum(count(engine, run, "StepStarted") for run in runs) > 0)
    assert sum(count(engine, run, "StepStarted") for run in runs) == 1
    assert [count(engine, run, "StepReleased") for run in runs] == [0] * 6
    held.go_on.set()
    assert all(engine.wait(run, timeout=60).ok for run in runs)
    assert sum(count(engine, run, "StepStarted") for run in runs) == 6


def numbers(engine: Engine, many: int) -> list[str]:
    return list(engine.start_many([(one("number"), {})] * many))


def test_with_a_prefetch_of_one_a_long_run_does_not_keep_others_waiting(
    begin: Open, held: Held
) -> None:
    """Each outcome brings the next step of its run along: the slot looks up all the same, and holds no second one."""
    engine = begin(prefetch=1)
    worker = engine._worker
    assert worker is not None
    held.count_held = lambda: len(worker.runtime.keeper.jobs())
    long = {
        "id": "long",
        "steps": [
            {
                "id": "each",
                "foreach": list(range(1500)),
                "max_concurrency": 1,
                "component": "number",
            }
        ],
    }
    first = engine.start(long)
    wait_for(lambda: count(engine, first, "StepCompleted") > 5)
    short = numbers(engine, 5)
    assert all(engine.wait(run, timeout=60).ok for run in short)
    assert engine.state(first).status == "running"
    assert held.held == 1
    engine.cancel(first)
    engine.wait(first, timeout=60)


def test_slots_of_a_type_are_as_many_as_it_says(begin: Open) -> None:
    settings = Settings(
        worker_types={
            "tool": WorkerType(concurrency=3),
            "gpu": WorkerType(queue="x"),
        }
    )
    work = work_settings(settings, ("tool", "x", "agent"))
    assert [work.slots_of(queue) for queue in ("tool", "x", "agent")] == [3, 4, 4]


def test_instances_are_seen_among_the_workers_and_closed_once_at_the_end(
    server: Server,
) -> None:
    notes: list[str] = []
    registry = Registry()

    @registry.agent("writer")
    class Writer:
        async def initialize(self) -> None:
            self.loop = asyncio.get_running_loop()
            notes.append("initialized")

        async def cleanup(self) -> None:
            assert asyncio.get_running_loop() is self.loop
            notes.append("cleaned")

        @capability
        async def write(self) -> bool:
            return asyncio.get_running_loop() is self.loop

    with Engine.connect(
        server.url, prefix=server.prefix(), components=registry, workers=1, partitions=1
    ) as engine:
        results = [engine.run(one("writer.write"), timeout=60) for _ in range(3)]
        assert [result.ok for result in results] == [True] * 3
        worker = engine._worker
        assert worker is not None
        worker._instances.look()
        [row] = engine.views.workers()
        assert row.instances["writer"]["created"] == 1
        assert row.instances["writer"]["hits"] == 2
    assert notes == ["initialized", "cleaned"]
