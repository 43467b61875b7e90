"""Limits across runs and processes: locks, semaphores, rates, concurrency, debounce, and what a crash leaves."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from eventstore.redis.client import RedisClient
from eventstore.redis.coordination.semaphores import Left, Semaphores
from eventstore.redis.driver.scripts import PlainCall
from executor.coordination.concurrency import ConcurrencyLimiter
from openagents_json import Context, Registry
from openagents_json.engine import Engine
from openagents_json.workflow.errors import Rejected
from tests.conftest import Server, wait_for
from tests.integration.limits.room import Room, gated


@pytest.mark.parametrize(
    ("mutex", "most"), [("key", 1), ({"key": "{{input.k}}", "limit": 2}, 2)]
)
def test_no_more_hold_a_lock_than_it_allows(
    engines: list[Engine], room: Room, mutex: Any, most: int
) -> None:
    room.least = most
    runs = [engines[i % 2].start(gated(mutex=mutex), {"k": "x"}) for i in range(30)]
    assert all(engines[0].wait(run, timeout=120).ok for run in runs)
    assert room.most == most
    assert len(set(room.fences)) == 30
    assert most > 1 or room.fences == sorted(room.fences)
    wait_for(lambda: engines[0].doctor() == [])


def test_a_holder_that_is_not_there_is_put_out(engines: list[Engine]) -> None:
    gatekeeper = engines[0].core.gatekeeper
    assert gatekeeper._gates.take("mutex:lost", "0-never|a", 1)[0]
    assert engines[0].run(gated(mutex="lost"), timeout=20).ok


def test_a_holder_whose_step_is_over_is_put_out(engines: list[Engine]) -> None:
    waiting = engines[0].start(
        {"id": "waits", "steps": [{"id": "s", "wait_for": "go"}]}
    )
    gates = engines[0].core.gatekeeper._gates
    assert gates.take("mutex:late", f"{waiting}|over", 1)[0]
    assert gates.take("mutex:late", f"{waiting}|line", 1)[0] == 0
    assert engines[0].run(gated(mutex="late"), timeout=30).ok
    engines[0].cancel(waiting)


def test_a_step_that_is_cancelled_in_line_leaves_it_and_one_that_holds_gives_back(
    engines: list[Engine],
) -> None:
    slow = {
        "id": "slow",
        "steps": [
            {"id": "s", "foreach": [1, 2], "component": "enter", "mutex": "line"}
        ],
    }
    engine = engines[0]
    assert engine.core.gatekeeper._gates.take("mutex:line", "0-x|a", 1)[0]
    run = engine.start(slow)
    wait_for(
        lambda: (
            not engine.core.gatekeeper._gates.leave("mutex:other", "nobody").followers
        )
    )
    engine.cancel(run, force=True)
    assert engine.wait(run, timeout=120).status == "cancelled"
    engine.core.gatekeeper._gates.leave("mutex:line", "0-x|a")
    wait_for(
        lambda: not engine.core.gatekeeper._gates.leave("mutex:line", "0-y|a").followers
    )
    assert engine.run(gated(mutex="line"), timeout=20).ok


def test_a_rate_is_kept_over_runs_and_processes(engines: list[Engine]) -> None:
    limit = {"rate_limit": {"key": "api", "limit": 3, "per_seconds": 0.3}}
    began_ms = engines[0].core.clock.now_ms()
    runs = [engines[i % 2].start(gated(**limit)) for i in range(12)]
    assert all(engines[0].wait(run, timeout=120).ok for run in runs)
    let_in = sorted(
        e.time_ms
        for run in runs
        for e in engines[0].history(run)
        if e.type == "StepAdmitted"
    )
    assert all(
        at - began_ms >= (i - 2) * 100 - 5 for i, at in enumerate(let_in)
    )  # never before its token is there


def test_a_retry_takes_a_token_too(server: Server) -> None:
    tries: list[int] = []
    registry = Registry()

    def flaky(context: Context) -> int:
        tries.append(context.now_ms())
        if len(tries) < 3:
            raise ValueError("again")
        return len(tries)

    registry.tool("flaky")(flaky)
    step = {
        "id": "a",
        "component": "flaky",
        "retry": {"max_retries": 5, "delay_seconds": 0},
    }
    step["rate_limit"] = {"key": "slow", "limit": 1, "per_seconds": 0.3}
    with Engine.connect(
        server.url, prefix=server.prefix(), components=registry, workers=1, partitions=1
    ) as engine:
        result = engine.run({"id": "w", "steps": [step]}, timeout=120)
        assert result.ok
        order = [
            e.type
            for e in engine.history(result.id)
            if e.type in ("StepAdmitted", "StepStarted")
        ]
        assert order == ["StepAdmitted", "StepStarted"] * 3
        assert engine.doctor() == []


@pytest.mark.parametrize("way", ["retry", "skip", "again"])
def test_a_lock_that_was_not_given_back_yet_is_when_its_step_goes_another_way(
    server: Server, way: str
) -> None:
    with Engine.connect(
        server.url, prefix=server.prefix(), components=Room().registry(), workers=0
    ) as engine:
        gatekeeper = engine.core.gatekeeper
        run = engine.start(gated(mutex="{{input.k}}"), {"k": "one"})
        assert gatekeeper.let_in(run, "a", actor="test")
        engine.cancel(run, force=True)
        engine.retry(run, inputs={"k": "two"} if way == "retry" else None)
        if way == "again":
            assert gatekeeper.let_in(run, "a", actor="test")
        elif way == "skip":
            engine.replay.skip(run, "a")
        gatekeeper.give_back(run, "a", actor="test")
        taken, _ = gatekeeper._gates.take("mutex:one", "0-other|a", 1)
        assert bool(taken) == (way != "again")  # there it holds the same lock again


class SlowGates(Semaphores):
    """Gates at which something happens just before the first member leaves."""

    def __init__(self, store: RedisClient, meanwhile: Callable[[], None]) -> None:
        super().__init__(store)
        self._meanwhile = [meanwhile]

    def leave(self, name: str, member: str, version: int | None = None) -> Left:
        if self._meanwhile:
            self._meanwhile.pop()()
        return super().leave(name, member, version)


def test_a_lock_that_is_given_back_late_stays_with_the_step_that_was_let_in_again(
    server: Server,
) -> None:
    with Engine.connect(
        server.url, prefix=server.prefix(), components=Room().registry(), workers=0
    ) as engine:
        core = engine.core
        run = engine.start(gated(mutex="{{input.k}}"), {"k": "one"})
        assert core.gatekeeper.let_in(run, "a", actor="test")
        engine.cancel(run, force=True)

        def reopen() -> None:
            engine.retry(run)
            assert core.gatekeeper.let_in(run, "a", actor="test")

        late = ConcurrencyLimiter(core.handler, SlowGates(core.store, reopen))
        late.give_back(run, "a", actor="test")
        gates = Semaphores(core.store)
        assert not gates.take("mutex:one", "0-other|a", 1)[0]
        engine.cancel(run, force=True)
        core.gatekeeper.give_back(run, "a", actor="test")
        assert gates.take("mutex:one", "0-other|a", 1)[0]


def test_an_admission_that_its_run_has_lost_is_given_back(
    engines: list[Engine],
) -> None:
    """A node that loses its tail forgets that the step was let in; another one, with the lock, does not."""
    core = engines[0].core
    run = engines[0].start(gated(mutex="other"))
    assert engines[0].wait(run, timeout=120).ok
    gates = Semaphores(core.store)
    assert gates.take("mutex:lost", f"{run}|a", 1, version=1_000_000)[0]
    assert engines[0].run(gated(mutex="lost"), timeout=20).ok


def test_what_is_cancelled_leaves_the_line_of_a_rate(engines: list[Engine]) -> None:
    limit = {"rate_limit": {"key": "slow", "limit": 1, "per_seconds": 1}}
    runs = [engines[0].start(gated(**limit)) for _ in range(200)]
    assert engines[0].wait(runs[0], timeout=120).ok
    for run in runs[1:-1]:
        with suppress(Rejected):  # its turn has come meanwhile
            engines[0].cancel(run)
    late = engines[0].start(gated(**limit))
    assert (
        engines[0].wait(runs[-1], timeout=25).ok
    )  # it was told to come back in more than three minutes
    assert engines[0].wait(late, timeout=25).ok
    wait_for(lambda: engines[0].doctor() == [])


def test_a_step_that_comes_into_the_line_after_it_was_withdrawn_leaves_it(
    server: Server, room: Room
) -> None:
    with Engine.connect(
        server.url, prefix=server.prefix(), components=room.registry(), workers=0
    ) as engine:
        gatekeeper, limit = (
            engine.core.gatekeeper,
            {"key": "late", "limit": 1, "per_seconds": 60},
        )
        assert gatekeeper.let_in(
            engine.start(gated(rate_limit=limit)), "a", actor="test"
        )
        run = engine.start(gated(rate_limit=limit))
        before = engine.core.sessions.load(run)
        engine.cancel(run, force=True)
        gatekeeper.give_back(run, "a", actor="test")
        assert (
            gatekeeper._pass(before, "a", before.state.steps["a"].waits[0], {}, "test")
            is False
        )
        store = engine.core.store
        line = store.keys.line(store.keys.partition_of("rate:late"), "rate:late")
        assert store.call([PlainCall((b"ZCARD", line))]) == [0]


def test_who_does_not_come_for_a_token_is_put_out_of_the_line(
    server: Server, room: Room
) -> None:
    with Engine.connect(
        server.url,
        prefix=server.prefix(),
        components=room.registry(),
        workers=1,
        partitions=1,
    ) as engine:
        gates = engine.core.gatekeeper._gates
        assert gates.rate("rate:lost", "0-never|a#0", 1, 100).wait_ms == 0
        assert gates.rate("rate:lost", "0-never|a#1", 1, 100).wait_ms
        run = engine.start(
            gated(rate_limit={"key": "lost", "limit": 1, "per_seconds": 0.1})
        )
        assert engine.wait(run, timeout=120).ok


def test_a_token_that_an_older_version_reserved_is_kept(engines: list[Engine]) -> None:
    gates, store = engines[0].core.gatekeeper._gates, engines[0].core.store
    key = store.keys.gate(store.keys.partition_of("rate:old"), "rate:old")
    store.call(
        [
            PlainCall(
                (b"HSET", key, b"m:0-r|a#0", b"1", b"m:0-s|a#0", b"9000000000000000")
            )
        ]
    )
    assert gates.rate("rate:old", "0-r|a#0", 1, 1000).wait_ms == 0
    assert gates.rate("rate:old", "0-s|a#0", 1, 1000).wait_ms > 1000
    gates.drop("rate:old", "0-s|a#0", 1, 1000)
    assert gates.rate("rate:old", "0-t|a#0", 1, 1000).wait_ms == 0


def test_a_step_that_is_retried_at_once_needs_nobody_to_find_it(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "executor.worker.relay.STALE_MS", 10**9
    )  # the relay rings for no step that was overlooked
    registry, tries = Registry(), [0]

    @registry.tool("flaky")
    def flaky() -> int:
        tries[0] += 1
        if tries[0] < 4:
            raise ValueError("again")
        return tries[0]

    step = {
        "id": "a",
        "component": "flaky",
        "retry": {"max_retries": 5, "delay_seconds": 0},
    }
    with Engine.connect(
        server.url, prefix=server.prefix(), components=registry, workers=1, partitions=1
    ) as engine:
        assert engine.run({"id": "w", "steps": [step]}, timeout=120).ok
