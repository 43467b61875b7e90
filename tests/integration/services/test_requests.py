"""Requests that nobody should send: each is refused with a problem that says why, and nothing is a 500."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection

import pytest
from httpx import Client

from openagents_json.server.http.bodies import MOST_BYTES
from tests.conftest import Server, SharedServers
from tests.integration.services.calling import calling, engine_on

pytestmark = pytest.mark.one_worker
JSON = {"Content-Type": "application/json"}


def _many_names(count: int) -> bytes:
    names = [b'"%x":1' % number for number in range(count)]
    return b"{%s}" % b",".join([*names, names[-1]])


NO_JSON = {
    "no JSON": b"{",
    "text behind it": b"{} {}",
    "a name twice": b'{"workflow": "a", "workflow": "b"}',
    # Who counts each name anew needs an hour for these, and answers nobody else meanwhile.
    "a name twice, among many": _many_names(300_000),
    "a name twice, inside": b'{"workflow": {"id": "a", "id": "b"}}',
    "NaN": b'{"workflow": "a", "inputs": {"x": NaN}}',
    "infinity": b'{"workflow": "a", "inputs": {"x": -Infinity}}',
    "a number without end": b'{"workflow": "a", "inputs": {"x": 1e999}}',
    "no UTF-8": b'{"workflow": "\xff"}',
    "UTF-16": '{"workflow": "a"}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "nested too deeply": b"[" * 200_000,
    "nested too deeply, closed": b"[" * 100_000 + b"]" * 100_000,
    "a long number": b'{"workflow": "a", "inputs": {"x": ' + b"9" * 5_000 + b"}}",
}
UNFIT = {
    "nothing": b"",
    "a list": b"[]",
    "a text": b'"a"',
    "null": b"null",
    "a member that is unknown": b'{"workflow": "a", "unknown": 1}',
    "a workflow that is a number": b'{"workflow": 7}',
    "a workflow that is a list": b'{"workflow": []}',
    "inputs that are a list": b'{"workflow": "a", "inputs": []}',
    "labels that are numbers": b'{"workflow": "a", "labels": {"a": 1}}',
    "half of a surrogate pair": b'{"workflow": {"id": "\\ud800", "steps": []}}',
    "a null byte": b'{"workflow": "a\\u0000"}',
}
BODIES = {**NO_JSON, **UNFIT}


@pytest.fixture(scope="module")
def server(shared_servers: SharedServers) -> Server:
    """One kind of server: what is asked of either is shown where its scripts are."""
    return shared_servers.of("valkey")


@pytest.fixture(scope="module")
def api(server: Server) -> Iterator[Client]:
    with engine_on(server) as engine, calling(engine) as client:
        yield client


@pytest.mark.parametrize("path", ["/v1/runs", "/v1/runs/batch", "/v1/workflows"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_body_that_cannot_be_taken_is_refused_with_a_reason(
    api: Client, path: str, body: bytes
) -> None:
    answer = api.post(path, content=body, headers=JSON)
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["detail"]
    assert problem["type"] == f"urn:openagents-json:error:{problem['code']}"


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON.keys())
def test_what_lenient_readers_take_for_json_is_none(api: Client, body: bytes) -> None:
    answer = api.post("/v1/runs", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (400, "body_not_json")


def test_a_body_that_is_too_large_is_refused_as_soon_as_it_is(api: Client) -> None:
    pieces = (b" " * 1024 * 1024 for _ in range(MOST_BYTES // 1024 // 1024 + 1))
    answer = api.post("/v1/runs", content=pieces, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(
    api: Client,
) -> None:
    url = api.base_url
    connection = HTTPConnection(url.host, url.port, timeout=20)
    with closing(connection):
        connection.putrequest("POST", "/v1/runs")
        connection.putheader("Content-Length", str(MOST_BYTES + 1))
        connection.endheaders()
        answer = connection.getresponse()
        assert (answer.status, b"body_too_large" in answer.read()) == (413, True)


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("/v1/runs?status=done", "query.status.0"),
        ("/v1/runs?limit=0", "query.limit"),
        ("/v1/runs?limit=x", "query.limit"),
        ("/v1/runs?started_after=0.5", "query.started_after"),
        ("/v1/runs?label=team", "query.label.0"),
        ("/v1/runs?nothing=1", "query.nothing"),
        ("/v1/runs/0-x/history?after=-1", "query.after"),
        (f"/v1/runs/0-x/history?after={10**30}", "query.after"),
        ("/v1/runs/0-x/state?version=0", "query.version"),
    ],
)
def test_a_parameter_that_cannot_be_is_named(api: Client, path: str, part: str) -> None:
    answer = api.get(path)
    assert (answer.status_code, answer.json()["pointer"]) == (422, part)


@pytest.mark.parametrize("body", [{"limit": "5"}, {"limit": True}, {"held": 1}])
def test_in_a_body_nothing_is_read_as_something_else(
    api: Client, body: dict[str, object]
) -> None:
    answer = api.post("/v1/runs/search", json=body)
    (name,) = body
    assert (answer.status_code, answer.json()["pointer"]) == (422, f"/{name}")
    assert api.post("/v1/runs/search", json={"limit": 5.0}).status_code == 200


@pytest.mark.parametrize("component", [{}, {"name": ""}, {"version": "1.0.0"}])
def test_a_component_that_a_worker_describes_needs_a_name(
    api: Client, component: dict[str, str]
) -> None:
    answer = api.post("/v1/queues/tool/claim", json={"components": [component]})
    assert answer.status_code == 400
    assert answer.json()["detail"] == "the spec of a component needs a name"


def test_where_in_a_body_something_is_wrong_is_a_pointer(api: Client) -> None:
    body = {"runs": [{"workflow": "a"}, {"workflow": "a", "labels": {"a/b": 1}}]}
    problem = api.post("/v1/runs/batch", json=body).json()
    assert problem["pointer"] == "/runs/1/labels/a~1b"


def test_each_problem_of_a_document_is_told(api: Client) -> None:
    body = {"document": {"id": "w", "steps": [{"id": "a"}, {"id": "a"}]}}
    refused = api.post("/v1/workflows", json=body)
    checked = api.post("/v1/workflows/validate", json=body)
    assert refused.status_code == 422
    assert checked.json()["valid"] is False
    assert checked.json()["problems"] == refused.json()["problems"]


def test_paths_and_methods_that_are_not_there_are_problems_too(
    api: Client,
) -> None:
    nowhere = api.get("/v1/nowhere")
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "not_found")
    wrong = api.put("/v1/runs")
    assert (wrong.status_code, wrong.headers["Allow"]) == (405, "GET, POST")
    assert api.put("/v1/runs/search").headers["Allow"] == "POST"


def test_browsers_are_told_to_take_nothing_for_a_page(api: Client) -> None:
    for answer in (api.get("/v1/runs"), api.get("/v1/nowhere")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
