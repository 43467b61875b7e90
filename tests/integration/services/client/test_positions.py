"""Positions of the log: what was written through one instance is read behind through any other."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from httpx import Client as Http

from openagents_json.client import Client
from openagents_json.engine import Engine, PositionNotReached
from openagents_json.engine.consistency.positions import token_of
from openagents_json.server.http import positions
from tests.conftest import Server, SharedServers
from tests.integration.services.calling import ASKING, serving_api


@pytest.fixture(scope="module")
def server(shared_servers: SharedServers) -> Server:
    return shared_servers.of("valkey")


@pytest.fixture(scope="module")
def engines(server: Server) -> Iterator[tuple[Engine, Engine]]:
    """Two processes' engines on one store."""
    options: dict[str, Any] = {
        "prefix": server.prefix(),
        "components": [],
        "workers": 0,
        "partitions": 2,
    }
    with (
        Engine.connect(server.url, **options) as one,
        Engine.connect(server.url, **options) as other,
    ):
        yield one, other


@pytest.fixture(scope="module")
def urls(engines: tuple[Engine, Engine]) -> Iterator[tuple[str, str]]:
    """Two instances of the services."""
    one, other = engines
    with serving_api(one) as url, serving_api(other) as url_of_other:
        yield url, url_of_other


@pytest.fixture(scope="module")
def apis(urls: tuple[str, str]) -> Iterator[tuple[Http, Http]]:
    one, other = (Http(base_url=url, timeout=120) for url in urls)
    with one, other:
        yield one, other


def version(number: int) -> dict[str, Any]:
    return {**ASKING, "id": "shown", "version": f"1.0.{number}"}


def publish(api: Http, number: int) -> httpx.Response:
    body = {"document": version(number), "alias": "live"}
    answer = api.post("/v1/workflows", json=body)
    assert answer.is_success, answer.text
    return answer


def test_another_instance_knows_what_was_registered_a_moment_ago(
    engines: tuple[Engine, Engine], apis: tuple[Http, Http]
) -> None:
    one, _ = engines
    for number in range(5):
        name = f"fresh{number}"
        body = {"document": {"id": "w", "steps": [{"id": "a", "component": name}]}}

        def is_known(told: str = "", body: dict[str, Any] = body) -> bool:
            headers = {"If-Position": told} if told else {}
            path = "/v1/workflows/validate"
            answer = apis[1].post(path, json=body, headers=headers)
            return not answer.json()["problems"]

        assert not is_known()  # it has in its cache now that there is none
        one.catalog.register({"name": name, "version": "1.0.0"})
        assert is_known(token_of(one.log_positions.after(None)))


def test_a_client_hands_positions_on_by_itself(urls: tuple[str, str]) -> None:
    one, other = urls
    with Client(one) as client:
        client.publish(version(10), alias="mine")
        for number in range(11, 16):
            client._wire._http.base_url = httpx.URL(other)
            client.start("shown@mine")
            client._wire._http.base_url = httpx.URL(one)
            client.publish(version(number), alias="mine")
            client._wire._http.base_url = httpx.URL(other)
            run = client.start("shown@mine")
            assert client.history(run)[0].data["version"] == f"1.0.{number}"
        assert len(client._wire._positions._positions) == 1


def test_each_write_has_a_position_behind_all_that_its_caller_has_seen(
    apis: tuple[Http, Http],
) -> None:
    one, other = apis
    begun = one.post("/v1/runs", json={"workflow": ASKING})
    run = begun.json()["id"]
    first = begun.headers["X-Log-Position"]
    told = publish(one, 0).headers["X-Log-Position"]
    signal = other.post(
        f"/v1/runs/{run}/signal/answer",
        json={"payload": 1},
        headers={"If-Position": f"{first}, {told}"},
    )
    behind = signal.headers["X-Log-Position"]
    assert behind not in (first, told)
    ended = one.get(f"/v1/runs/{run}", headers={"If-Position": behind})
    assert ended.json()["status"] == "completed"
    assert "X-Log-Position" not in ended.headers
    listed = one.get("/v1/runs?status=completed", headers={"If-Position": behind})
    assert run in {row["id"] for row in listed.json()["items"]}
    refused = one.post("/v1/runs", json={"workflow": "nothing@1"})
    assert "X-Log-Position" not in refused.headers


def test_a_read_waits_until_the_store_is_there(apis: tuple[Http, Http]) -> None:
    one, other = apis
    run = one.post("/v1/runs", json={"workflow": ASKING}).json()["id"]
    before = one.get(f"/v1/runs/{run}/history").json()["items"]
    partition = int(run.partition("-")[0])
    count = _count(one, partition, run)
    ahead = token_of({partition: count + 1})
    answers: list[httpx.Response] = []

    def read() -> None:
        path = f"/v1/runs/{run}/history"
        answers.append(other.get(path, headers={"If-Position": ahead}))

    reader = threading.Thread(target=read)
    reader.start()
    one.post(f"/v1/runs/{run}/signal/answer", json={"payload": 1})
    reader.join()
    assert answers[0].status_code == 200
    assert len(answers[0].json()["items"]) > len(before)


def _count(api: Http, partition: int, run: str) -> int:
    """Return how many events a partition has, by the position of a write that changes nothing."""
    paused = api.post(f"/v1/runs/{run}/pause", json={})
    resumed = api.post(f"/v1/runs/{run}/resume", json={})
    assert paused.is_success
    told = resumed.headers["X-Log-Position"]
    counts = json.loads(base64.urlsafe_b64decode(told + "=" * (-len(told) % 4)))
    return int(counts[str(partition)])


def test_a_store_that_is_behind_is_said_to_be(
    urls: tuple[str, str], apis: tuple[Http, Http], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(positions, "PATIENCE_SECONDS", 0.0)
    ahead = {"If-Position": token_of({0: 10**9})}
    behind = apis[0].get("/v1/runs", headers=ahead)
    assert (behind.status_code, behind.json()["code"]) == (503, "position_not_reached")
    assert behind.headers["Retry-After"] == "1"
    for text in ("x", token_of({7: 1}), token_of({0: -1}), "e30=!", "WzFd"):
        wrong = apis[0].get("/v1/runs", headers={"If-Position": text})
        assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid_position")
    with Client(urls[0], retry_seconds=0) as client:
        client._wire._positions._positions[ahead["If-Position"]] = None
        with pytest.raises(PositionNotReached):
            client.runs()
        client.runs()  # what the store has lost is not asked for again
