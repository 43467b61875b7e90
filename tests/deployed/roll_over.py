"""Each process of the composed system is begun anew under load: what was acknowledged is done, and nothing fails."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

from httpx import Client, TransportError

from openagents_json.engine import Engine
from tests.acceptance.deploy.files import url
from tests.acceptance.processes import openagents
from tests.conftest import wait_for
from tests.deployed.system import Service, address, composed_system

CALLERS = 4
STARTS_BETWEEN = 50
DOCUMENT = {
    "id": "rolled",
    "inputs": {"name": {"type": "string"}},
    "steps": [
        {"id": "say", "component": "greet", "inputs": {"name": "{{input.name}}"}},
        {"id": "nap", "sleep": 0.2},
        {"id": "ask", "component": "answer", "inputs": {"question": "{{say.output}}"}},
        {"id": "end", "component": "greet", "inputs": {"name": "{{ask.output}}"}},
    ],
    "output": "{{end.output}}",
}


class Load:
    """Callers who start runs, each under a key, until that is acknowledged by one of the instances."""

    def __init__(self, instances: list[Service], secret: str) -> None:
        self._instances = instances
        self._secret = secret
        self._ended = threading.Event()
        self.runs: dict[str, str] = {}
        self.tried_again = 0

    def stop(self) -> None:
        """Let the callers end behind their last run."""
        self._ended.set()

    def call(self, caller: int) -> None:
        """Start one run after the other."""
        with Client(
            timeout=120, headers={"Authorization": f"Bearer {self._secret}"}
        ) as client:
            for number in count():
                if self._ended.is_set():
                    return
                key = f"{caller}-{number}"
                self.runs[key] = self._start(client, key)

    def _start(self, client: Client, key: str) -> str:
        body = {"workflow": DOCUMENT, "inputs": {"name": key}}
        headers = {"Idempotency-Key": key}
        for turn in count(hash(key)):
            instance = address(self._instances[turn % len(self._instances)])
            try:
                if instance:
                    answer = client.post(
                        f"{instance}/v1/runs", json=body, headers=headers
                    )
                    if answer.is_success:
                        return str(answer.json()["id"])
                    assert answer.status_code == 503, answer.text
            except TransportError:
                pass
            self.tried_again += 1
            self._ended.wait(0.05)
        raise AssertionError("there is always a next turn")


def test_every_process_is_begun_anew_under_load(tmp_path: Path) -> None:
    with composed_system(tmp_path) as services, ThreadPoolExecutor() as threads:
        store = tmp_path / "store" / "s.sock"
        secret = openagents(
            "api-keys",
            "create",
            "load",
            "--role",
            "operator",
            "--url",
            url(store, "api"),
        ).stdout.strip()
        load = Load([services["api-0"], services["api-1"]], secret)
        calls = [threads.submit(load.call, caller) for caller in range(CALLERS)]
        try:
            for service in services.values():
                _wait_for_more(load)
                service.roll()
            _wait_for_more(load)
        finally:
            load.stop()
        for call in calls:
            call.result()
        _look(load, url(store, "api"))
        for service in services.values():
            assert "Traceback" not in service.log_text(), service.name
    print(
        f"{len(load.runs)} runs acknowledged, {load.tried_again} requests tried again"
    )


def _wait_for_more(load: Load) -> None:
    before = len(load.runs)
    wait_for(lambda: len(load.runs) >= before + STARTS_BETWEEN)


def _look(load: Load, store: str) -> None:
    """Look that each acknowledged start is one run, which has completed with its own output."""
    assert len(set(load.runs.values())) == len(load.runs)
    with Engine.connect(store, workers=0) as engine:
        for key, run in load.runs.items():
            info = engine.wait(run, timeout=120)
            expected = f"Hello, You asked: Hello, {key}!!"
            assert (info.status, info.output) == ("completed", expected)
        assert engine.views.count() == len(load.runs)
        assert engine.doctor() == []
