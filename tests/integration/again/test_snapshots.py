"""Snapshots: a long run loads from one, and from its log whenever that is not there or does not hold."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from eventstore import codec
from executor.runs.repository import ENDED, LONG
from openagents_json import tool
from openagents_json.engine import Engine
from tests.conftest import Server

Open = Callable[..., Engine]


@tool("echo-item")
def echo(x: int) -> int:
    return x


STEP = {
    "id": "each",
    "component": "echo-item",
    "foreach": "{{input.xs}}",
    "inputs": {"x": "{{item}}"},
}
DOCUMENT = {
    "id": "long",
    "steps": [STEP, {"id": "ok", "wait_for": {"signal": "go"}}],
    "output": {"n": "{{each.output}}"},
}
ITEMS = list(range(LONG // 3 + 20))


@pytest.fixture
def opened(server: Server) -> Iterator[Open]:
    prefix, engines = server.prefix(), list[Engine]()

    def begin(workers: int = 0) -> Engine:
        options: dict[str, Any] = {
            "components": [echo],
            "partitions": 2,
            "workers": workers,
        }
        engines.append(Engine.connect(server.url, prefix=prefix, **options))
        return engines[-1]

    yield begin
    assert engines[0].doctor() == []
    for engine in engines:
        engine.close()


def snapshot_of(engine: Engine, run: str) -> list[Any] | None:
    raw = engine.core.connection.command(b"GET", engine.core.store.keys.snapshot(run))
    return None if raw is None else codec.decode(zlib.decompress(raw))


def loaded(engine: Engine, run: str) -> tuple[int, str, Any]:
    session = engine.core.sessions.load(run)
    return session.version, session.commit, session.state


def ready(engine: Engine) -> str:
    run = engine.start(DOCUMENT, {"xs": ITEMS})
    while not any(step.id == "ok" for step in engine.state(run).steps):
        engine.watch(run, after=engine.state(run).version, block_ms=200)
    return run


def test_a_long_run_loads_from_a_snapshot_and_goes_on_from_there(opened: Open) -> None:
    run = ready(opened(workers=2))
    whole = loaded(opened(), run)
    kept = snapshot_of(opened(), run)
    assert kept is not None
    assert kept[1] <= whole[0]
    other = opened()
    assert loaded(other, run) == whole
    other.signal(run, "go")
    assert other.wait(run, timeout=120).output == {"n": ITEMS}
    assert opened().state(run).output == {"n": ITEMS}


@pytest.mark.parametrize(
    "damage", ["another shape", "another commit", "garbage", "nonsense", "ahead"]
)
def test_a_snapshot_that_does_not_hold_is_not_used(opened: Open, damage: str) -> None:
    engine = opened(workers=2)
    run = ready(engine)
    whole = loaded(opened(), run)
    kept = snapshot_of(engine, run)
    assert kept is not None
    form, version, commit, data = kept
    wrong = {**data, "inputs": {"xs": "wrong"}}
    puts: dict[str, Any] = {
        "another shape": ["000000", version, commit, wrong],
        "another commit": [form, version, "other", wrong],
        "ahead": [form, version + 100_000, commit, wrong],
        "nonsense": [form, version, commit, {"steps": 3}],
        "garbage": b"\x00garbage",
    }
    put = puts[damage]
    raw = put if isinstance(put, bytes) else zlib.compress(codec.encode(put))
    engine.core.connection.command(b"SET", engine.core.store.keys.snapshot(run), raw)
    assert loaded(opened(), run) == whole


def test_but_a_few_of_the_long_runs_that_have_ended_are_remembered(
    opened: Open,
) -> None:
    engine = opened(workers=2)
    short = {"id": "short", "steps": [STEP], "output": {"n": "{{each.output}}"}}
    sessions = opened().core.sessions
    base = sessions.load(engine.run(short, {"xs": ITEMS}, timeout=60).id)
    for number in range(ENDED + 5):
        sessions.put(replace(base, run=f"0-{number}"))
    assert [
        sessions.get(f"0-{number}") is not None for number in (0, 4, 5, ENDED + 4)
    ] == [False, False, True, True]
