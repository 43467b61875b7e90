"""More than a thousand bodies that nothing takes, sent to each operation: a problem each, and never a 500."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import pytest
from fastapi.routing import APIRoute
from httpx import Client, Response

from openagents_json.engine import Engine
from openagents_json.server.application import ROUTERS
from openagents_json.server.http_protocol import MOST_HEAD_BYTES
from tests.conftest import SharedServers
from tests.integration.services.calling import ASKING, calling, engine_on
from tests.integration.services.odd_bodies import JSON_TYPE, not_json, unfit

pytestmark = pytest.mark.one_worker

OPERATIONS = {
    route.operation_id: (method, f"/v1{route.path}")
    for router in ROUTERS["all"]
    for route in router.routes
    if isinstance(route, APIRoute) and route.operation_id
    for method in route.methods or ()
    if method in ("POST", "PUT")
}
"""What takes bodies; the document would say the same, and takes half a second in each process that gathers tests."""
HEAVY = 10_000
"""Bodies of so many bytes are sent to one operation only: what reads them is the same for all."""


@pytest.fixture(scope="module")
def engine(shared_servers: SharedServers) -> Iterator[Engine]:
    with engine_on(shared_servers.of("valkey")) as opened:
        yield opened


@pytest.fixture(scope="module")
def api(engine: Engine) -> Iterator[Client]:
    with calling(engine) as client:
        yield client


@pytest.fixture(scope="module")
def run(engine: Engine) -> str:
    return str(engine.start(ASKING))


def code_of(answer: Response) -> str:
    """Return the code of a problem."""
    problem = answer.json()
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert problem["status"] == answer.status_code
    assert problem["detail"]
    return str(problem["code"])


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_body_that_cannot_be_taken_is_refused(
    engine: Engine, api: Client, run: str, operation: str
) -> None:
    method, path = OPERATIONS[operation]
    address = re.sub(r"{(\w+)}", "none", path.replace("{run}", run))
    before = engine.state(run)
    is_first = operation == next(iter(OPERATIONS))
    for body in not_json():
        if len(body) < HEAVY or is_first:
            headers = {"Content-Type": JSON_TYPE}
            answer = api.request(method, address, content=body, headers=headers)
            assert (answer.status_code, code_of(answer)) == (400, "body_not_json"), body
    for body, given in unfit():
        answer = api.request(method, address, content=body, headers=given)
        assert 400 <= answer.status_code < 500, (body, given)
        assert code_of(answer), body
    assert engine.state(run) == before


def test_they_are_more_than_a_thousand() -> None:
    each = [body for body in not_json() if len(body) < HEAVY]
    assert len(OPERATIONS) * (len(each) + len(list(unfit()))) > 3_000


@pytest.mark.parametrize("text", ["\\ud800", "\\udc00\\ud800", "\\u0000", "\\uffff"])
@pytest.mark.parametrize("operation", ["signalRun", "completeStep", "startRun"])
def test_an_odd_text_in_a_value_is_taken_or_refused(
    api: Client, run: str, operation: str, text: str
) -> None:
    method, path = OPERATIONS[operation]
    member = {"signalRun": "payload", "completeStep": "output", "startRun": "inputs"}
    body = f'{{"{member[operation]}": {{"{text}": "{text}"}}, "reason": "{text}"}}'
    address = path.replace("{run}", run).replace("{name}", "none")
    answer = api.request(
        method, address, content=body, headers={"Content-Type": JSON_TYPE}
    )
    assert answer.status_code < 500, answer.text


@pytest.mark.parametrize(
    "begin",
    [b"GET /live HTTP/1.1\r\nHost: x\r\nX-Long: ", b"GET /live?q="],
    ids=["field", "address"],
)
def test_what_does_not_end_is_refused(api: Client, begin: bytes) -> None:
    with socket.create_connection(("127.0.0.1", api.base_url.port or 0)) as caller:
        caller.settimeout(60)
        # Not one byte more than is read: what is left unread takes the answer away with it.
        caller.sendall(begin + b"a" * (MOST_HEAD_BYTES + 1 - len(begin)))
        answer = b""
        while part := caller.recv(65536):
            answer += part
    assert b"HTTP/1.1 400 Bad Request" in answer
    assert api.get("/live").status_code == 200
