"""The paths of 0.1.4 below `/api`: its documented shapes, with what was broken there mended."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

import pytest
from httpx import Client

from openagents_json import tool
from openagents_json.engine import Engine
from tests.conftest import Server, SharedServers
from tests.integration.services.calling import BREAKING, GREETING, calling, engine_on

DRAWN: dict[str, Any] = {
    "id": "drawn",
    "name": "Two greetings",
    "version": "1.2.0",
    "inputs": {"name": {"type": "string"}},
    "steps": [
        {"id": "a", "component": "greet", "inputs": {"name": "{{input.name}}"}},
        {"id": "b", "component": "greet", "inputs": {"name": "{{a.output}}"}},
    ],
    "connections": [{"source": "a", "target": "b"}],
    "metadata": {"tags": ["polite"], "category": "talk"},
}


@pytest.fixture(scope="module")
def server(shared_servers: SharedServers) -> Server:
    return shared_servers.of("valkey")


@pytest.fixture(scope="module")
def engine(server: Server) -> Iterator[Engine]:
    with engine_on(server) as opened:
        yield opened


@pytest.fixture(scope="module")
def api(engine: Engine) -> Iterator[Client]:
    with calling(engine) as client:
        yield client


def test_a_workflow_is_registered_and_found_by_tag_and_version(api: Client) -> None:
    registered = api.post("/api/workflows", json=DRAWN)
    assert (registered.status_code, registered.json()["id"]) == (201, "drawn")
    again = api.post("/api/workflows", json={**DRAWN, "name": "Another"})
    assert (again.status_code, again.json()["code"]) == (409, "version_exists")
    for chosen in ({}, {"tag": "polite"}, {"category": "talk"}):
        listed = api.get("/api/workflows", params=chosen).json()
        assert [each["name"] for each in listed] == ["Two greetings"]
    for other in ({"tag": "rude"}, {"tag": "polite", "category": "x"}):
        assert api.get("/api/workflows", params=other).json() == []
    shown = api.get("/api/workflows/drawn", params={"version": "1.2.0"}).json()
    assert shown == {**DRAWN, "description": None, "outputs": {}}
    assert api.get("/api/workflows/drawn?version=9.0.0").status_code == 404
    assert api.get("/api/workflows/nothing").status_code == 404


@pytest.mark.parametrize("tags", [5, "polite", {"polite": 1}, None])
def test_tags_that_are_no_list_are_none(api: Client, tags: Any) -> None:
    document = {**GREETING, "id": "tagged", "metadata": {"tags": tags}}
    assert api.put("/api/workflows/tagged", json=document).status_code == 200
    answer = api.get("/api/workflows", params={"tag": "polite"})
    assert answer.status_code == 200
    assert "tagged" not in [each["id"] for each in answer.json()]


def test_true_in_the_place_of_1_is_another_document(api: Client) -> None:
    one = {**GREETING, "id": "numbered", "metadata": {"is": 1}}
    for value, version_then in ((1, "1.0.0"), (True, "1.0.1"), (1.0, "1.0.2")):
        document = {**one, "metadata": {"is": value}}
        saved = api.put("/api/workflows/numbered", json=document)
        assert saved.json()["version"] == version_then


def test_what_is_saved_is_the_newest_and_changes_no_version(api: Client) -> None:
    document = {**GREETING, "id": "saved"}
    path = "/api/workflows/saved"
    assert api.put(path, json=document).json()["version"] == "1.0.0"
    assert api.put(path, json=document).json()["version"] == "1.0.0"
    changes = [{**document, "description": str(number)} for number in range(4)]
    with ThreadPoolExecutor() as threads:
        answers = list(threads.map(lambda each: api.put(path, json=each), changes))
    versions = {answer.json()["version"] for answer in answers}
    assert versions == {"1.0.1", "1.0.2", "1.0.3", "1.0.4"}
    raised = api.put(path, json={**document, "version": "2.0.0"}).json()
    assert raised["version"] == "2.0.0"
    assert api.get(path).json()["version"] == "2.0.0"
    assert api.get(path, params={"version": "1.0.0"}).json()["description"] is None
    other = api.put(path, json={**document, "id": "another"})
    assert other.status_code == 400
    for unusable in (1, "first"):
        wrong = api.put(path, json={**document, "version": unusable})
        assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_definition")
    lower = api.put(path, json={**changes[0], "version": "1.5.0"}).json()
    assert lower["version"] == "2.0.1"
    assert api.delete(path, params={"version": "1.0.0"}).status_code == 204
    assert api.delete(path).status_code == 204
    assert [api.get(path).status_code, api.delete(path).status_code] == [404, 404]


def test_a_document_is_checked_and_drawn(api: Client) -> None:
    good = api.post("/api/workflows/validate", json=DRAWN).json()
    assert (good["valid"], good["validation_result"]["valid"]) == (True, True)
    doubled = {**DRAWN, "steps": [DRAWN["steps"][0]] * 2}
    bad = api.post("/api/workflows/validate", json=doubled).json()
    [issue] = [
        each
        for each in bad["validation_result"]["issues"]
        if each["code"] == "duplicate_step_id"
    ]
    assert (bad["valid"], issue["severity"]) == (False, "error")
    assert issue["location"]["path"] == "steps/1/id"
    assert issue["location"]["field"] == "id"
    astray = {**DRAWN, "connections": [{"source": "a", "target": "nowhere"}]}
    [wrong] = api.post("/api/workflows/validate", json=astray).json()[
        "validation_result"
    ]["issues"]
    assert wrong["location"]["connection_index"] == 0
    api.put("/api/workflows/drawn", json=DRAWN)
    drawn = api.get("/api/workflows/visualize/drawn").json()
    assert [node["id"] for node in drawn["nodes"]] == ["a", "b"]
    assert drawn["nodes"][1]["position"] == {"x": 200, "y": 100}
    [edge] = drawn["edges"]
    assert (edge["source"], edge["target"]) == ("a", "b")
    assert drawn["metadata"]["workflowName"] == "Two greetings"


def test_a_job_is_a_run(engine: Engine, api: Client) -> None:
    for document in (GREETING, BREAKING):
        engine.publish(document)
    asked = {"workflow_id": "greeting", "inputs": {"name": "Ada"}}
    created = [
        api.post("/api/jobs", json=asked, headers={"Idempotency-Key": "one"})
        for _ in range(2)
    ]
    assert [each.status_code for each in created] == [201, 201]
    job = created[0].json()["id"]
    assert (created[1].json()["id"], created[1].headers["Idempotency-Replayed"]) == (
        job,
        "true",
    )
    assert engine.wait(job, timeout=120).ok
    done = api.get(f"/api/jobs/{job}/status").json()
    assert (done["status"], done["state"], done["workflow_id"]) == (
        "COMPLETED",
        "COMPLETED",
        "greeting",
    )
    assert done["inputs"] == {"name": "Ada"}
    assert done["created_at"].endswith("+00:00")
    results = api.get(f"/api/jobs/{job}/results").json()
    assert (results["id"], results["outputs"]) == (job, {"output": "Hello, Ada!"})


def test_what_has_no_results_says_so(engine: Engine, api: Client) -> None:
    engine.publish(BREAKING)
    broken = api.post("/api/jobs", json={"workflow_id": "breaking"}).json()["id"]
    engine.wait(broken, timeout=120)
    refused = api.get(f"/api/jobs/{broken}/results")
    assert (refused.status_code, refused.json()["code"]) == (400, "job_without_results")
    status = api.get(f"/api/jobs/{broken}/status").json()
    assert (status["status"], status["outputs"]) == ("FAILED", {})
    for path in ("status", "results"):
        assert api.get(f"/api/jobs/0-nothing/{path}").status_code == 404
    unknown = api.post("/api/jobs", json={"workflow_id": "nothing"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_workflow")
    assert api.post("/api/jobs", json={"inputs": {}}).status_code == 422


def test_agents_have_their_capabilities(engine: Engine, api: Client) -> None:
    specs = [
        {"name": f"writer.{name}", "version": "1.0.0", "kind": "agent"}
        for name in ("sum_up", "translate")
    ]
    engine.catalog.register(specs)
    engine.catalog.register(tool("lonely")(lambda: 1))
    [agent] = api.get("/api/agents").json()
    assert (agent["name"], agent["capabilities"]) == (
        "writer",
        ["sum_up", "translate"],
    )
    assert api.get("/api/agents/writer").json() == agent
    missing = api.get("/api/agents/nobody")
    assert (missing.status_code, missing.json()["code"]) == (404, "agent_not_found")


def test_it_says_that_it_lives_and_which_version_it_is(api: Client) -> None:
    assert api.get("/api/health").json() == {"status": "ok"}
    assert api.get("/api/version").json() == {
        "version": version("openagents-json"),
        "app_name": "OpenAgents JSON",
    }
