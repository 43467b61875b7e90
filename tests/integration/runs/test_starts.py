"""Starts: whoever starts runs is told of each what became of it, by the run's own history."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from eventstore.errors import StoreRefused
from executor.errors import RunExists
from executor.runs.codec import Limits
from executor.runs.errors import QueueFull
from executor.runs.repository import Session
from openagents_json import Registry
from openagents_json.engine import ConcurrencyLimitReached, Engine
from openagents_json.engine.worker_types.autoscaling import Load
from openagents_json.engine.worker_types.backlog import load_by_queue
from openagents_json.server.http.problems import of_error
from tests.conftest import Server, wait_for


@pytest.fixture
def engines(server: Server) -> Iterator[list[Engine]]:
    registry, prefix = Registry(), server.prefix()
    registry.tool("now")(lambda: 1)
    opened = [
        Engine.connect(
            server.url, prefix=prefix, components=registry, workers=1, partitions=4
        )
        for _ in range(2)
    ]
    try:
        yield opened
    finally:
        for engine in opened:
            engine.close(grace_seconds=1)


def limited(policy: str) -> dict[str, Any]:
    return {
        "id": f"limited-{policy.replace('_', '-')}",
        "concurrency": {"key": "{{input.k}}", "limit": 2, "on_limit": policy},
        "steps": [{"id": "s", "wait_for": "go"}],
    }


def test_a_run_that_was_let_in_and_failed_by_itself_was_started(server: Server) -> None:
    registry = Registry()

    @registry.tool("fail")
    def fail() -> None:
        raise RuntimeError("by itself")

    document = {
        "id": "fails",
        "concurrency": {"key": "one", "limit": 100, "on_limit": "reject"},
        "steps": [{"id": "s", "component": "fail"}],
    }
    with Engine.connect(
        server.url, prefix=server.prefix(), components=registry, workers=2, partitions=1
    ) as engine:
        gatekeeper = engine.core.gatekeeper
        let_in = gatekeeper.arrive

        def slow(session: Session, *, actor: str) -> Any:
            """Bring a run to its gates, and answer when it has ended."""
            let_in(session, actor=actor)
            engine.wait(session.run, timeout=120)
            return engine.core.sessions.load(session.run).state.error

        engine.core.starter._gatekeeper.arrive = gatekeeper.arrive = slow  # type: ignore[method-assign]
        result = engine.wait(engine.start(document), timeout=20)
        assert (result.error or {})["type"] == "RuntimeError"


def test_a_refusal_names_its_run_and_the_same_key_is_refused_again(
    engines: list[Engine],
) -> None:
    engine = engines[0]
    for _ in range(2):
        engine.start(limited("reject"), {"k": "a"})
    refused = []
    for client in engines:
        with pytest.raises(ConcurrencyLimitReached) as told:
            client.start(limited("reject"), {"k": "a"}, idempotency_key="mine")
        refused.append(told.value.run)
    assert refused[0] == refused[1]
    result = engine.wait(refused[0], timeout=5)
    assert (result.status, (result.error or {})["type"]) == (
        "failed",
        "ConcurrencyLimit",
    )


def test_a_start_whose_starter_died_is_brought_to_its_gates_by_the_next_one(
    engines: list[Engine],
) -> None:
    idle = engines[0]
    idle.start_many([(limited("reject"), {"k": "a"})] * 2)
    start = idle._start_of(limited("reject"), {"k": "a"}, "mine", None)
    [handled] = idle.core.handler.beginnings.start_each([start], actor="dies")
    assert not isinstance(handled, Exception)
    with pytest.raises(ConcurrencyLimitReached, match=start.run):
        idle.start(limited("reject"), {"k": "a"}, idempotency_key="mine")


def test_of_many_starts_each_has_a_result(engines: list[Engine]) -> None:
    runs = engines[0].start_many(
        [(limited("reject"), {"k": key}) for key in ("a", "a", "a", "b")]
    )
    [refused] = [run for run in runs if not run.ok]
    assert refused in runs[:3]
    assert isinstance(refused.error, ConcurrencyLimitReached)
    assert refused.error.run == refused
    assert {run: engines[0].state(run).status for run in runs} == {
        run: "running" if run.ok else "failed" for run in runs
    }
    with pytest.raises(ConcurrencyLimitReached):
        engines[0].start_many([(limited("reject"), {"k": "a"})])
    for run in runs:
        if run.ok:
            engines[0].cancel(run)


def test_many_starts_that_fill_the_memory_half_way_say_which_have_begun(
    private_server: Server,
) -> None:
    document = {"id": "waits", "steps": [{"id": "s", "wait_for": "go"}]}
    prefix = private_server.prefix()
    with Engine.connect(
        private_server.url,
        prefix=prefix,
        components=Registry(),
        workers=0,
        partitions=1,
    ) as engine:
        engine.start(document)
        command = engine.core.connection.command
        info = command(b"INFO", b"memory").decode()
        used = int(info.split("used_memory:")[1].split()[0])
        command(b"CONFIG", b"SET", b"maxmemory", str(used + 8_000_000))
        runs = engine.start_many([(document, {"text": "x" * 30_000})] * 400)
        command(b"CONFIG", b"SET", b"maxmemory", b"1")
        with pytest.raises(StoreRefused):
            engine.start_many([(document, {"text": "x" * 30_000})] * 400)
        command(b"CONFIG", b"SET", b"maxmemory", b"0")
        begun = {run.id for run in engine.runs(limit=1000)}
        assert {run.ok for run in runs} == {True, False}
        assert all(isinstance(run.error, StoreRefused) for run in runs if not run.ok)
        assert {str(run) for run in runs if run.ok} == begun & set(runs)
        assert engine.doctor() == []


def test_an_id_that_is_taken_is_told_beside_those_that_have_begun(
    engines: list[Engine],
) -> None:
    engine, document = (
        engines[0],
        {"id": "waits", "steps": [{"id": "s", "wait_for": "go"}]},
    )
    start = engine._start_of(document, {}, "taken", None)
    engine.core.handler.beginnings.start_each(
        [replace(start, commit_id="another")], actor="test"
    )
    runs = engine.start_many([(document, {})] * 3, keys=[None, "taken", None])
    assert [run.ok for run in runs] == [True, False, True]
    assert isinstance(runs[1].error, RunExists)


def test_while_too_many_steps_wait_starts_are_refused_and_what_has_begun_goes_on(
    server: Server,
) -> None:
    after: dict[str, list[str]] = {"a": [], "b": ["a"]}
    steps = [
        {"id": s, "component": "idle", "priority": -5, "depends_on": after[s]}
        for s in after
    ]
    document = {"id": "two", "steps": steps}
    registry = Registry()
    registry.tool("idle")(lambda: None)
    prefix = server.prefix()
    with Engine.connect(
        server.url,
        components=registry,
        prefix=prefix,
        partitions=1,
        workers=0,
        limits=Limits(queue=2),
    ) as engine:
        kept = engine.start(document, idempotency_key="kept")
        engine.start(document)
        with pytest.raises(QueueFull, match=r"queue tool \(max_queue is 2\)") as full:
            engine.start(document, idempotency_key="later")
        answer = of_error(full.value)
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")

        def load(name: str) -> Load:
            return load_by_queue(engine, ["agent", "tool"])[name]

        wait_for(lambda: load("tool").oldest_ms > 0)
        assert (load("agent"), load("tool").backlog) == (Load(), 2)
        engine.control.pause(worker_type="tool")
        assert load("tool") == Load()  # no worker more would take any of them
        engine.control.resume(worker_type="tool")
        assert engine.start(document, idempotency_key="kept") == kept
        with pytest.raises(QueueFull):
            engine.start_many([(document, {})] * 3)
        assert len(engine.runs(limit=9)) == 2
        with Engine.connect(server.url, components=registry, prefix=prefix, workers=1):
            assert engine.wait(kept, timeout=60).ok
        assert engine.start(document, idempotency_key="later")
        assert engine.doctor() == []
