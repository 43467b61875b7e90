"""A server that dies and comes back without the end of its log: what is there goes on, what is gone begins anew."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

import pytest

from openagents_json.catalog.loader import load
from openagents_json.engine import Engine
from openagents_json.engine.answers.runs import Result
from tests.acceptance.processes import COMPONENTS
from tests.conftest import Server, wait_for
from tests.integration.ledger.ledgers import key_file

DOCUMENT: dict[str, Any] = {
    "id": "tail",
    "execution": "graph",
    "steps": [
        {"id": "a", "component": "quick", "inputs": {"n": "{{input.n}}"}},
        {
            "id": "b",
            "component": "flaky",
            "depends_on": ["a"],
            "retry": {"max_retries": 5, "delay_seconds": 0.05},
        },
        {"id": "c", "component": "slow", "depends_on": ["a"], "inputs": {"ms": 15}},
        {
            "id": "d",
            "component": "quick",
            "depends_on": ["b", "c"],
            "inputs": {"n": "{{a.output}}"},
        },
        {"id": "e", "component": "quick", "inputs": {"n": "{{d.output}}"}},
    ],
    "output": "{{e.output}}",
}


def newest_file(server: Server) -> Path:
    """Return the file that a server appends to."""
    return max(
        (server.directory / "appendonlydir").glob("*.incr.aof"),
        key=lambda path: path.stat().st_mtime,
    )


def cut(server: Server, size: int) -> None:
    """Take bytes from the end of a dead server's log."""
    newest = newest_file(server)
    length = newest.stat().st_size
    with newest.open("r+b") as file:
        file.truncate(max(0, length - size))


def rewritten(server: Server) -> bool:
    """Tell whether a worker has made the log of a server anew since it came back: Redis 7.0 needs that."""
    info = server.connections[0].client.info()
    record = server.connections[0].command(b"HGET", b"oa:store", b"run_id") or b""
    return record.decode() == info["run_id"] and not info["aof_rewrite_in_progress"]


class Clients:
    """Threads that each start runs by key and insist on a result, as clients of a real system would."""

    def __init__(self, engine: Engine, count: int) -> None:
        self.results: dict[int, Result] = {}
        self._engine = engine
        self.threads = [
            threading.Thread(target=self._insist, args=(n,)) for n in range(count)
        ]
        for thread in self.threads:
            thread.start()

    def _insist(self, n: int) -> None:
        for _ in range(100):
            try:
                result = self._engine.run(
                    DOCUMENT, {"n": n}, idempotency_key=str(n), timeout=5
                )
            except (
                LookupError,
                TimeoutError,
            ):  # the run was lost with the tail, or waits: ask again
                continue
            self.results[n] = result
            return

    def busy(self) -> bool:
        return any(thread.is_alive() for thread in self.threads)


@pytest.mark.parametrize("seed", [1])
def test_after_every_cut_the_runs_are_one_consistent_history(
    private_server: Server, seed: int, tmp_path: Path
) -> None:
    chance, pause = random.Random(seed), threading.Event()
    private_server.connect()
    with Engine.connect(
        private_server.url,
        components=load([str(COMPONENTS)]),
        workers=2,
        partitions=4,
        lease_ms=1000,
        audit_key=key_file(tmp_path),
    ) as engine:
        for _ in range(2):
            clients = Clients(engine, 25)
            for _ in range(2):
                pause.wait(0.1 + 0.3 * chance.random())
                private_server.kill()
                cut(private_server, chance.randrange(1, 20_000))
                private_server.start()
                wait_for(lambda: rewritten(private_server))
            for thread in clients.threads:
                thread.join(90)
            assert not clients.busy(), engine.doctor()
            assert {
                n: result.status for n, result in clients.results.items()
            } == dict.fromkeys(range(25), "completed")
            assert {n: result.output for n, result in clients.results.items()} == {
                n: n + 3 for n in range(25)
            }
        assert engine.doctor() == []
        engine.audit.seal()
        audit = engine.audit.verify()
        assert audit.intact, list(audit.lines())
