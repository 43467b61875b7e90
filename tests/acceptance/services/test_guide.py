"""The requests of the guide are those of a service: each is sent as it stands there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest
from httpx import Client, Response

from tests.acceptance.processes import ROOT
from tests.conftest import Server
from tests.integration.services.calling import calling, engine_on

GUIDE = ROOT / "docs" / "how-to" / "serve-over-http.md"
OF_WORKERS = ROOT / "docs" / "how-to" / "write-a-worker-in-any-language.md"


@pytest.fixture
def api(server: Server) -> Iterator[Client]:
    with engine_on(server) as engine, calling(engine) as client:
        yield client


def send(client: Client, line: str) -> Response:
    """Send what a line asks curl for."""
    method, address, headers, body = "GET", "", {}, None
    arguments = iter(shlex.split(line)[1:])
    for argument in arguments:
        match argument:
            case "-X":
                method = next(arguments)
            case "-H":
                name, _, value = next(arguments).partition(": ")
                headers[name] = value
            case "-d":
                body = next(arguments)
            case "-N":
                pass
            case _:
                address = argument.removeprefix("localhost:8080")
    return client.request(method, address, headers=headers, content=body)


def test_each_request_of_the_guide_is_answered(api: Client) -> None:
    lines = re.findall(r"^\$ (curl .*)$", GUIDE.read_text(), re.MULTILINE)
    run = ""
    answers = []
    for line in lines:
        answer = send(api, line.replace("RUN", run))
        answers.append(answer.status_code)
        if "/v1/runs " in line:
            run = answer.json()["id"]
            assert answer.json()["output"] == "Hello, Ada!"
    assert answers == [201, 200, 200, 200, 200, 200, 200, 200]


def test_each_request_of_the_guide_to_workers_is_answered(api: Client) -> None:
    lines = re.findall(r"^\$ (curl .*)$", OF_WORKERS.read_text(), re.MULTILINE)
    lease = run = ""
    statuses = []
    for line in lines:
        answer = send(api, line.replace("LEASE", lease))
        statuses.append(answer.status_code)
        if "/jobs" in line:
            run = answer.json()["id"]
        if "Idempotency-Key" in line:
            [step] = answer.json()["steps"]
            lease = step["lease"]
    assert statuses == [200, 201, 200, 200, 200, 204, 204]
    assert api.get(f"/v1/runs/{run}").json()["output"] == "Example"


def test_what_the_guide_to_workers_fails_and_gives_back_with_is_taken(
    api: Client,
) -> None:
    bodies = re.findall(r"```json\n(.*)\n```", OF_WORKERS.read_text())
    component = {"name": "page.text", "version": "1.0.0"}
    for body, what in zip(bodies, ("fail", "release"), strict=True):
        api.post("/v1/queues/tool/claim", json={"components": [component]})
        api.post("/v1/jobs", json={"component": "page.text"})
        [step] = api.post(
            "/v1/queues/tool/claim",
            json={"components": [component]},
            headers={"Prefer": "wait=30"},
        ).json()["steps"]
        answer = api.post(
            f"/v1/leases/{step['lease']}/{what}",
            content=body,
            headers={"Content-Type": "application/json"},
        )
        assert answer.status_code == 204
