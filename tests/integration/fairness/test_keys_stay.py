"""A step keeps its key whatever happens to it: workers die, heads are lost, runs are paused, opened again and moved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from openagents_json import tool
from openagents_json.engine import Engine
from openagents_json.engine.archive.archive import Departure
from tests.conftest import Server

DOCUMENT: dict[str, Any] = {
    "id": "w",
    "execution": "graph",
    "inputs": {"customer": {"type": "string"}},
    "fairness": {"key": "{{input.customer}}", "weight": 2},
    "steps": [
        {"id": "a", "component": "one"},
        {"id": "b", "component": "one", "fairness": {"key": "k-{{a.output}}"}},
    ],
    "output": "{{b.output}}",
}


@tool("one")
def one() -> int:
    return 1


def opened(server: Server, prefix: str, workers: int = 0) -> Engine:
    return Engine.connect(
        server.url, prefix=prefix, components=[one], workers=workers, partitions=1
    )


def shares(engine: Engine, run: str) -> dict[bytes, bytes]:
    """Return what the head says of the shares of open steps."""
    head = engine.core.connection.client.hgetall(engine.core.store.keys.head(run))
    return {name: value for name, value in head.items() if name.startswith(b"k:")}


def waiting(engine: Engine, key: str) -> list[bytes]:
    """Return the steps of a key that may be claimed."""
    name = engine.core.store.keys.fair(0, "tool") + b"|" + key.encode()
    return list(engine.core.connection.command(b"ZRANGE", name, 0, -1))


def no_head(engine: Engine, run: str) -> None:
    engine.core.connection.command(b"DEL", engine.core.store.keys.head(run))


def not_counted(engine: Engine, run: str) -> None:
    """Leave what a script that was cut off leaves: the step can be claimed, and is not counted."""
    name = engine.core.store.keys.fair(0, "tool")
    engine.core.connection.command(b"ZREM", name, f"{run}|a")


@pytest.mark.parametrize("server", ["valkey"], indirect=True)
@pytest.mark.parametrize("damage", [no_head, not_counted])
def test_what_is_mended_has_its_key_again(server: Server, damage: Any) -> None:
    prefix = server.prefix()
    with opened(server, prefix) as engine:
        runs = [engine.start(DOCUMENT, {"customer": "c"}) for _ in range(2)]
        before = shares(engine, runs[0])
        assert before == {b"k:a": b"2|c"}
        damage(engine, runs[0])
        assert {violation.run for violation in engine.doctor()} == {runs[0]}
        assert [item.done for item in engine.repair()] == [True]
        assert engine.doctor() == []
        assert shares(engine, runs[0]) == before
        assert len(waiting(engine, "c")) == 2
    with opened(server, prefix, workers=1) as engine:
        assert [engine.wait(run, timeout=120).output for run in runs] == [1, 1]
        assert shares(engine, runs[0]) == {}
        left = engine.core.connection.client.keys(f"{prefix}:*:ring:*")
        assert left == []


@pytest.mark.parametrize("server", ["valkey"], indirect=True)
def test_keys_are_in_the_history_and_go_with_it(server: Server, tmp_path: Path) -> None:
    prefix = server.prefix()
    with opened(server, prefix, workers=1) as engine:
        run = engine.run(DOCUMENT, {"customer": "c"}, timeout=120).id
        shares_of_steps = [
            event.data.get("fairness")
            for event in engine.history(run)
            if event.type == "StepScheduled"
        ]
        assert shares_of_steps == [["c", 2], ["k-1", 1]]
        plain = {"id": "p", "steps": [{"id": "a", "component": "one"}]}
        [scheduled] = [
            event.data
            for event in engine.history(engine.run(plain, timeout=120).id)
            if event.type == "StepScheduled"
        ]
        assert "fairness" not in scheduled
    with opened(server, prefix) as engine:
        paused = engine.start(DOCUMENT, {"customer": "d"})
        engine.pause(paused)
        assert waiting(engine, "d") == []
        engine.resume(paused)
        assert len(waiting(engine, "d")) == 1
        fork = engine.replay.fork(run, 2)
        assert waiting(engine, "c") == [f"{fork}|a".encode()]
        engine.cancel(fork, force=True)
        assert waiting(engine, "c") == []
        engine.archive.leave(run, Departure(str(tmp_path / "archive")))
        assert engine.archive.restore(run) == "completed"
        assert engine.doctor() == []
