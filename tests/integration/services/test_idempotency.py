"""What is posted under an idempotency key is carried out once, whoever dies, and answered alike when sent again."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from httpx import Client

from openagents_json.engine import Engine
from openagents_json.engine.steering.errors import KeyReused, RequestUnderWay
from openagents_json.engine.steering.requests import CarriedRequest
from openagents_json.server.execution import steering
from tests.conftest import Server, SharedServers
from tests.integration.services.calling import (
    ASKING,
    BREAKING,
    calling,
    deliver,
    document_of,
    engine_on,
)
from tests.integration.services.calling import GREETING as WITH_INPUTS

pytestmark = pytest.mark.one_worker

GREETING = {**WITH_INPUTS, "id": "greeting-once"}


@pytest.fixture(scope="module")
def server(shared_servers: SharedServers) -> Server:
    """One kind of server: what is asked of either is shown where its scripts are."""
    return shared_servers.of("valkey")


@pytest.fixture(scope="module")
def engine(server: Server) -> Iterator[Engine]:
    with engine_on(server) as opened:
        yield opened


@pytest.fixture(scope="module")
def api(engine: Engine) -> Iterator[Client]:
    with calling(engine) as client:
        yield client


def asking(engine: Engine) -> str:
    return str(engine.start(ASKING))


def paused(engine: Engine) -> str:
    run = asking(engine)
    engine.pause(run)
    return run


def broken(engine: Engine) -> str:
    run = str(engine.start(BREAKING))
    engine.wait(run, timeout=120)
    return run


def held(engine: Engine) -> str:
    run = broken(engine)
    engine.archive.hold(run)
    return run


Prepare = Callable[[Engine], str]

# The body of each operation, another one, and what prepares what it is about, where that is a run.
RUN_POSTS: dict[str, tuple[Any, Any, Prepare]] = {
    "cancelRun": ({}, {"reason": "no"}, asking),
    "pauseRun": ({}, {"reason": "no"}, asking),
    "resumeRun": ({}, {"reason": "no"}, paused),
    "retryRun": ({}, {"reason": "no"}, broken),
    "rerunRun": ({}, {"reason": "no"}, broken),
    "forkRun": ({"at": 1}, {"at": 2}, asking),
    "skipStep": ({"step": "ask"}, {"step": "other"}, asking),
    "completeStep": (
        {"step": "ask", "output": 1},
        {"step": "ask", "output": 2},
        asking,
    ),
    "signalRun": ({"payload": 1}, {"payload": 2}, asking),
    "holdRun": ({}, {"reason": "no"}, broken),
    "releaseRun": ({}, {"reason": "no"}, held),
    "redactRun": ({}, {"reason": "no"}, broken),
}
POSTS: dict[str, tuple[Any, Any]] = {
    "startRun": (
        {"workflow": WITH_INPUTS, "inputs": {"name": "a"}},
        {"workflow": WITH_INPUTS, "inputs": {"name": "b"}},
    ),
    "startJob": (
        {"component": "greet", "inputs": {"name": "a"}},
        {"component": "greet", "inputs": {"name": "b"}},
    ),
    "startRuns": ({"runs": [{"workflow": ASKING}]}, {"runs": [{"workflow": BREAKING}]}),
    "searchRuns": ({}, {"limit": 7}),
    "publishWorkflow": ({"document": GREETING}, {"document": ASKING}),
    "validateWorkflow": ({"document": {}}, {"document": ASKING}),
    "createJob": (
        {"workflow_id": "asking", "inputs": {"name": "a"}},
        {"workflow_id": "asking", "inputs": {"name": "b"}},
    ),
    "registerWorkflow": (
        {**WITH_INPUTS, "id": "registered"},
        {**ASKING, "id": "registered-too"},
    ),
    "checkWorkflow": ({}, ASKING),
    "diffWorkflows": (
        {"one": ASKING, "other": GREETING},
        {"one": ASKING, "other": ASKING},
    ),
    "pauseSchedule": (None, {"unknown": 1}),
    "resumeSchedule": (None, {"unknown": 1}),
    "triggerSchedule": (None, {"unknown": 1}),
    "limitApiKey": ({"rate": "1/s"}, {"rate": "2/s"}),
    "pauseQueue": ({}, {"reason": "no"}),
    "resumeQueue": ({}, {"reason": "no"}),
    "limitQueue": ({"at_most": 1}, {"at_most": None}),
    "replayDelivery": (None, {"unknown": 1}),
    "claimSteps": (
        {"components": ["greet@1.0.0"]},
        {"components": ["greet@1.0.0"], "limit": 2},
    ),
}
"""Bodies of the operations that are about no run."""

OF_LEASES = {
    "heartbeatLease": (None, {"unknown": 1}),
    "completeLease": ({"output": 1}, {"output": 2}),
    "failLease": ({"error": {"message": "a"}}, {"error": {"message": "b"}}),
    "emitOfLease": ({"values": [1]}, {"values": [2]}),
    "releaseLease": ({}, {"reason": "no"}),
}
WITHOUT_WORK = {"claimSteps"}
"""A claim that found nothing is no answer to be kept: what claims are given is shown with workers."""


def posts() -> dict[str, str]:
    """Return the paths of the operations of both services that are posted, by their names."""
    return {
        operation["operationId"]: path
        for service in ("registry", "execution")
        for path, methods in document_of(service)["paths"].items()
        for method, operation in methods.items()
        if method == "post"
    }


def test_each_post_of_both_services_takes_a_key_and_is_shown_here() -> None:
    assert posts().keys() == RUN_POSTS.keys() | POSTS.keys() | OF_LEASES.keys()
    for service in ("registry", "execution"):
        for path, methods in document_of(service)["paths"].items():
            if "post" in methods:
                names = {each["name"] for each in methods["post"]["parameters"]}
                assert "idempotency-key" in names, path


def shown(engine: Engine, api: Client, path: str, body: Any, other: Any) -> None:
    """Show that a request is answered alike under its key, and another one is refused."""
    headers = {"Idempotency-Key": path}
    first = api.post(path, json=body, headers=headers)
    assert first.is_success, first.text
    assert "Idempotency-Replayed" not in first.headers
    again = api.post(path, json=body, headers=headers)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.status_code == first.status_code
    assert (again.content and again.json()) == (first.content and first.json())
    assert again.headers.get("Location") == first.headers.get("Location")
    refused = api.post(path, json=other, headers=headers)
    assert refused.status_code == 422, refused.text
    assert {"asked", "recorded"} <= refused.json().keys()


@pytest.mark.parametrize("name", RUN_POSTS)
def test_what_is_done_to_a_run_is_done_once(
    engine: Engine, api: Client, name: str
) -> None:
    body, other, prepare = RUN_POSTS[name]
    run = prepare(engine)
    path = posts()[name].replace("{run}", run).replace("{name}", "answer")
    shown(engine, api, path, body, other)


@pytest.mark.parametrize("name", sorted(POSTS.keys() - WITHOUT_WORK))
def test_what_is_posted_is_done_once(engine: Engine, api: Client, name: str) -> None:
    engine.publish(ASKING | {"version": "1.0.0"})
    api.put("/v1/schedules/daily", json={"workflow": "asking", "cron": "0 0 1 1 *"})
    if name == "limitApiKey":
        engine.api_keys.create("limited", "viewer", key_id="0123456789ab")
    if name == "replayDelivery":
        deliver(engine, "daily", "one")
    body, other = POSTS[name]
    path = posts()[name].replace("{name}", "daily").replace("{delivery}", "one")
    path = path.replace("{key}", "0123456789ab")
    shown(engine, api, path, body, other)


def test_a_command_is_not_done_again_where_others_have_acted_since(
    engine: Engine, api: Client
) -> None:
    run = asking(engine)
    headers = {"Idempotency-Key": "pause"}
    first = api.post(f"/v1/runs/{run}/pause", json={}, headers=headers).json()
    engine.resume(run)
    again = api.post(f"/v1/runs/{run}/pause", json={}, headers=headers)
    assert (again.json(), first["status"]) == (first, "paused")
    assert engine.state(run).status == "running"


def test_who_dies_between_the_command_and_its_answer_has_it_done_once(
    engine: Engine,
) -> None:
    run = asking(engine)
    requests = engine.keyed_requests
    first = requests.begin("key", "pause", "digest", run)
    assert isinstance(first, CarriedRequest)
    engine.once(first.commit, first.after, first.found).pause(run)
    requests.ended(first, refused=False)  # as its time had run out
    engine.resume(run)
    second = requests.begin("key", "pause", "digest", run)
    assert isinstance(second, CarriedRequest)
    engine.once(second.commit, second.after, second.found).pause(run)
    # Who was only late, and not dead, comes last: he has not seen what was done meanwhile.
    engine.once(first.commit, first.after, first.found).pause(run)
    assert (second.was_found, engine.state(run).status) == (True, "running")
    kinds = [event.type for event in engine.history(run)]
    assert kinds.count("RunPaused") == 1


def test_a_refusal_does_not_free_the_key_of_what_another_has_done(
    engine: Engine,
) -> None:
    """Who takes a request over may be refused before its command is looked for, as by a lost role."""
    run = asking(engine)
    requests = engine.keyed_requests
    first = requests.begin("refused", "pause", "digest", run)
    assert isinstance(first, CarriedRequest)
    engine.once(first.commit, first.after, first.found).pause(run)
    requests.ended(first, refused=False)  # as its time had run out
    second = requests.begin("refused", "pause", "digest", run)
    assert isinstance(second, CarriedRequest)
    requests.ended(second, refused=True)
    engine.resume(run)
    third = requests.begin("refused", "pause", "digest", run)
    assert isinstance(third, CarriedRequest)
    engine.once(third.commit, third.after, third.found).pause(run)
    assert (third.was_found, engine.state(run).status) == (True, "running")


def test_two_at_a_time_are_one(engine: Engine) -> None:
    requests = engine.keyed_requests
    first = requests.begin("both", "what", "digest")
    with pytest.raises(RequestUnderWay) as under_way:
        requests.begin("both", "what", "digest")
    assert under_way.value.left_ms > 0
    with pytest.raises(KeyReused):
        requests.begin("both", "what", "other")
    assert isinstance(first, CarriedRequest)
    requests.answered(first, b"answer")
    assert requests.begin("both", "what", "digest") == b"answer"


def test_many_at_once_do_it_once(engine: Engine, api: Client) -> None:
    run = broken(engine)
    headers = {"Idempotency-Key": "at once"}
    statuses: list[int] = []

    def retry() -> None:
        answer = api.post(f"/v1/runs/{run}/retry", json={}, headers=headers)
        if answer.status_code == 409:
            assert answer.json()["code"] == "request_under_way"
            assert int(answer.headers["Retry-After"]) >= 1
        statuses.append(answer.status_code)

    threads = [threading.Thread(target=retry) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) <= {200, 409}
    assert 200 in statuses
    kinds = [event.type for event in engine.history(run)]
    assert kinds.count("RunReopened") == 1


def test_what_was_refused_leaves_its_key_free(engine: Engine, api: Client) -> None:
    run = asking(engine)
    headers = {"Idempotency-Key": "later"}
    path = f"/v1/runs/{run}/retry"
    assert api.post(path, json={}, headers=headers).status_code == 409
    assert api.post(path, json={"step": 7}, headers=headers).status_code == 422
    engine.cancel(run, force=True)
    engine.wait(run, timeout=120)
    answer = api.post(path, json={"reason": "now"}, headers=headers)
    assert (answer.status_code, answer.headers.get("Idempotency-Replayed")) == (
        200,
        None,
    )


def test_a_body_is_the_same_however_it_is_written(engine: Engine, api: Client) -> None:
    run = asking(engine)
    headers = {"Idempotency-Key": "a", "Content-Type": "application/json"}
    path = f"/v1/runs/{run}/signal/answer"
    one = b'{"payload": {"a": 1, "b": "\xc3\xa9"}, "by": "x"}'
    other = b'{"by":"x",\n"payload":{"b":"\\u00e9","a":1}}'
    first = api.post(path, content=one, headers=headers)
    again = api.post(path, content=other, headers=headers)
    assert first.is_success
    assert again.headers["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize("key", ["", "k" * 201])
def test_what_is_no_key_is_refused(engine: Engine, api: Client, key: str) -> None:
    run = asking(engine)
    path = f"/v1/runs/{run}/pause"
    answer = api.post(path, json={}, headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["pointer"]) == (
        422,
        "header.idempotency-key",
    )


@pytest.mark.parametrize("payload", [10**40, "\ud800", 1e300, [[[[]]]]])
def test_odd_values_are_no_defect(engine: Engine, api: Client, payload: Any) -> None:
    run = asking(engine)
    path = f"/v1/runs/{run}/signal/answer"
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    body = json.dumps({"payload": payload})
    answer = api.post(path, content=body, headers=headers)
    assert answer.status_code < 500


def test_nothing_that_a_run_works_with_is_kept_for_it(
    engine: Engine, api: Client
) -> None:
    run = asking(engine)
    body = {"step": "ask", "output": "a secret of the run"}
    answer = api.post(
        f"/v1/runs/{run}/complete", json=body, headers={"Idempotency-Key": "secret"}
    )
    assert answer.json()["output"] == "a secret of the run"
    connection, prefix = engine.core.connection, engine.core.store.keys.prefix
    names = connection.command(b"KEYS", f"{prefix}:request:*".encode())
    kept = [str(connection.command(b"HGETALL", name)) for name in names]
    assert kept
    assert not any("a secret of the run" in text for text in kept)


def test_a_worker_says_once_what_came_of_a_step(engine: Engine, api: Client) -> None:
    far = {"name": "far", "version": "1.0.0"}
    claim = {"components": [far], "limit": 5, "lease_seconds": 300}
    api.post("/v1/queues/tool/claim", json=claim)  # from then on it is known
    for _ in OF_LEASES:
        api.post("/v1/jobs", json={"component": "far@1.0.0"})
    leases: list[str] = []
    while len(leases) < len(OF_LEASES):
        steps = api.post(
            "/v1/queues/tool/claim", json=claim, headers={"Prefer": "wait=30"}
        ).json()["steps"]
        leases += [step["lease"] for step in steps]
    for lease, (name, (body, other)) in zip(leases, OF_LEASES.items(), strict=True):
        path = posts()[name].replace("{lease}", lease)
        shown(engine, api, path, body, other)


def test_operations_on_runs_are_commands_of_their_logs() -> None:
    """What is done to a run has its key in the log of that: a command beside it would be done twice."""
    assert {route.operation_id for route in steering.router.routes} == {  # type: ignore[attr-defined]
        *RUN_POSTS,
        "deleteRun",
    }
