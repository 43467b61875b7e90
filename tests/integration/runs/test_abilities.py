"""Whoever works takes what it has the component for: a step that nobody can run waits, and is named."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from eventstore.redis.driver.scripts import PlainCall
from eventstore.run_model import ClaimRequest
from openagents_json import Context
from openagents_json.catalog.registry import Registry
from openagents_json.engine import Engine, Settings
from openagents_json.engine.diagnosis.doctor import diagnose
from openagents_json.workflow.component_spec import ComponentSpec
from tests.conftest import Server, SharedServers, wait_for

Open = Callable[..., Engine]


def having(*names: str, is_async: bool = False) -> Registry:
    """Make components that say which thread ran them: "name" or "name@version"."""
    registry = Registry()
    for full in names:
        name, _, version = full.partition("@")

        def here() -> str:
            return threading.current_thread().name

        async def here_async() -> str:
            return here()

        registry.tool(name, version=version or "1.0.0", effect="pure")(
            here_async if is_async else here
        )
    return registry


@pytest.fixture
def opened(server: Server) -> Iterator[Open]:
    """Open engines with components on one store; they end with the test, and the store must be in order then."""
    prefix, engines = server.prefix(), []

    def begin(components: Registry, workers: int = 1, **options: Any) -> Engine:
        options = {"prefix": prefix, "partitions": 2, "lease_ms": 30_000, **options}
        engines.append(
            Engine.connect(
                server.url, components=components, workers=workers, **options
            )
        )
        return engines[-1]

    yield begin
    assert begin(Registry(), 0).doctor() == []
    for engine in engines:
        engine.close(grace_seconds=0)


def client(opened: Open, *specs: ComponentSpec) -> Engine:
    """Open an engine that starts runs of components that others have, or nobody."""
    registry = Registry()
    for spec in specs:
        registry.add_spec(spec)
    return opened(registry, 0)


def chain(*components: str, **document: Any) -> dict[str, Any]:
    return {
        "id": "w",
        "steps": [{"id": f"s{i}", "component": c} for i, c in enumerate(components)],
        **document,
    }


def begun(engine: Engine, run: str) -> list[str]:
    return [
        event.type
        for event in engine.history(run)
        if event.type in ("StepStarted", "StepReleased")
    ]


@pytest.mark.parametrize("is_async", [False, True])
def test_workers_with_other_components_leave_each_other_their_steps(
    opened: Open, is_async: bool
) -> None:
    one, other = (
        opened(having("a", is_async=is_async), 2),
        opened(having("b", is_async=is_async), 2),
    )
    engine = client(opened, *one.registry.specs(), *other.registry.specs())
    runs = engine.start_many(
        [(chain("a", "b", "a", "b"), {}), (chain("b", "a", execution="graph"), {})] * 10
    )
    assert all(engine.wait(run, timeout=60).ok for run in runs)
    for run in runs:
        started = [
            event for event in engine.history(run) if event.type == "StepStarted"
        ]
        assert begun(engine, run) == ["StepStarted"] * len(started)
        own = {"a": one, "b": other}
        kinds = (
            engine.plan(chain("a", "b", "a", "b"))
            if len(started) == 4
            else engine.plan(chain("b", "a"))
        )
        for event in started:
            worker = own[str(kinds.of(str(event.step)).component)]._worker
            assert worker is not None
            assert str(event.worker).startswith(worker.name)


def test_a_step_whose_component_nobody_has_waits_until_somebody_has_it(
    opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    opened(having("a"), 2)
    engine = client(opened, ComponentSpec("a"), ComponentSpec("late"))
    with caplog.at_level(logging.WARNING):
        run = engine.start(chain("a", "late"))
        others = engine.start_many([(chain("a"), {})] * 20)
        assert all(engine.wait(other, timeout=120).ok for other in others)
        wait_for(lambda: "the component late" in caplog.text)
    assert begun(engine, run) == ["StepStarted"]
    told = [f for f in diagnose(engine, Settings()).findings if f.code == "component"]
    assert [f.level for f in told] == ["error"]
    assert "1 step waits for the component late" in told[0].what
    assert "component late, which no live worker has" in "\n".join(
        engine.explain(run).lines()
    )
    opened(having("late"))
    assert engine.wait(run, timeout=120).ok
    assert begun(engine, run) == ["StepStarted"] * 2
    assert not [
        f for f in diagnose(engine, Settings()).findings if f.code == "component"
    ]


def test_a_step_that_nobody_can_run_fails_by_its_own_limits_only(opened: Open) -> None:
    opened(having("a"), 2)
    engine = client(opened, ComponentSpec("late"))
    limited = {
        "id": "w",
        "steps": [
            {"id": "s", "component": "late", "timeouts": {"schedule_to_start": 1}}
        ],
    }
    result = engine.wait(engine.start(limited), timeout=20)
    assert (result.status, result.error and result.error["kind"]) == (
        "failed",
        "schedule_to_start",
    )
    result = engine.wait(engine.start(chain("late", timeout=1)), timeout=20)
    assert (result.status, result.error and result.error["kind"]) == ("failed", "run")
    run = engine.start(chain("late"))
    wait_for(lambda: "s0" in aside(engine, "late"))
    engine.pause(run)
    assert aside(engine, "late") == set()
    engine.resume(run)
    wait_for(lambda: "s0" in aside(engine, "late"))
    engine.cancel(run)
    assert engine.wait(run, timeout=120).status == "cancelled"
    assert aside(engine, "late") == set()


def aside(engine: Engine, component: str) -> set[str]:
    """Return the steps that were set aside."""
    keys = engine.core.store.keys
    calls = [
        PlainCall((b"ZRANGE", keys.ready(p, f"tool|{component}"), 0, -1))
        for p in range(keys.partitions)
    ]
    return {
        key.decode().partition("|")[2]
        for reply in engine.core.store.call(calls)
        for key in reply
    }


@pytest.mark.parametrize("reference", ["a@^2.0", "a@1.x || >=2.1 <3"])
def test_ranges_are_taken_by_who_has_such_a_version(
    opened: Open, reference: str
) -> None:
    opened(having("a@3.0.0"), 2)
    engine = client(opened, ComponentSpec("a", "2.5.0"))
    run = engine.start(chain(reference, reference))
    plain = engine.start_many([(chain("a"), {})] * 5)
    assert all(engine.wait(other, timeout=120).ok for other in plain)
    assert begun(engine, run) == []
    opened(having("a@2.5.0"))
    assert engine.wait(run, timeout=120).ok
    assert begun(engine, run) == ["StepStarted"] * 2


def test_a_batch_ends_where_its_worker_lacks_the_next_component(opened: Open) -> None:
    one, other = opened(having("a")), opened(having("b"))
    engine = client(opened, *one.registry.specs(), *other.registry.specs())
    run = engine.start(
        chain("a", "a", "b", "b", "a", persistence={"mode": "checkpoint"})
    )
    assert engine.wait(run, timeout=120).ok
    assert "StepReleased" not in begun(engine, run)


def test_a_queue_full_of_what_nobody_can_run_holds_up_nobody(opened: Open) -> None:
    engine = client(opened, ComponentSpec("late"), ComponentSpec("a"))
    engine.start_many([(chain("late", labels={}) | {"id": "full"}, {})] * 300)
    run = engine.start(chain("a"))
    store, names = engine.core.store, having("a")
    for partition in range(2):
        store.tell(partition, names.fingerprint, {"a": True, "late": False})
    looks = 0
    claims: list[Any] = []
    while not claims:
        requests = [
            ClaimRequest(p, "tool", 1, f"{p}-{looks}", names.fingerprint)
            for p in range(2)
        ]
        replies = store.claim(requests, worker="w:1:aaaaa/1", lease_ms=100)
        claims, looks = (
            [c.lease.run for reply in replies for c in reply.claimed],
            looks + 1,
        )
    assert claims == [run]
    assert looks <= 4
    assert all(reply.left == 0 for reply in replies)
    opened(having("a"))
    assert engine.wait(run, timeout=120).ok


def test_steps_that_older_versions_made_ready_are_run(opened: Open) -> None:
    engine = client(opened, ComponentSpec("a"), ComponentSpec("b"))
    runs = engine.start_many([(chain("a"), {}), (chain("b"), {})] * 5)
    store = engine.core.store
    store.call([PlainCall((b"HDEL", store.keys.head(run), b"c:s0")) for run in runs])
    opened(having("a"))
    assert all(engine.wait(run, timeout=120).ok for run in runs[::2])
    opened(having("b"))
    assert all(engine.wait(run, timeout=120).ok for run in runs)


def test_a_component_that_a_program_adds_while_it_works_is_taken(opened: Open) -> None:
    engine = opened(having("a"))
    engine.registry.add_spec(ComponentSpec("b"))
    run = engine.start(chain("a", "b"))
    wait_for(lambda: "s1" in aside(engine, "b"))
    engine.registry.tool("b", version="0.1.0", effect="pure")(lambda: 1)
    assert engine.wait(run, timeout=120).ok


def test_of_asynchronous_steps_fewer_run_where_that_is_told_while_more_do(
    shared_servers: SharedServers,
) -> None:
    """One that ends gives its slot to the next step of its run, but where too many run."""
    server = shared_servers.of("valkey")
    registry, may_end, begun = Registry(), threading.Semaphore(0), list[str]()

    @registry.tool("stays")
    async def stay(context: Context) -> None:
        begun.append(context.step_id)
        while not may_end.acquire(blocking=False):
            await asyncio.sleep(0.01)

    document = chain("stays", "stays")
    with Engine.connect(
        server.url,
        prefix=server.prefix(),
        components=registry,
        workers=1,
        partitions=1,
    ) as engine:
        runs = engine.start_many([(document, {})] * 12)
        wait_for(lambda: len(begun) == 12)
        engine.control.concurrency(2, worker_type="tool")
        wait_for(lambda: any("told" in x for x in engine.workers().values()))
        may_end.release(10)

        def completed() -> int:
            types = [event.type for run in runs for event in engine.history(run)]
            return types.count("StepCompleted")

        wait_for(lambda: completed() == 10)
        assert begun == ["s0"] * 12
        may_end.release(14)
        assert all(engine.wait(run, timeout=120).ok for run in runs)
