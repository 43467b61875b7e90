"""Runs that are packed in one store and brought to another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from openagents_json import Context, tool
from openagents_json.engine import Engine
from openagents_json.engine.archive.capsules import (
    Capsule,
    pack,
    unpack,
)
from tests.conftest import Server, wait_for

calls: list[tuple[str, Any, str, int]] = []


held: list[str] = []


"""Steps that do not end while they are in here."""


@tool("note")
def note(x: Any = None, name: str = "note") -> Any:
    calls.append((name, x, "", 0))
    return x


@tool("picky")
def picky(x: int) -> int:
    if x < 0:
        raise ValueError(f"{x} is too small")
    return x * 10


@tool("slow")
def slow(context: Context, name: str = "slow") -> str:
    calls.append((name, None, context.idempotency_key, context.attempt))
    wait_for(lambda: name not in held)
    return name


@tool("once", effect="at_most_once")
def once(name: str = "once") -> str:
    calls.append((name, None, "", 0))
    wait_for(lambda: name not in held)
    return name


@tool("flaky")
def flaky(context: Context) -> int:
    if context.attempt == 1:
        raise ValueError("once")
    return 7


COMPONENTS = [note, picky, slow, once, flaky]


@pytest.fixture
def stores(server: Server) -> Iterator[Callable[..., Engine]]:
    """Open stores; all of them are looked over at the end."""
    engines: list[Engine] = []
    calls.clear()
    held.clear()

    def begin(prefix: str | None = None, **options: Any) -> Engine:
        defaults = {
            "components": COMPONENTS,
            "workers": 2,
            "partitions": 4,
            "lease_ms": 30_000,
        }
        engines.append(
            Engine.connect(
                server.url, prefix=prefix or server.prefix(), **{**defaults, **options}
            )
        )
        return engines[-1]

    yield begin
    held.clear()
    for engine in engines:
        engine.close()
    for prefix in {engine.core.store.keys.prefix for engine in engines}:
        with Engine.connect(server.url, prefix=prefix, components=[]) as look:
            assert look.doctor() == []
            assert [
                drift
                for name in ("runs", "steps", "workers")
                for drift in look.views.verify(name)
            ] == []


def packed_away(engine: Engine, run: str, **options: Any) -> tuple[Capsule, bytes]:
    raw = pack(engine.core, run, actor="tester", **options)
    return unpack(raw), raw


def steps(*documents: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "w",
        "steps": list(documents),
        "output": {s["id"]: f"{{{{{s['id']}.output}}}}" for s in documents},
    }
