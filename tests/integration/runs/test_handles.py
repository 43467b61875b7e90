"""Handles of runs: what a program asks of one run, in threads and on an event loop."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import pickle
import signal
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel

from eventstore.redis.emissions import Emissions
from openagents_json import Context, Registry
from openagents_json.engine import (
    Engine,
    KeyConflict,
    OutputMismatch,
    RunCancelledError,
    RunFailedError,
    RunHandle,
    RunNotFound,
    StepFailedError,
    StoreUnavailable,
    WaitTimeout,
)
from openagents_json.engine.handles.watcher import RunWatcher
from tests.conftest import Server, wait_for

WAITS: dict[str, Any] = {"id": "waits", "steps": [{"id": "w", "wait_for": "go"}]}
FAILS: dict[str, Any] = {"id": "fails", "steps": [{"id": "s", "component": "fail"}]}
TALKS: dict[str, Any] = {
    "id": "talks",
    "steps": [{"id": "s", "component": "talk"}],
    "output": {"words": "{{s.output}}"},
}
WATCHER = "openagents-watcher"


class Spoken(BaseModel):
    words: int


class Other(BaseModel):
    other: str


def engine_of(server: Server, prefix: str) -> Engine:
    registry = Registry()

    @registry.tool("fail")
    def fail() -> None:
        raise ValueError("no such order")

    @registry.tool("talk")
    def talk(context: Context) -> int:
        for word in range(3):
            context.emit(word)
        return 3

    return Engine.connect(
        server.url, prefix=prefix, components=registry, workers=2, partitions=2
    )


@pytest.fixture
def engine(server: Server) -> Iterator[Engine]:
    with engine_of(server, server.prefix()) as opened:
        yield opened


def test_a_handle_is_the_id_wherever_an_id_is_wanted(engine: Engine) -> None:
    run = engine.start(TALKS)
    engine.wait(run, timeout=120)
    assert engine.state(run).id == run == run.id == f"{run}"
    assert type(run.id) is str
    assert json.loads(json.dumps({run: run})) == {run.id: run.id}
    assert type(pickle.loads(pickle.dumps(run))) is str
    assert type(copy.deepcopy(run)) is str
    waiting = engine.start(WAITS)
    engine.signal(waiting, "go", {"from": run})
    assert waiting.result(timeout=20) == {"w": {"from": run}}


def test_runs_that_are_started_together_have_handles(engine: Engine) -> None:
    runs = engine.start_many(
        [(TALKS, {}), (FAILS, {}), (WAITS, {})], keys=["a", "b", "a"]
    )
    talks, fails, refused = runs
    assert talks.result(timeout=20) == {"words": 3}
    with pytest.raises(RunFailedError):
        fails.result(timeout=20)
    assert [event.type for event in talks.events()][-1] == "RunCompleted"
    assert [run.ok for run in runs] == [True, True, False]
    assert all(isinstance(run, RunHandle) for run in runs)
    assert pickle.loads(pickle.dumps(talks)) == copy.deepcopy(talks) == talks.id

    async def both() -> Any:
        return await asyncio.gather(talks, refused, return_exceptions=True)

    # What never began has nothing to wait for.
    assert asyncio.run(both()) == [{"words": 3}, refused.error]
    with pytest.raises(KeyConflict):
        refused.result()


def test_a_result_is_the_output_as_the_type_that_was_named(engine: Engine) -> None:
    run = engine.start(TALKS, output=Spoken)
    assert run.result(timeout=20).words == 3
    assert run.output == Spoken(words=3)
    assert engine.start(TALKS).result(timeout=20) == {"words": 3}
    with pytest.raises(OutputMismatch, match="is no Other: other: ") as refused:
        RunHandle(run, engine, Other).result(timeout=20)
    assert (refused.value.run, refused.value.model) == (run, "Other")


def test_a_result_raises_what_the_run_ended_by(engine: Engine) -> None:
    failed = engine.start(FAILS)
    with pytest.raises(
        RunFailedError, match="failed: step s: ValueError: no such"
    ) as end:
        failed.result(timeout=20)
    assert isinstance(end.value.__cause__, StepFailedError)
    cause = end.value.__cause__
    assert (cause.type, cause.message, cause.step) == (
        "ValueError",
        "no such order",
        "s",
    )
    waiting = engine.start(WAITS)
    with pytest.raises(WaitTimeout):
        _ = waiting.output
    engine.cancel(waiting)
    with pytest.raises(RunCancelledError):
        waiting.result(timeout=20)
    with pytest.raises(RunNotFound):
        RunHandle[Any]("0-none", engine).result(timeout=20)


def test_events_and_emissions_are_followed_until_the_end(engine: Engine) -> None:
    run = engine.start(TALKS)
    types = [event.type for event in run.events()]
    assert types == [event.type for event in engine.history(run)]
    assert types[-1] == "RunCompleted"
    assert [entry.value for entry in run.emissions()] == [0, 1, 2]
    first = next(run.emissions())
    assert [entry.value for entry in run.emissions(after=first.id)] == [1, 2]
    assert list(run.events(after=len(types))) == []
    with pytest.raises(RunNotFound):
        next(RunHandle[Any]("0-none", engine).events())


def test_an_event_loop_is_told_as_a_thread_is(engine: Engine) -> None:
    async def program() -> None:
        run = await asyncio.to_thread(engine.start, TALKS)
        handle = RunHandle(run, engine, Spoken)
        types = [event.type async for event in handle.aevents()]
        assert types == [event.type for event in handle.events()]
        assert [entry.value async for entry in handle.aemissions()] == [0, 1, 2]
        assert await handle == Spoken(words=3)
        with pytest.raises(RunFailedError):
            await engine.start(FAILS)
        with pytest.raises(RunNotFound):
            await RunHandle[Any]("0-none", engine)

    asyncio.run(program())


def test_hundreds_are_awaited_by_one_thread_that_ends_with_them(engine: Engine) -> None:
    runs = [engine.start(WAITS) for _ in range(300)]

    async def program() -> None:
        waits = [asyncio.ensure_future(_of(run)) for run in runs]
        gone = asyncio.ensure_future(_of(runs[0]))
        await asyncio.sleep(0)  # all have begun
        gone.cancel()
        names = [thread.name for thread in threading.enumerate()]
        assert names.count(WATCHER) == 1
        for run in runs:
            await asyncio.to_thread(engine.signal, run, "go", 7)
        await asyncio.gather(*waits)
        assert gone.cancelled()

    before = set(threading.enumerate())
    asyncio.run(program())
    for thread in set(threading.enumerate()) - before:
        if thread.name == WATCHER:
            thread.join(20)
            assert not thread.is_alive()


async def _of(run: RunHandle[Any]) -> Any:
    return await run


def test_who_awaits_a_run_is_told_by_its_end_and_not_by_the_next_look(
    engine: Engine,
) -> None:
    run, store = engine.start(WAITS), engine.core.store
    engine.watcher = RunWatcher(store, soonest_seconds=600, latest_seconds=600)
    end = store.keys.end(run.id)

    async def program() -> Any:
        waiting = asyncio.ensure_future(_of(run))
        somebody_sleeps = partial(store.connection.command, b"EXISTS", end)
        await asyncio.to_thread(wait_for, somebody_sleeps)
        await asyncio.to_thread(engine.signal, run, "go", 7)
        return await asyncio.wait_for(waiting, 20)

    assert asyncio.run(program()) == {"w": 7}


def test_who_waits_is_told_when_the_engine_closes(server: Server) -> None:
    async def program() -> None:
        engine = engine_of(server, server.prefix())
        waiting = asyncio.ensure_future(_of(engine.start(WAITS)))
        await asyncio.sleep(0)
        await asyncio.to_thread(engine.close)
        with pytest.raises(StoreUnavailable, match="was closed"):
            await waiting

    asyncio.run(program())


class Gate:
    """A store that writes when it is let."""

    def __init__(self, store: Any) -> None:
        self.keys = store.keys
        self.entered, self.opened = threading.Event(), threading.Event()
        self._store = store

    def call(self, calls: Any) -> Any:
        self.entered.set()
        assert self.opened.wait(20)
        return self._store.call(calls)


def test_a_forked_child_shows_what_is_its_own_and_nothing_twice(server: Server) -> None:
    with Engine.connect(server.url, prefix=server.prefix(), workers=0) as engine:
        run = engine.start(WAITS)
        gate: Any = Gate(engine.core.store)
        emissions = Emissions(engine.core.connection, gate)

        def shown() -> list[Any]:
            return [entry.value for entry in engine.emitted(run)]

        emissions.emit(run, "w", 1, "under way")
        assert gate.entered.wait(20)
        emissions.emit(run, "w", 1, "not yet written")
        child = os.fork()
        if child == 0:
            signal.alarm(20)  # a child that hangs is ended
            gate.opened = threading.Event()
            gate.opened.set()
            emissions.emit(run, "w", 1, "of the child")
            wait_for(lambda: "of the child" in shown())
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert shown() == ["of the child"]
        gate.opened.set()
        wait_for(lambda: len(shown()) == 3)
        assert shown() == ["of the child", "under way", "not yet written"]
