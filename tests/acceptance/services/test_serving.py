"""`openagents serve` as a process: what it prints and refuses, how it ends, and what its callers survive."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from httpx import Client

from openagents_json.engine import Engine
from tests.acceptance.processes import COMMAND, openagents
from tests.conftest import Server, wait_for
from tests.fork_server import ForkedProcess

ASKING = {
    "id": "asking",
    "steps": [{"id": f"s{n}", "wait_for": {"signal": f"go{n}"}} for n in range(3)],
}


@contextmanager
def serving(*options: str, log: Path) -> Iterator[tuple[ForkedProcess, str]]:
    """Serve in a process of its own, and give its address."""
    with log.open("wb") as out:
        process = ForkedProcess(
            [*COMMAND, "serve", "--port", "0", *options], stdout=out, stderr=out
        )
    try:
        wait_for(lambda: "serving on" in log.read_text() or process.poll() is not None)
        match = re.search(r"serving on (\S+)", log.read_text())
        assert match is not None, log.read_text()
        yield process, match[1]
    finally:
        process.kill()
        process.wait()


def test_it_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    with serving("--open", "--data", data, log=tmp_path / "log") as (process, url):
        with Client(base_url=url) as client:
            assert client.get("/ready").status_code == 200
            assert client.get("/v1/runs").json() == {"items": [], "next": ""}
            # Pages of others, in a browser of this machine: by a name that they made mean it, or across origins.
            for header in (
                {"Host": "page.example"},
                {"Origin": "https://page.example"},
            ):
                refused = client.post("/v1/schedules/a/trigger", headers=header)
                assert refused.json()["code"] == "called_from_elsewhere"
            for name in ("localhost", "[::1]:8080"):
                assert client.get("/live", headers={"Host": name}).status_code == 200
            document = client.get("/openapi.json").json()
        taken = url.rpartition(":")[2]
        other = openagents("serve", "--open", "--data", data, "--port", taken)
        assert other.returncode == 1
        assert f"cannot listen on 127.0.0.1, port {taken}" in other.stderr
        printed = openagents("openapi").stdout
        assert document == json.loads(printed)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_who_follows_or_awaits_a_run_does_not_keep_it_from_stopping(
    tmp_path: Path,
) -> None:
    """Feeds break off without their last event, and a wait is answered as if its time were over."""
    data = str(tmp_path / "data")
    with (
        serving("--open", "--data", data, log=tmp_path / "log") as (process, url),
        Client(base_url=url, timeout=120) as client,
        ThreadPoolExecutor() as threads,
    ):
        run = client.post("/v1/runs", json={"workflow": ASKING}).json()["id"]
        with client.stream("GET", f"/v1/runs/{run}/events") as feed:
            lines = feed.iter_lines()
            first = next(lines)
            waiting = client.build_request(
                "POST",
                "/v1/runs",
                json={"workflow": ASKING},
                headers={"Prefer": "wait=300"},
            )
            answer = threads.submit(client.send, waiting)
            wait_for(lambda: client.get("/v1/runs/count").json() == {"count": 2})
            process.send_signal(signal.SIGTERM)
            rest = "\n".join(lines)
        assert (first, "event: end" in rest) == ("id: 1", False)
        assert answer.result().status_code == 202
        assert process.wait(60) == 0
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_what_others_reach_needs_keys(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    refused = openagents("serve", "--open", "--host", "0.0.0.0", "--data", data)
    assert refused.returncode != 0
    assert "listens on this machine only" in refused.stderr
    with serving("--data", data, log=tmp_path / "log") as (_, url):
        done = openagents("api-keys", "create", "me", "--data", data)
        secret = done.stdout.strip()
        headers = {"Authorization": f"Bearer {secret}"}
        with Client(base_url=url) as client:
            assert client.get("/v1/runs").status_code == 401
            assert client.get("/v1/runs", headers=headers).status_code == 200
        listed = json.loads(
            openagents("api-keys", "list", "--data", data, "--json").stdout
        )
        assert [key["name"] for key in listed] == ["me"]
        assert secret not in json.dumps(listed)
        key_id = listed[0]["id"]
        rotated = openagents(
            "api-keys", "rotate", key_id, "--data", data
        ).stdout.strip()
        assert rotated != secret
        openagents("api-keys", "revoke", key_id, "--data", data)
    gone = openagents("api-keys", "revoke", key_id, "--data", data)
    assert (gone.returncode, key_id in gone.stderr) == (6, True)


def test_a_watcher_misses_nothing_when_the_service_is_killed(
    server: Server, tmp_path: Path
) -> None:
    """It comes back by the id of the event that it saw last: no gap, and nothing twice."""
    where = ("--url", server.url, "--prefix", server.prefix())
    seen: list[int] = []
    with Engine.connect(
        where[1], prefix=where[3], components=[], partitions=1
    ) as engine:
        run = engine.start(ASKING)
        for n in range(3):
            with serving("--open", *where, log=tmp_path / f"log{n}") as (process, url):
                engine.signal(run, f"go{n}")
                last_signal = n == 2
                _watch(url, run, seen, until_end=last_signal)
                process.kill()
        history = [event.version for event in engine.history(run)]
    assert seen == history


def _watch(url: str, run: str, seen: list[int], *, until_end: bool) -> None:
    """Follow a run behind what was seen: to its end, or until a step more has ended."""
    headers = {"Last-Event-ID": str(seen[-1])} if seen else {}
    with (
        Client(base_url=url, timeout=120) as client,
        client.stream("GET", f"/v1/runs/{run}/events", headers=headers) as feed,
    ):
        kind = ""
        for line in feed.iter_lines():
            if line.startswith("id: "):
                seen.append(int(line.removeprefix("id: ")))
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            if kind == "end" or (kind == "StepCompleted" and not until_end):
                return


@pytest.mark.parametrize("service", ["registry", "execution"])
def test_each_service_prints_its_own_document(service: str) -> None:
    paths = json.loads(openagents("openapi", "--service", service).stdout)["paths"]
    assert ("/v1/runs" in paths) == (service == "execution")
    assert ("/v1/workflows" in paths) == (service == "registry")
    names = [
        operation["operationId"]
        for methods in paths.values()
        for operation in methods.values()
    ]
    assert len(names) == len(set(names))


def test_a_store_that_is_away_is_a_503_that_may_be_tried_again(
    private_server: Server, tmp_path: Path
) -> None:
    where = ("--url", private_server.url)
    with (
        serving("--open", *where, log=tmp_path / "log") as (_, url),
        Client(base_url=url, timeout=120) as client,
    ):
        assert client.get("/ready").status_code == 200
        private_server.kill()
        for path in ("/ready", "/v1/runs/0-x"):
            answer = client.get(path)
            assert (answer.status_code, answer.json()["retryable"]) == (503, True)
            assert answer.headers["Retry-After"] == "1"
        assert client.get("/live").status_code == 200
        private_server.start()
        wait_for(lambda: client.get("/ready").status_code == 200)
