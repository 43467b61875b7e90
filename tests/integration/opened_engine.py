"""Engines whose components do what a test asks of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from openagents_json.catalog.loader import load
from openagents_json.catalog.registry import Registry
from openagents_json.engine import Engine
from tests.acceptance.processes import COMPONENTS
from tests.conftest import Server

LIVELY = COMPONENTS.with_name("lively.py")


Open = Callable[..., Engine]


def components() -> Registry:
    return load([str(COMPONENTS), str(LIVELY)])


@pytest.fixture
def opened(server: Server) -> Iterator[Open]:
    """Open engines on one store of its own; they end with the test, and the store must be in order then."""
    prefix, engines = server.prefix(), []

    def begin(**options: Any) -> Engine:
        options = {
            "workers": 2,
            "components": components(),
            "lease_ms": 30_000,
            "partitions": 2,
            **options,
        }
        engines.append(Engine.connect(server.url, prefix=prefix, **options))
        return engines[-1]

    yield begin
    assert begin(workers=0).doctor() == []
    for engine in engines:
        engine.close(grace_seconds=0)


def steps(*specs: dict[str, Any], **document: Any) -> dict[str, Any]:
    return {"id": "w", "steps": list(specs), **document}


def types(engine: Engine, run: str) -> list[str]:
    return [event.type for event in engine.history(run)]
