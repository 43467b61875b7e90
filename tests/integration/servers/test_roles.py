"""A server whose role changes under those who wait for it: they go on waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from openagents_json import Context, tool
from openagents_json.engine import Engine
from tests.conftest import Server, wait_for

DOCUMENT: dict[str, Any] = {
    "id": "w",
    "steps": [{"id": "a", "component": "held"}],
    "output": "{{a.output}}",
}


def waits(engine: Engine, run: str) -> bool:
    return engine.wait(run, timeout=60).ok


def watches(engine: Engine, run: str) -> bool:
    after = 0
    kinds: list[str] = []
    while "RunCompleted" not in kinds:
        for event in engine.watch(run, after=after, block_ms=5000):
            after, kinds = event.version, [*kinds, event.type]
    return True


def listens(engine: Engine, run: str) -> bool:
    after = "0-0"
    values: list[Any] = []
    while values != [1, 2]:
        for emitted in engine.emitted(run, after=after, block_ms=5000):
            after, values = emitted.id, [*values, emitted.value]
    return True


@pytest.mark.parametrize("how", [waits, watches, listens])
def test_who_waits_goes_on_waiting_when_the_server_changes_its_role(
    private_server: Server, how: Callable[[Engine, str], bool]
) -> None:
    goes_on = threading.Event()

    @tool("held")
    def held(context: Context) -> int:
        context.emit(1)
        goes_on.wait(60)
        context.emit(2)
        return 1

    client = private_server.connect().client
    ended: list[bool] = []
    with Engine.connect(
        private_server.url, components=[held], workers=1, partitions=1
    ) as engine:
        run = engine.start(DOCUMENT)
        wait_for(lambda: [item.value for item in engine.emitted(run)] == [1])
        waiting = threading.Thread(target=lambda: ended.append(how(engine, run)))
        waiting.start()
        wait_for(
            lambda: any(
                c["cmd"] == "xread" and "b" in c["flags"] for c in client.client_list()
            )
        )
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        client.execute_command("REPLICAOF", "NO", "ONE")
        goes_on.set()
        waiting.join(60)
    assert ended == [True]
