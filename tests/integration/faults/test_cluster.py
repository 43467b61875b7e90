"""A cluster of three primaries: slots that are moved key by key while runs are under way."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from eventstore.redis.embedded.server_program import find_program
from openagents_json import Context, tool
from openagents_json.engine import Engine
from tests.conftest import KINDS, REDIS, wait_for
from tests.integration.faults.ports import free_port, has_begun

DOCUMENT: dict[str, Any] = {
    "id": "moved",
    "execution": "graph",
    "steps": [
        {
            "id": "a",
            "component": "unsteady",
            "retry": {"max_retries": 8, "delay_seconds": 0.01},
        },
        {"id": "b", "component": "plain"},
        {"id": "c", "component": "plain", "depends_on": ["a", "b"]},
    ],
}


class Node:
    """One primary of a cluster."""

    client: Any

    def __init__(self, kind: str, directory: Path) -> None:
        self.kind, self.directory = kind, directory
        self.port, self.bus = free_port(), free_port()
        directory.mkdir()
        self.id = ""
        self.start()

    def start(self) -> None:
        """Start; one that others know by its ports already has to get those."""
        while not self._begins():
            assert not self.id, f"port {self.port} or {self.bus} is somebody else's now"
            self.port, self.bus = free_port(), free_port()
        if not self.id:
            self.client = redis.Redis(port=self.port, socket_timeout=10)
            self.id = self.client.execute_command("CLUSTER MYID").decode()

    def _begins(self) -> bool:
        binary = str(find_program()) if self.kind == "valkey" else str(REDIS)
        options = {
            "port": self.port,
            "cluster-port": self.bus,
            "dir": self.directory,
            "save": "",
            "appendonly": "yes",
        }
        options |= {
            "cluster-enabled": "yes",
            "cluster-node-timeout": 15000,
            "logfile": self.directory / "log",
        }
        command = [
            binary,
            *(
                word
                for name, value in options.items()
                for word in (f"--{name}", str(value))
            ),
        ]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        return has_begun(self.process, self.port)

    def stop(self) -> None:
        self.client.close()
        self.process.kill()
        self.process.wait()


class Cluster:
    """Three primaries with a third of the slots each."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes
        self.url = f"redis+cluster://127.0.0.1:{nodes[0].port}"
        for number, node in enumerate(nodes):
            node.client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
            node.client.execute_command(
                "CLUSTER ADDSLOTSRANGE",
                number * 5461,
                number * 5461 + 5460 + (number == 2),
            )
            nodes[0].client.execute_command(
                "CLUSTER MEET", "127.0.0.1", node.port, node.bus
            )
        wait_for(self._agree, 60)

    def _agree(self) -> bool:
        states = [
            dict(node.client.execute_command("CLUSTER INFO")) for node in self.nodes
        ]
        return all(
            s["cluster_state"] == "ok" and int(s["cluster_known_nodes"]) == 3
            for s in states
        )

    def owner(self, slot: int) -> Node:
        return self.nodes[min(2, slot // 5461)]

    def move(
        self, slot: int, source: Node, target: Node, pause: threading.Event
    ) -> None:
        """Move a slot as administrators' tools do: one key after another."""
        target.client.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", source.id)
        source.client.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", target.id)
        while keys := source.client.execute_command("CLUSTER GETKEYSINSLOT", slot, 3):
            source.client.execute_command(
                "MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys
            )
            pause.wait(0.005)
        for node in (target, source, *self.nodes):
            node.client.execute_command("CLUSTER SETSLOT", slot, "NODE", target.id)


@pytest.fixture(params=KINDS)
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    with ExitStack() as stack:
        nodes = []
        for number in range(3):
            nodes.append(Node(request.param, tmp_path / str(number)))
            stack.callback(nodes[-1].stop)
        yield Cluster(nodes)


def test_slots_that_move_while_runs_are_under_way_leave_no_half_commit(
    cluster: Cluster,
) -> None:
    @tool("unsteady")
    def unsteady(context: Context) -> int:
        if context.attempt == 1:
            raise ConnectionError("the first time")
        return 1

    @tool("plain")
    def plain() -> int:
        return 1

    pause = threading.Event()
    with Engine.connect(
        cluster.url, components=[unsteady, plain], workers=2, partitions=2
    ) as engine:
        slots = [
            cluster.nodes[0].client.execute_command("CLUSTER KEYSLOT", f"{{{p}}}")
            for p in range(2)
        ]
        runs = engine.start_many([(DOCUMENT, {})] * 60)
        for slot in slots:
            source = cluster.owner(slot)
            target = cluster.nodes[(cluster.nodes.index(source) + 1) % 3]
            cluster.move(slot, source, target, pause)
            runs += engine.start_many([(DOCUMENT, {})] * 5)
            cluster.move(slot, target, source, pause)
        assert [engine.wait(run, timeout=60).status for run in runs] == [
            "completed"
        ] * len(runs)
        assert engine.doctor() == []
