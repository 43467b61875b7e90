"""Many clients steer the same runs at once through several engines: one history each, and nobody sees time go back."""

from __future__ import annotations

import random
import threading
from typing import Any

from openagents_json.catalog.loader import load
from openagents_json.engine import Engine
from openagents_json.workflow.errors import Rejected
from tests.acceptance.processes import COMPONENTS
from tests.conftest import Server

DOCUMENT: dict[str, Any] = {
    "id": "steered",
    "execution": "graph",
    "steps": [
        {"id": "a", "component": "quick"},
        {
            "id": "b",
            "component": "flaky",
            "depends_on": ["a"],
            "retry": {"max_retries": 5, "delay_seconds": 0.01},
        },
        {"id": "c", "component": "waits", "depends_on": ["a"], "inputs": {"ms": 5}},
        {"id": "d", "component": "slow", "depends_on": ["a"], "inputs": {"ms": 10}},
        {
            "id": "e",
            "component": "fail",
            "depends_on": ["b", "c", "d"],
            "on_error": [{"then": "continue"}],
        },
        {"id": "f", "component": "quick", "depends_on": ["e"]},
    ],
}
KEYS = 40


class Client:
    """Starts runs by key and steers them at random; what it sees of a run only grows."""

    def __init__(self, engine: Engine, seed: int, runs: dict[str, str]) -> None:
        self._engine, self._random, self._runs = engine, random.Random(seed), runs
        self._seen: dict[str, int] = {}
        self.problems: list[str] = []
        self.thread = threading.Thread(target=self._act)
        self.thread.start()

    def _act(self) -> None:
        for _ in range(50):
            key = str(self._random.randrange(KEYS))
            run = self._engine.start(DOCUMENT, idempotency_key=key)
            if self._runs.setdefault(key, run) != run:
                self.problems.append(f"{key} is {run} and {self._runs[key]}")
            try:
                self._steer(run)
            except (Rejected, TimeoutError):
                continue
            version = self._engine.state(run).version
            if version < self._seen.get(run, 0):
                self.problems.append(
                    f"{run} went back from {self._seen[run]} to {version}"
                )
            self._seen[run] = version

    def _steer(self, run: str) -> None:
        match self._random.randrange(10):
            case 0:
                self._engine.pause(run, "so")
            case 1 | 2:
                self._engine.resume(run)
            case 3 if self._random.random() < 0.3:
                self._engine.cancel(run, force=self._random.random() < 0.5)
            case 4:
                self._engine.wait(run, timeout=0.05)
            case _:
                versions = [event.version for event in self._engine.history(run)]
                if versions != list(range(1, len(versions) + 1)):
                    self.problems.append(f"{run} has versions {versions}")


def test_every_run_is_one_history_whoever_steers_it(server: Server) -> None:
    prefix, registry = server.prefix(), load([str(COMPONENTS)])
    engines = [
        Engine.connect(
            server.url,
            components=registry,
            workers=2,
            prefix=prefix,
            partitions=3,
            lease_ms=1000,
        )
        for _ in range(3)
    ]
    runs: dict[str, str] = {}
    clients = [Client(engines[number % 3], number, runs) for number in range(6)]
    for client in clients:
        client.thread.join(120)
    assert [client.problems for client in clients] == [[]] * 6
    for run in runs.values():
        if not engines[0].state(run).status.startswith(("c", "f")):
            engines[0].resume(run)
    ends = {
        run: {engine.wait(run, timeout=60).status for engine in engines}
        for run in runs.values()
    }
    assert all(
        len(statuses) == 1 and statuses <= {"completed", "cancelled"}
        for statuses in ends.values()
    )
    assert engines[0].doctor() == []
    for engine in engines:
        engine.close()
