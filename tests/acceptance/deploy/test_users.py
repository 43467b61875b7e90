"""The users of the servers that `deploy/server/start` begins: each can do its work, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from eventstore.redis.driver.connection import connect
from executor.celery.app import CeleryDoorbell, make_app
from openagents_json import tool
from openagents_json.engine import Engine
from openagents_json.errors import OpenAgentsError
from projections.ledger.signing import new_signer
from tests.acceptance.deploy.files import begun, url

EVERYBODY = (
    *("FLUSHALL", "SHUTDOWN", "CONFIG GET requirepass", "CONFIG SET maxmemory 1"),
    *("KEYS *", "ACL LIST", "SCRIPT FLUSH", "REPLICAOF NO ONE", "MONITOR"),
    *("GET other:secret", "SET other:secret x", "PUBLISH channel x"),
)
REFUSED = {
    "store": {
        "worker": (*EVERYBODY, "LPUSH openagents.oa.tool x"),
        "api": (*EVERYBODY, "BGREWRITEAOF"),
        "auditor": (*EVERYBODY, "SET oa:x 1", "DEL oa:store", "XADD oa:{0}:log * a b"),
        "replica": ("GET oa:store", "SET oa:x 1", "CONFIG GET requirepass"),
        "sentinel": (
            "GET oa:store",
            "SET oa:x 1",
            "CONFIG GET requirepass",
            "FLUSHALL",
        ),
    },
    "broker": {
        "worker": (*EVERYBODY, "GET oa:store"),
        "api": (*EVERYBODY, "GET oa:store", "HGETALL unacked"),
    },
}
DOCUMENT = {
    "id": "greeting",
    "inputs": {"name": {"type": "string"}},
    "steps": [
        {"id": "go", "wait_for": {"signal": "go"}},
        {"id": "say", "component": "say", "inputs": {"name": "{{input.name}}"}},
    ],
    "output": "{{say.output}}",
}


@tool("say")
def say(name: str) -> str:
    return f"Hello, {name}!"


@pytest.fixture
def sockets(tmp_path: Path) -> Iterator[dict[str, Path]]:
    """The sockets of a store and a broker."""
    with begun("store", tmp_path / "s") as store, begun("broker", tmp_path / "b") as b:
        yield {"store": store, "broker": b}


def test_worker_api_and_auditor_do_their_work_and_are_refused_all_else(
    sockets: dict[str, Path],
) -> None:
    store, broker = sockets["store"], sockets["broker"]
    with (
        Engine.connect(
            url(store, "api"), broker=url(broker, "api"), components=[]
        ) as api,
        Engine.connect(
            url(store, "worker"),
            broker=url(broker, "worker"),
            components=[say],
            workers=1,
        ) as worker,
    ):
        run = api.start(DOCUMENT, {"name": "Ada"})
        api.signal(run, "go")
        assert api.wait(run, timeout=60).output == "Hello, Ada!"
        worker.audit.seal(new_signer())
    with Engine.connect(url(store, "auditor"), create=False, components=[]) as auditor:
        assert auditor.audit.verify().intact
        assert auditor.history(run)[-1].type == "RunCompleted"
        with pytest.raises(OpenAgentsError, match="auditor has no permissions"):
            auditor.start(DOCUMENT, {"name": "x"})
        with pytest.raises(OpenAgentsError, match="auditor has no permissions"):
            auditor.audit.seal(new_signer())
    for user in ("worker", "api"):
        bell = CeleryDoorbell(make_app(url(broker, user), "oa"), "oa")
        bell.ring("tool")
        bell.close()
    _look_at_what_is_refused(sockets)


def _look_at_what_is_refused(sockets: dict[str, Path]) -> None:
    for server, users in REFUSED.items():
        with closing(connect(url(sockets[server], "admin"))) as admin:
            admin.client.execute_command("SET", "other:secret", "x")
        for user, commands in users.items():
            with closing(connect(url(sockets[server], user))) as connection:
                for command in commands:
                    with pytest.raises(Exception, match=r"(?i)permission"):
                        connection.client.execute_command(*command.split())
