"""Workers, relays, the server and the broker are killed or wiped while runs go on: every run closes."""

from __future__ import annotations

import random
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from openagents_json.catalog.loader import load
from openagents_json.engine import Engine
from tests.acceptance.processes import COMPONENTS, worker
from tests.conftest import Server, serving, wait_for
from tests.integration.ledger.ledgers import key_file

DOCUMENT: dict[str, Any] = {
    "id": "chaos",
    "steps": [
        {"id": "first", "component": "quick", "inputs": {"n": "{{input.n}}"}},
        {
            "id": "left",
            "component": "flaky",
            "depends_on": ["first"],
            "retry": {"max_retries": 9, "delay_seconds": 0.05},
        },
        {
            "id": "middle",
            "component": "slow",
            "depends_on": ["first"],
            "inputs": {"ms": 30},
        },
        {"id": "right", "component": "waits", "depends_on": ["first"]},
        {
            "id": "join",
            "component": "quick",
            "depends_on": ["left", "middle", "right"],
            "inputs": {"n": "{{first.output}}"},
        },
        {
            "id": "last",
            "component": "quick",
            "depends_on": ["join"],
            "inputs": {"n": "{{join.output}}"},
        },
    ],
    "output": {"n": "{{last.output}}"},
}


class Fleet:
    """Worker processes that can be killed and replaced."""

    def __init__(self, store: Server, broker: Server, prefix: str) -> None:
        self._make = partial(worker, store, prefix, broker=broker)
        self.workers: list[subprocess.Popen[str]] = [self._make() for _ in range(2)]

    def kill_one(self, chance: random.Random) -> None:
        victim = chance.randrange(len(self.workers))
        self.workers[victim].kill()
        self.workers[victim].wait()
        self.workers[victim] = self._make()

    def stop(self) -> None:
        for process in self.workers:
            process.kill()
            process.wait()


@pytest.fixture
def broker() -> Iterator[Server]:
    with serving("valkey") as started:
        yield started


def check_all(engine: Engine, runs: list[str], expected: dict[str, int]) -> None:
    """Every run has completed with the right result, and the store is in order."""
    store = engine.core.store
    wait_for(lambda: all(status == "completed" for status in store.statuses(runs)), 120)
    for run in runs:
        assert engine.wait(run).output == {"n": expected[run]}
    assert engine.doctor() == []
    assert [
        drift
        for name in ("runs", "steps", "workers")
        for drift in engine.views.verify(name)
    ] == []
    engine.audit.seal()
    audit = engine.audit.verify()
    assert audit.intact, list(audit.lines())
    assert audit.verified == sum(
        position.head for position in engine.core.ledger.places(range(8))
    )


@pytest.mark.slow
def test_workers_server_and_broker_die_at_random_and_every_run_completes(
    private_server: Server,
    broker: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAGENTS_AUDIT_KEY", str(key_file(tmp_path)))
    chance, prefix = random.Random(7), private_server.prefix()
    registry = load([str(COMPONENTS)])
    with Engine.connect(
        private_server.url,
        broker=broker.url,
        components=registry,
        prefix=prefix,
        partitions=8,
        audit_key=tmp_path / "audit.key",
    ) as engine:
        fleet = Fleet(private_server, broker, prefix)
        expected: dict[str, int] = {}
        pause = threading.Event()
        try:
            for round_ in range(10):
                runs = engine.start_many([(DOCUMENT, {"n": i}) for i in range(20)])
                expected |= {run: i + 3 for i, run in enumerate(runs)}
                pause.wait(0.3 + 0.5 * chance.random())
                if round_ % 3 == 0:
                    fleet.kill_one(chance)
                elif round_ % 3 == 1:
                    private_server.kill()
                    private_server.start()
                else:
                    broker_connection = broker.connect()
                    broker_connection.command(b"FLUSHALL")
            check_all(engine, list(expected), expected)
        finally:
            fleet.stop()
    assert len(expected) == 200


def test_a_worker_that_dies_is_replaced_by_another_and_the_history_says_so(
    server: Server,
) -> None:
    prefix = server.prefix()
    document = {
        "id": "takeover",
        "steps": [{"id": "long", "component": "slow", "inputs": {"ms": 1200}}],
    }
    with Engine.connect(
        server.url, broker=server.url, components=load([str(COMPONENTS)]), prefix=prefix
    ) as engine:
        first = worker(server, prefix, more=("--name", "one"))
        try:
            run = engine.start(document)
            wait_for(lambda: any(e.type == "StepStarted" for e in engine.history(run)))
            first.kill()
            first.wait()
            second = worker(server, prefix, more=("--name", "two"))
            try:
                assert engine.wait(run, timeout=60).ok
            finally:
                second.terminate()
                assert second.wait(120) == 0
        finally:
            first.kill()
        started = [
            e.worker or "" for e in engine.history(run) if e.type == "StepStarted"
        ]
        assert [name.split(":")[0] for name in started] == ["one", "two"]
        assert [e.type for e in engine.history(run)].count("StepLeaseLost") == 1
