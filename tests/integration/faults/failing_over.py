"""Engines and programs beside a failover."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from eventstore import connect
from eventstore.errors import (
    EventStoreError,
)
from eventstore.event import Event
from eventstore.keys import Keyspace
from eventstore.redis.driver.fitness.preflight import require
from eventstore.redis.driver.replication import Quorum, quorum_of
from eventstore.redis.streams import RedisStreamStore
from openagents_json import tool
from openagents_json.engine import Engine
from tests.integration.faults.replicas import (
    Node,
)


@tool("once")
def nothing() -> None:
    """Stand for the component where nobody works."""


def opened(
    url: str,
    components: tuple[Any, ...] = (nothing,),
    workers: int = 0,
    lease_ms: int = 30_000,
    replica_timeout_ms: int = 100,
) -> Engine:
    return Engine.connect(
        url,
        broker=None,
        components=components,
        workers=workers,
        partitions=1,
        durability="replicated",
        replica_timeout_ms=replica_timeout_ms,
        lease_ms=lease_ms,
    )


def has(node: Node, run: str, kind: str) -> bool:
    """Tell whether a server has an event of a run, acknowledged or not."""
    with node.client as client:
        return any(
            fields[b"t"] == kind.encode()
            for _, fields in client.xrange(f"oa:{{0}}:run:{run}")
        )


def count_of(node: Node, kind: str) -> int:
    with node.client as client:
        runs = [key.decode().rpartition(":")[2] for key in client.keys("oa:{0}:run:*")]
    return sum(has(node, run, kind) for run in runs)


def runs_on(node: Node) -> int:
    with node.client as client:
        return len(client.keys("oa:{0}:run:*"))


class Aside:
    """Something that is done on a thread, which may wait for long."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call, self.results = call, list[Any]()
        self._thread = threading.Thread(target=self._go)
        self._thread.start()

    def _go(self) -> None:
        try:
            self.results.append(self._call())
        except EventStoreError as error:
            self.results.append(error)

    def result(self) -> Any:
        self._thread.join(60)
        return self.results[0]


def fails_over(guard: Node, *, dry: bool = False) -> bool:
    """Have the Sentinel make a replica the primary, once it knows that both are fit."""
    with guard.client as client:
        fit = [
            r
            for r in client.sentinel_slaves("main")
            if r["flags"] == "slave" and r["master-link-status"] == "ok"
        ]
        if len(fit) < 2 or dry:
            return len(fit) == 2
        client.execute_command("SENTINEL", "FAILOVER", "main")
        return True


def leader(guard: Node) -> int:
    with guard.client as client:
        return int(client.sentinel_get_master_addr_by_name("main")[1])


def calls_of(node: Node, command: str) -> int:
    with node.client as client:
        return int(
            client.info("commandstats").get(f"cmdstat_{command}", {"calls": 0})["calls"]
        )


@contextmanager
def appending(
    node: Node, quorum: Quorum | None = None
) -> Iterator[Callable[[int], Any]]:
    """Return what appends without an id, so that it is sent once and no more."""
    connection = connect(node.url, quorum=quorum or quorum_of("replicated", 0, 4000))
    try:
        require(connection, "s", 1, "replicated", now_ms=lambda: 0)
        store = RedisStreamStore(connection, Keyspace("s", 1))
        yield lambda value: store.append("a", [Event("E", value)])
    finally:
        connection.close()
