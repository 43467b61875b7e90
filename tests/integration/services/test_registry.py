"""Workflows and schedules over HTTP: published, resolved, used, taken away."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from httpx import Client

from tests.conftest import Server
from tests.integration.services.calling import (
    GREETING,
    calling,
    engine_on,
    serving_api,
)

pytestmark = pytest.mark.one_worker
WAIT = {"Prefer": "wait=60"}


@pytest.fixture(scope="module")
def api(server: Server) -> Iterator[Client]:
    with engine_on(server) as engine, calling(engine) as client:
        yield client


def test_a_workflow_is_published_and_run_by_name(api: Client) -> None:
    published = api.post("/v1/workflows", json={"document": GREETING, "alias": "live"})
    assert (published.status_code, published.json()) == (
        201,
        {"name": "greeting@1.0.0"},
    )
    where = published.headers["Location"]
    assert api.get(where).json()["document"] == GREETING
    assert api.get("/v1/workflows/greeting/versions/live").json()["version"] == "1.0.0"
    for reference in ("greeting", "greeting@^1", "greeting@live"):
        body = {"workflow": reference, "inputs": {"name": "Ada"}}
        assert api.post("/v1/runs", json=body, headers=WAIT).json()["output"] == (
            "Hello, Ada!"
        )
    other = {**GREETING, "output": "{{say.status}}"}
    taken = api.post("/v1/workflows", json={"document": other})
    assert (taken.status_code, taken.json()["code"]) == (409, "version_exists")


def test_the_picture_of_a_run_is_that_of_its_workflow(api: Client) -> None:
    api.post("/v1/workflows", json={"document": GREETING})
    begun = api.post("/v1/runs", json={"workflow": "greeting@1.0.0"})
    layout = api.get(f"{begun.headers['Location']}/layout").json()
    assert layout["title"] == "greeting 1.0.0"
    [say] = layout["steps"]
    assert (say["path"], say["texts"]) == ("say", ["say", "greet", ""])
    published = "/v1/workflows/greeting/versions/1.0.0"
    assert api.get(f"{published}/layout").json() == layout
    assert api.get(published).json()["hash"] == layout["hash"]
    assert api.get("/v1/runs/0-nothing/layout").status_code == 404


def test_a_schedule_is_made_looked_at_triggered_and_removed(api: Client) -> None:
    document = {**GREETING, "id": "hourly"}
    api.post("/v1/workflows", json={"document": document})
    body = {"workflow": "hourly", "every_seconds": 3600, "inputs": {"name": "Ada"}}
    created = api.put("/v1/schedules/each-hour", json=body)
    assert created.status_code == 200, created.text
    assert created.json()["schedule"]["every_seconds"] == 3600
    assert len(api.get("/v1/schedules/each-hour/next?count=3").json()) == 3
    key = {"Idempotency-Key": "once"}
    runs = [
        api.post("/v1/schedules/each-hour/trigger", headers=key).json()["id"]
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    assert api.get(f"/v1/runs/{runs[0]}", headers=WAIT).json()["status"] == "completed"
    uses = api.get("/v1/workflows/hourly/versions/1.0.0/uses").json()
    assert uses["schedules"] == ["each-hour"]
    kept = api.delete("/v1/workflows/hourly/versions/1.0.0")
    assert (kept.status_code, kept.json()["code"]) == (409, "still_needed")
    assert api.delete("/v1/schedules/each-hour").status_code == 204
    assert api.get("/v1/schedules/each-hour").json()["code"] == "schedule_not_found"
    assert api.delete("/v1/workflows/hourly/versions/1.0.0").status_code == 200


def test_the_services_can_run_apart(server: Server) -> None:
    """What one publishes, the other starts; neither answers for the other."""
    with (
        engine_on(server) as engine,
        serving_api(engine, service="registry") as registry_url,
        serving_api(engine, service="execution") as execution_url,
        Client(base_url=registry_url) as registry,
        Client(base_url=execution_url, timeout=120) as execution,
    ):
        registry.post("/v1/workflows", json={"document": GREETING})
        body = {"workflow": "greeting@1", "inputs": {"name": "Ada"}}
        assert execution.post("/v1/runs", json=body, headers=WAIT).status_code == 200
        assert registry.post("/v1/runs", json=body).status_code == 404
        assert execution.get("/v1/workflows").status_code == 404
        for client in (registry, execution):
            assert client.get("/ready").json()["status"] == "ok"
