"""A room that counts who is in it at once, workflows that go through it, and two engines that run them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from openagents_json import Context, Registry
from openagents_json.engine import Engine
from tests.conftest import Server

ARRIVAL_SECONDS = 20


class Room:
    """Counts who is inside at the same time, over all engines of this process.

    Nobody leaves before `least` were inside together: so a limit that lets in
    fewer than it may is seen on a slow machine too.
    """

    def __init__(self) -> None:
        self.door, self.inside, self.most = threading.Condition(), 0, 0
        self.least = 0
        self.fences: list[int] = []

    def registry(self) -> Registry:
        registry = Registry()

        def enter(context: Context) -> int:
            with self.door:
                self.inside += 1
                self.most = max(self.most, self.inside)
                self.fences += context.fences.values()
                self.door.notify_all()
                self.door.wait_for(lambda: self.most >= self.least, ARRIVAL_SECONDS)
            context.token.wait(0.005)
            with self.door:
                self.inside -= 1
            return 1

        enter.__name__ = "enter"
        registry.tool("enter")(enter)
        registry.tool("now")(lambda: 1)
        return registry


def gated(**limit: Any) -> dict[str, Any]:
    return {"id": "gated", "steps": [{"id": "a", "component": "enter", **limit}]}


def limited(policy: str) -> dict[str, Any]:
    return {
        "id": f"limited-{policy.replace('_', '-')}",
        "concurrency": {"key": "{{input.k}}", "limit": 2, "on_limit": policy},
        "steps": [{"id": "s", "wait_for": "go"}],
    }


def due_members(engine: Engine) -> set[str]:
    store = engine.core.store
    members: set[str] = set()
    for partition in range(store.keys.partitions):
        members |= {
            x.decode()
            for x in engine.core.connection.command(
                b"ZRANGE", store.keys.due(partition), 0, -1
            )
        }
    return members


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture
def engines(server: Server, room: Room) -> Iterator[list[Engine]]:
    prefix = server.prefix()
    opened = [
        Engine.connect(
            server.url,
            prefix=prefix,
            components=room.registry(),
            workers=3,
            partitions=4,
        )
        for _ in range(2)
    ]
    try:
        yield opened
    finally:
        for engine in opened:
            engine.close(grace_seconds=1)
