"""An engine whose views are looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from eventstore.keys import Keyspace
from eventstore.redis.driver.connection import Connection
from openagents_json import tool
from openagents_json.engine import Engine
from tests.conftest import Server
from tests.simulation import steps

Open = Callable[..., Engine]


@tool("double")
def double(x: int = 1) -> int:
    return 2 * x


@tool("refuse")
def refuse(x: int = 1) -> int:
    raise ValueError(f"order {x} of 'customer {x}' is not for us")


SINGLE = steps(
    {"id": "a", "component": "double"}, {"id": "b", "component": "double"}, id="single"
)


FAILING = steps(
    {"id": "a", "component": "refuse", "inputs": {"x": "{{input.x}}"}},
    id="failing",
    version="2.0.0",
)


WAITING = {"id": "waiting", "steps": [{"id": "w", "wait_for": {"signal": "go"}}]}


@pytest.fixture
def opened(server: Server) -> Iterator[Open]:
    prefix, engines = server.prefix(), list[Engine]()

    def begin(**options: Any) -> Engine:
        defaults = {"components": [double, refuse], "workers": 2, "partitions": 4}
        engines.append(
            Engine.connect(server.url, prefix=prefix, **{**defaults, **options})
        )
        return engines[-1]

    yield begin
    for engine in engines:
        engine.close()


def raw_store(engine: Engine) -> tuple[Connection, Keyspace]:
    return engine.core.connection, engine.core.store.keys
