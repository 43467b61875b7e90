"""Instances of agent classes: as many as may be, waited for, closed when idle or broken, each process its own."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import pytest

from openagents_json import agent, capability
from openagents_json.catalog.registry import Registry
from openagents_json.components.context import Context
from openagents_json.components.errors import InvalidDeclaration, NoInstance
from openagents_json.components.pool import InstancePool, PoolLimits
from tests.conftest import wait_for


class Noted:
    """Notes its life in a list that its class has."""

    notes: list[str]

    def __init__(self) -> None:
        self.healthy = True
        self.notes.append("made")

    def initialize(self) -> None:
        self.notes.append("initialized")

    def health_check(self) -> bool:
        return self.healthy

    def cleanup(self) -> None:
        self.notes.append("cleaned")


@pytest.fixture
def noted() -> type[Noted]:
    return type("Mine", (Noted,), {"notes": []})


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_no_more_instances_live_than_may_and_who_waits_gets_the_next(
    noted: type[Noted],
) -> None:
    pool = InstancePool(noted, limits=PoolLimits(instances=1))
    got: list[Any] = []

    def call() -> None:
        with pool.borrowed() as instance:
            got.append(instance)

    with pool.borrowed() as first:
        waiting = threading.Thread(target=call)
        waiting.start()
        wait_for(lambda: pool.statistics()["waits"] == 1)
        assert got == []
    waiting.join()
    assert got == [first]
    assert noted.notes == ["made", "initialized"]
    row = pool.statistics()
    assert (row["alive"], row["idle"], row["hits"], row["waits"]) == (1, 1, 1, 1)


def test_a_call_that_gets_no_instance_in_time_fails_and_may_be_tried_again(
    noted: type[Noted],
) -> None:
    limits = PoolLimits(instances=1, checkout_seconds=0)
    pool = InstancePool(noted, limits=limits)
    with (
        pool.borrowed(),
        pytest.raises(NoInstance, match="no instance of Mine was free within 0 s: 1"),
        pool.borrowed(),
    ):
        raise AssertionError("there was one")
    assert getattr(NoInstance, "retryable", True)
    assert pool.statistics()["timeouts"] == 1


def test_an_instance_that_cannot_be_made_leaves_its_room_to_the_next_call() -> None:
    class Unsure:
        tries = 0

        def initialize(self) -> None:
            Unsure.tries += 1
            if Unsure.tries == 1:
                raise ValueError("not yet")

    pool = InstancePool(Unsure, limits=PoolLimits(instances=1, checkout_seconds=0))
    with pytest.raises(ValueError, match="not yet"), pool.borrowed():
        raise AssertionError("it was not initialised")
    with pool.borrowed() as instance:
        assert isinstance(instance, Unsure)


def test_what_idles_for_too_long_is_closed(noted: type[Noted]) -> None:
    clock = Clock()
    pool = InstancePool(noted, limits=PoolLimits(idle_seconds=60), steady_seconds=clock)
    with pool.borrowed(), pool.borrowed():
        pass
    clock.seconds = 40.0
    with pool.borrowed():
        pass
    clock.seconds = 70.0
    pool.reap()
    assert noted.notes.count("cleaned") == 1
    row = pool.statistics()
    assert (row["alive"], row["expired"], row["oldest_seconds"]) == (1, 1, 70.0)


def test_what_is_given_back_after_the_end_is_closed_too(noted: type[Noted]) -> None:
    pool = InstancePool(noted)
    with pool.borrowed():
        pool.close()
        assert "cleaned" not in noted.notes
    assert noted.notes.count("cleaned") == 1
    assert pool.statistics()["alive"] == 0


def test_a_shared_instance_is_closed_once_and_replaced_when_broken(
    noted: type[Noted],
) -> None:
    pool = InstancePool(noted, shared=True)
    with pool.borrowed() as first, pool.borrowed() as same:
        assert first is same
        first.healthy = False
        with pool.borrowed() as second:
            assert second is not first
        assert "cleaned" not in noted.notes  # two calls use the broken one still
    assert noted.notes.count("cleaned") == 1
    pool.close()
    pool.close()
    assert noted.notes.count("cleaned") == 2


class OfLoop:
    """Has to be used on the event loop on which it was initialised."""

    notes: list[str]

    def __init__(self) -> None:
        self.healthy = True

    async def initialize(self) -> None:
        self.loop = asyncio.get_running_loop()
        await asyncio.sleep(0)
        self.notes.append("initialized")

    async def health_check(self) -> bool:
        return self.healthy

    async def cleanup(self) -> None:
        assert asyncio.get_running_loop() is self.loop
        self.notes.append("cleaned")


async def use(pool: InstancePool) -> Any:
    async with pool.borrowed_on_loop() as instance:
        assert asyncio.get_running_loop() is instance.loop
        await asyncio.sleep(0)
        return instance


def test_coroutines_share_an_instance_whose_hooks_run_on_their_loop_once() -> None:
    cls: Any = type("Mine", (OfLoop,), {"notes": []})
    pool = InstancePool(cls)

    async def lane() -> None:
        one, *others = await asyncio.gather(*(use(pool) for _ in range(5)))
        assert all(other is one for other in others)
        one.healthy = False
        assert await use(pool) is not one
        await pool.close_on_loop()
        await pool.close_on_loop()

    asyncio.run(lane())
    assert cls.notes == ["initialized", "cleaned", "initialized", "cleaned"]
    asyncio.run(lane())
    assert len(cls.notes) == 8


def test_who_is_cancelled_while_an_instance_is_made_leaves_it_to_the_others() -> None:
    cls: Any = type("Mine", (OfLoop,), {"notes": []})
    pool = InstancePool(cls)

    async def lane() -> None:
        first = asyncio.ensure_future(use(pool))
        await asyncio.sleep(0)
        second = asyncio.ensure_future(use(pool))
        first.cancel()
        assert isinstance(await second, cls)
        assert first.cancelled()

    asyncio.run(lane())
    assert cls.notes == ["initialized"]


def test_a_forked_child_neither_uses_nor_closes_what_it_inherits(
    noted: type[Noted],
) -> None:
    pool = InstancePool(noted)
    with pool.borrowed() as ours:
        pass
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        with pool.borrowed() as own:
            differs = own is not ours
        pool.close()
        os.write(writer, f"{differs} {noted.notes}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    told = os.read(reader, 1000).decode()
    assert told == f"True {['made', 'initialized', 'made', 'initialized', 'cleaned']}"
    with pool.borrowed() as again:
        assert again is ours
    assert noted.notes == ["made", "initialized"]


def test_a_pool_is_that_of_code_and_configuration_however_often_they_are_added() -> (
    None
):
    def declared(name: str, **options: Any) -> Any:
        return agent(name, **options)(Writer)

    class Writer:
        def __init__(self, config: dict[str, Any]) -> None:
            self.config = config

        @capability
        def write(self) -> int:
            return id(self)

        @capability
        def read(self) -> int:
            return id(self)

    registry = Registry()
    registry.add(declared("writer", config={"model": "a"}))
    registry.add(declared("writer", config={"model": "a"}))
    registry.add(declared("author", config={"model": "a"}))
    registry.add(declared("critic", config={"model": "b"}))
    results = [
        registry.resolve(name).invoke({}, None)
        for name in ("writer.write", "writer.read", "author.write", "critic.write")
    ]
    assert len(set(results[:3])) == 1
    assert results[3] != results[0]
    assert sorted(registry.agents.pools()) == ["critic", "writer"]
    assert registry.agents.statistics()["writer"]["hits"] == 2


def test_another_build_of_a_class_has_instances_of_its_own() -> None:
    class Writer:
        @capability
        def write(self) -> int:
            return id(self)

    registry = Registry()
    for version, build in (("1.0.0", "a"), ("1.1.0", "a"), ("2.0.0", "b")):
        registry.add(agent("writer", version=version, build=build)(Writer))
    one, other, new = (
        registry.resolve(f"writer.write@{version}").invoke({}, None)
        for version in ("1.0.0", "1.1.0", "2.0.0")
    )
    assert one == other != new


def test_options_of_a_pool_that_cannot_be_are_refused() -> None:
    for option in ({"instances": -1}, {"idle_seconds": "long"}):
        with pytest.raises(InvalidDeclaration):
            agent("a", **option)


def test_a_component_waits_for_an_instance_of_its_agent() -> None:
    @agent("one", instances=1, checkout_seconds=0)
    class One:
        @capability
        def nested(self, context: Context) -> str:
            with pytest.raises(NoInstance):
                registry.resolve("one.nested").invoke({}, context)
            return "refused"

    registry = Registry()
    registry.add(One)
    context: Any = object()
    assert registry.resolve("one.nested").invoke({}, context) == "refused"
