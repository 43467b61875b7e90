"""A broker is a doorbell: one that hangs, is gone or was never there costs time, and nothing else."""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventstore.redis.driver.fitness.preflight import require
from executor.wakeup import BackgroundDoorbell
from openagents_json.catalog.loader import load
from openagents_json.engine import Engine
from openagents_json.engine.open import OpenStore
from openagents_json.engine.wiring.client import build_core
from tests.acceptance.processes import COMPONENTS, worker
from tests.conftest import Server

DOCUMENT = {
    "id": "w",
    "steps": [
        {"id": "a", "component": "quick"},
        {"id": "b", "component": "waits", "depends_on": ["a"]},
        {"id": "c", "component": "quick", "depends_on": ["b"]},
    ],
}


@pytest.fixture
def mute() -> Iterator[str]:
    """The URL of a broker that takes every connection and never answers."""
    listener = socket.create_server(("127.0.0.1", 0))
    taken = []

    def take() -> None:
        while True:
            try:
                taken.append(listener.accept()[0])
            except OSError:
                return

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    yield f"redis://127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()
    for connection in taken:
        connection.close()


@pytest.fixture
def broker() -> Iterator[Server]:
    """A broker of its own, which a test may kill."""
    directory = Path(tempfile.mkdtemp(prefix="oa-"))
    server = Server("valkey", directory)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(directory, ignore_errors=True)


class Stuck:
    """A doorbell that lets nobody go until it is told to."""

    def __init__(self) -> None:
        self.rung, self.let_go = threading.Event(), threading.Event()

    def ring(self, queue: str) -> None:
        self.rung.set()
        self.let_go.wait()

    def close(self) -> None:
        pass


def test_a_start_does_not_wait_for_the_doorbell(server: Server) -> None:
    connection, doorbell = server.connect(), Stuck()
    keyspace = require(connection, server.prefix(), 1, "everysec", now_ms=lambda: 0)
    core = build_core(
        connection, keyspace, doorbell=BackgroundDoorbell(lambda: doorbell)
    )
    engine = Engine(
        OpenStore(core, load([str(COMPONENTS)]), server.url, lambda: None), actor="test"
    )
    runs = [engine.start(DOCUMENT) for _ in range(3)]
    assert doorbell.rung.wait(20)
    assert [engine.state(run).status for run in runs] == ["running"] * 3
    doorbell.let_go.set()
    engine.close()


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_workers_whose_broker_never_answers_find_their_work(
    server: Server, mute: str, pool: str
) -> None:
    prefix, registry = server.prefix(), load([str(COMPONENTS)])
    with Engine.connect(
        server.url, broker=mute, components=registry, prefix=prefix, partitions=2
    ) as engine:
        process = worker(server, prefix, broker_url=mute, more=("--pool", pool))
        try:
            runs = engine.start_many([(DOCUMENT, {})] * 5)
            assert [engine.wait(run, timeout=60).status for run in runs] == [
                "completed"
            ] * 5
        finally:
            process.terminate()
            assert process.wait(60) == 0
        assert engine.doctor() == []


def test_workers_whose_broker_ends_go_on(server: Server, broker: Server) -> None:
    prefix, registry = server.prefix(), load([str(COMPONENTS)])
    with Engine.connect(
        server.url, broker=broker.url, components=registry, prefix=prefix, partitions=2
    ) as engine:
        process = worker(server, prefix, broker=broker)
        try:
            assert engine.run(DOCUMENT, timeout=60).ok
            broker.kill()
            runs = engine.start_many([(DOCUMENT, {})] * 5)
            assert [engine.wait(run, timeout=60).status for run in runs] == [
                "completed"
            ] * 5
        finally:
            process.terminate()
            assert process.wait(60) == 0
        assert engine.doctor() == []
