"""Who may call: each operation with each role, keys that expire, are rotated and taken back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from httpx import Client

from openagents_json.engine import Engine
from openagents_json.engine.api_keys import ROLES
from openagents_json.engine.errors import ApiKeyNotFound, InvalidApiKey
from openagents_json.server.http.known_keys import MOST, TRUSTED_MS, KnownKeys
from tests.conftest import Server, SharedServers, wait_for
from tests.integration.services.calling import (
    ASKING,
    document_of,
    engine_on,
    serving_api,
)

pytestmark = pytest.mark.one_worker

LEAST_ROLES = {
    "viewer": {
        *(
            "countRuns",
            "countRunsByStatus",
            "diffRuns",
            "explainRun",
            "followRun",
            "followRunOutput",
        ),
        *(
            "getRun",
            "getRunAt",
            "getRunChildren",
            "getRunHistory",
            "getRunId",
            "getRunLayout",
        ),
        *("getRunResult", "getRunSteps", "getRunTimeline", "getSchedule"),
        *("getWorkflowLayout", "getWorkflowUses", "getWorkflowVersion"),
        *("getWebhook", "listWebhooks"),
        *("getHook", "listDeliveries", "listHooks"),
        *("listComponents", "listFailures", "listRuns", "listSchedules", "listSteps"),
        *("getLedger", "getReceipt", "getRunSeal", "verifyRun"),
        *("listOrders", "getQueue", "listQueues", "listUsage", "metrics"),
        *("listWaiting", "listWorkers", "listWorkflows", "nextFirings", "searchRuns"),
        *("diffWorkflows", "validateWorkflow"),
        *("checkWorkflow", "getAgent", "getJobResults", "getJobStatus", "getWorkflow"),
        *("listAgents", "listWorkflowDocuments", "visualizeWorkflow"),
    },
    "operator": {
        *("cancelRun", "completeStep", "forkRun", "pauseRun", "pauseSchedule"),
        *("rerunRun", "resumeRun", "resumeSchedule", "retryRun", "signalRun"),
        *("createJob", "getDelivery", "replayDelivery"),
        *("limitQueue", "pauseQueue", "resumeQueue"),
        *("skipStep", "startJob", "startRun", "startRuns", "triggerSchedule"),
    },
    "developer": {
        *("deleteHook", "deleteWebhook", "putHook", "putWebhook"),
        *("deleteWorkflow", "registerWorkflow", "saveWorkflow"),
        *("deleteSchedule", "publishWorkflow", "putSchedule", "unpublishWorkflow"),
    },
    "admin": {
        *("deleteRun", "holdRun", "redactRun", "releaseRun"),
        *("deleteApiKey", "limitApiKey", "listApiKeys", "putApiKey"),
        *("exportLedger", "verifyLedger"),
    },
    "worker": {
        *("claimSteps", "completeLease", "emitOfLease", "failLease"),
        *("heartbeatLease", "releaseLease"),
    },
}
OPEN = {"health", "live", "ready", "version"}
"""What says whether a service works is told to everybody."""

BODIES: dict[str, Any] = {
    "forkRun": {"at": 1},
    "limitQueue": {"at_most": 2},
    "limitApiKey": {"rate": ""},
    "putApiKey": {"name": "a", "role": "viewer"},
    "skipStep": {"step": "a"},
    "completeStep": {"step": "a"},
    "startJob": {"component": "nothing"},
    "startRun": {"workflow": "nothing@1"},
    "createJob": {"workflow_id": "nothing"},
    "startRuns": {"runs": [{"workflow": "nothing@1"}]},
    "publishWorkflow": {"document": {}},
    "validateWorkflow": {"document": {}},
    "diffWorkflows": {"one": "nothing@1", "other": "nothing@2"},
    "putSchedule": {"workflow": "nothing"},
    "putWebhook": {"url": "https://localhost", "secret": "A"},
    "putHook": {
        "signature": {"preset": "github", "secrets": ["A"]},
        "start": {"workflow": "nothing"},
    },
    "claimSteps": {"components": ["nothing@1.0.0"]},
    "emitOfLease": {"values": [1]},
    "failLease": {"error": {"message": "it broke"}},
}


@pytest.fixture(scope="module")
def server(shared_servers: SharedServers) -> Server:
    """One kind of server: what is asked of either is shown where its scripts are."""
    return shared_servers.of("valkey")


@pytest.fixture(scope="module")
def engine(server: Server) -> Iterator[Engine]:
    with engine_on(server) as opened:
        yield opened


@pytest.fixture(scope="module")
def url(engine: Engine) -> Iterator[str]:
    with serving_api(engine, is_open=False) as served:
        yield served


@pytest.fixture(scope="module")
def callers(engine: Engine, url: str) -> Iterator[dict[str, Client]]:
    """Somebody of each role."""
    clients = {
        role: Client(
            base_url=url,
            headers={
                "Authorization": f"Bearer {engine.api_keys.create(role, role).secret}"
            },
        )
        for role in ROLES
    }
    yield clients
    for client in clients.values():
        client.close()


def operations() -> list[tuple[str, str, str]]:
    """Return name, method and path of each operation."""
    return [
        (operation["operationId"], method, path)
        for path, methods in document_of("all")["paths"].items()
        for method, operation in methods.items()
    ]


def ask(client: Client, name: str, method: str, path: str) -> int:
    """Call an operation on things that are not there, and give the status of the answer."""
    address = path
    for part in (
        "run",
        "other",
        "name",
        "workflow",
        "version",
        "type",
        "lease",
        "delivery",
        "key",
    ):
        address = address.replace(
            f"{{{part}}}", "1.0.0" if part == "version" else "nothing"
        )
    body = BODIES.get(name, {}) if method in ("post", "put") else None
    return client.request(method.upper(), address, json=body).status_code


def test_each_operation_has_its_least_role() -> None:
    named = {name for names in LEAST_ROLES.values() for name in names}
    assert {name for name, _, _ in operations()} == named | OPEN


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_what_is_its_own_and_no_more(
    callers: dict[str, Client], role: str
) -> None:
    lower_roles = {
        "worker": ("worker",),  # runs steps, and may do nothing else
        "admin": ROLES,
    }.get(role, ROLES[: ROLES.index(role) + 1])
    may = {name for lower in lower_roles for name in LEAST_ROLES[lower]}
    allowed, server_errors = set(), {}
    for name, method, path in operations():
        if name in OPEN:
            continue
        status = ask(callers[role], name, method, path)
        if status != 403:
            allowed.add(name)
        if status >= 500 or status == 401:
            server_errors[name] = status
    assert server_errors == {}
    assert allowed == may


def test_without_a_key_only_whether_it_works_is_told(url: str) -> None:
    with Client(base_url=url) as nobody:
        statuses = {
            name: ask(nobody, name, method, path) for name, method, path in operations()
        }
    assert {name for name, status in statuses.items() if status == 200} == OPEN
    assert {statuses[name] for name in statuses.keys() - OPEN} == {401}


def test_of_who_is_unknown_no_body_is_read(url: str) -> None:
    with Client(base_url=url) as nobody:
        answer = nobody.post(
            "/v1/runs", content=b"{", headers={"Content-Type": "application/json"}
        )
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer x",
        "Bearer oak_000000000000_" + "A" * 43,
        "Basic dTpw",
        "oak_000000000000",
        "Bearer " + "9" * 8_000,
    ],
)
def test_what_is_no_key_opens_nothing(url: str, authorization: str) -> None:
    with Client(base_url=url, headers={"Authorization": authorization}) as nobody:
        answer = nobody.get("/v1/runs")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


def test_the_secret_of_another_key_opens_nothing(engine: Engine, url: str) -> None:
    one = engine.api_keys.create("one", "viewer")
    other = engine.api_keys.create("other", "admin")
    mixed = one.secret.replace(one.key.id, other.key.id)
    with Client(base_url=url, headers={"Authorization": f"Bearer {mixed}"}) as nobody:
        assert nobody.get("/v1/runs").status_code == 401


def test_who_has_done_something_stands_in_the_history(
    callers: dict[str, Client],
) -> None:
    operator = callers["operator"]
    run = operator.post("/v1/runs", json={"workflow": ASKING}).json()["id"]
    operator.post(f"/v1/runs/{run}/cancel", json={})
    history = callers["viewer"].get(f"/v1/runs/{run}/history").json()["items"]
    actors = {event["type"]: event["actor"] for event in history}
    assert (actors["RunStarted"], actors["RunCancelRequested"]) == (
        "key:operator",
        "key:operator",
    )


def test_a_key_that_is_rotated_or_taken_back_counts_no_more(
    engine: Engine, url: str
) -> None:
    created = engine.api_keys.create("leaver", "viewer")

    def status(secret: str) -> int:
        with Client(
            base_url=url, headers={"Authorization": f"Bearer {secret}"}
        ) as client:
            return client.get("/v1/runs").status_code

    assert status(created.secret) == 200
    rotated = engine.api_keys.rotate(created.key.id)
    assert status(rotated.secret) == 200
    wait_for(lambda: status(created.secret) == 401)
    engine.api_keys.revoke(created.key.id)
    wait_for(lambda: status(rotated.secret) == 401)
    with pytest.raises(ApiKeyNotFound):
        engine.api_keys.revoke(created.key.id)


def test_the_store_holds_no_secret(engine: Engine) -> None:
    created = engine.api_keys.create("careful", "viewer")
    random_part = created.secret.rsplit("_", 1)[1]
    connection = engine.core.connection
    key = engine.core.store.keys.registry("api_keys")
    stored = connection.command(b"HGETALL", key)
    assert created.key.id in str(stored)
    assert random_part not in str(stored)
    assert engine.api_keys.find(created.secret) == created.key


def test_an_admin_makes_limits_and_takes_back_keys(
    engine: Engine, callers: dict[str, Client]
) -> None:
    admin, address = callers["admin"], "/v1/api-keys/0123456789ab"
    body = {"name": "dashboard", "role": "viewer", "lasts_seconds": 60}
    first = admin.put(address, json=body)
    assert first.headers["Cache-Control"] == "no-store"
    assert first.json()["key"]["created_by"] == "key:admin"
    again = admin.put(address, json=body)
    assert engine.api_keys.find(first.json()["secret"]) is None
    assert engine.api_keys.find(again.json()["secret"]) is not None
    admin.post(f"{address}/limit", json={"rate": "5/s"})
    listed = {key["id"]: key for key in admin.get("/v1/api-keys").json()}
    assert listed["0123456789ab"]["rate"] == "5/s"
    assert listed["0123456789ab"]["expires_ms"] > 0
    assert "sha256" not in listed["0123456789ab"]
    assert admin.delete(address).status_code == 204
    assert admin.delete(address).status_code == 404
    assert admin.put("/v1/api-keys/mine", json=body).status_code == 400


def test_a_key_expires(engine: Engine) -> None:
    over = engine.api_keys.create("over", "viewer", lasts_ms=0)
    assert engine.api_keys.find(over.secret) is None
    lasting = engine.api_keys.create("lasting", "viewer", lasts_ms=60_000)
    assert engine.api_keys.find(lasting.secret) == lasting.key


def test_a_key_needs_a_name_and_a_role(engine: Engine) -> None:
    with pytest.raises(InvalidApiKey):
        engine.api_keys.create("no name", "viewer")
    with pytest.raises(InvalidApiKey):
        engine.api_keys.create("name", "king")


def test_no_more_keys_are_remembered_than_there_is_room_for(engine: Engine) -> None:
    key = engine.api_keys.create("many", "viewer").key
    cached = KnownKeys(lambda _: key, lambda: 0.0)
    for number in range(MOST + 1):
        cached.find(str(number))
    assert (cached.known("0"), cached.known("1")) == (None, key)


def test_a_key_that_was_seen_is_looked_up_again_in_time(engine: Engine) -> None:
    created = engine.api_keys.create("seen", "viewer")
    now = [0.0]
    cached = KnownKeys(engine.api_keys.find, lambda: now[0])
    assert cached.known(created.secret) is None
    assert cached.find(created.secret) == created.key
    assert cached.known(created.secret) == created.key
    now[0] = TRUSTED_MS
    assert cached.known(created.secret) is None
