"""Runs over HTTP: started, awaited, listed, looked at, steered and followed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from httpx import Client, Response

from openagents_json.catalog.loader import load
from openagents_json.engine import Engine, new_signer
from tests.conftest import Server
from tests.integration.services.calling import (
    ASKING,
    BREAKING,
    GREETING,
    TALKING,
    calling,
    engine_on,
    registry,
)

pytestmark = pytest.mark.one_worker
WAIT = {"Prefer": "wait=60"}


@pytest.fixture(scope="module")
def engine(server: Server) -> Iterator[Engine]:
    with engine_on(server) as opened:
        yield opened


@pytest.fixture(scope="module")
def api(engine: Engine) -> Iterator[Client]:
    with calling(engine) as client:
        yield client


def start(api: Client, workflow: Any, **inputs: Any) -> str:
    """Start a run and wait for its end."""
    body = {"workflow": workflow, "inputs": inputs}
    answer = api.post("/v1/runs", json=body, headers=WAIT)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def feed(text: str) -> list[tuple[str, str]]:
    """Return ids and kinds of the events of a feed."""
    events = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "event" in lines:
            events.append((lines.get("id", ""), lines["event"]))
    return events


def test_a_run_is_started_and_where_it_is_looked_at_is_said(api: Client) -> None:
    answer = api.post(
        "/v1/runs", json={"workflow": GREETING, "inputs": {"name": "Ada"}}
    )
    assert answer.status_code == 201
    run = answer.json()["id"]
    assert answer.headers["Location"] == f"/v1/runs/{run}"
    ended = api.get(answer.headers["Location"], headers=WAIT)
    assert ended.status_code == 200
    assert (ended.json()["status"], ended.json()["output"]) == (
        "completed",
        "Hello, Ada!",
    )


def test_a_run_that_takes_longer_than_is_waited_goes_on(api: Client) -> None:
    answer = api.post(
        "/v1/runs", json={"workflow": ASKING}, headers={"Prefer": "wait=1"}
    )
    assert (answer.status_code, answer.headers["Retry-After"]) == (202, "1")
    run = answer.json()["id"]
    assert answer.json()["status"] == "running"
    sent = api.post(f"/v1/runs/{run}/signal/answer", json={"payload": {"yes": True}})
    assert sent.status_code == 200
    ended = api.get(f"/v1/runs/{run}", headers=WAIT)
    assert ended.json()["output"] == {"yes": True}


def test_the_same_request_with_the_same_key_starts_one_run(api: Client) -> None:
    body = {"workflow": GREETING, "inputs": {"name": "Ada"}}
    key = {"Idempotency-Key": "order-7"}
    first = api.post("/v1/runs", json=body, headers=key)
    again = api.post("/v1/runs", json=body, headers=key)
    other = api.post("/v1/runs", json={**body, "inputs": {"name": "Bob"}}, headers=key)
    assert first.json() == again.json()
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert other.status_code == 422
    assert (other.json()["code"], other.json()["run"]) == (
        "idempotency_conflict",
        first.json()["id"],
    )


def test_a_text_is_a_published_workflow_and_never_a_file_of_the_server(
    api: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text(json.dumps(GREETING))
    monkeypatch.chdir(tmp_path)
    answers = {
        text: api.post(
            "/v1/runs", json={"workflow": text, "inputs": {"name": "x"}}
        ).json()["code"]
        for text in ("secret", "secret@1", "./secret", str(tmp_path / "secret"))
    }
    assert answers == {
        "secret": "unknown_workflow",
        "secret@1": "unknown_workflow",
        "./secret": "invalid_request",
        str(tmp_path / "secret"): "invalid_request",
    }


@pytest.mark.parametrize("label", [{"team": "a"}, None])
def test_of_many_runs_each_is_answered_for_itself(
    api: Client, label: dict[str, str] | None
) -> None:
    good = {"workflow": GREETING, "inputs": {"name": "Ada"}, "labels": label}
    bad = {"workflow": GREETING, "inputs": {"nobody": 1}}
    answer = api.post("/v1/runs/batch", json={"runs": [good, bad, good]})
    assert answer.status_code == 200
    first, second, third = answer.json()["runs"]
    assert (first["error"], third["error"]) == (None, None)
    assert second["error"]["code"] == "invalid_inputs"
    ids = {first["id"], third["id"]}
    assert len(ids) == 2
    for run in ids:
        ended = api.get(f"/v1/runs/{run}", headers=WAIT).json()
        assert (ended["status"], ended["labels"]) == ("completed", label or {})


def test_a_component_is_called_without_a_document(api: Client) -> None:
    body = {"component": "greet", "inputs": {"name": "{{ no template }}"}}
    key = {"Idempotency-Key": "job-1"}
    called = api.post("/v1/jobs", json=body, headers=WAIT | key)
    assert (called.status_code, called.json()["output"]) == (
        200,
        "Hello, {{ no template }}!",
    )
    again = api.post("/v1/jobs", json=body, headers=key)
    assert again.json()["id"] == called.json()["id"]
    unknown = api.post("/v1/jobs", json={"component": "nobody.has-it"})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "invalid_definition")


def test_what_comes_with_the_engine_is_there_for_callers_without_components(
    server: Server,
) -> None:
    document = {
        "id": "plain",
        "steps": [{"id": "a", "component": "echo", "inputs": {"value": 7}}],
        "output": "{{a.output}}",
    }
    prefix = server.prefix()
    with Engine.connect(
        server.url, prefix=prefix, components=[], workers=0, partitions=1
    ) as alone:
        run = alone.start(document)
        assert alone.validate(document).valid
        with Engine.connect(server.url, prefix=prefix, workers=1, components=load([])):
            assert alone.wait(run, timeout=60).output == {"value": 7}


def test_what_the_views_show_of_runs_is_found_by_the_same_grammar(
    api: Client,
) -> None:
    run = start(api, {**GREETING, "id": "listed"}, name="Ada")
    by_address = api.get("/v1/runs?workflow=listed&status=completed").json()
    by_body = api.post(
        "/v1/runs/search", json={"workflow": ["listed"], "status": ["completed"]}
    ).json()
    assert [row["id"] for row in by_address["items"]] == [run]
    assert by_body == by_address
    assert api.get("/v1/runs/count?workflow=listed").json() == {"count": 1}
    nothing = api.get("/v1/runs?workflow=listed&started_after=2999-01-01T00:00:00Z")
    assert nothing.json()["items"] == []


def test_lists_come_in_pages(api: Client) -> None:
    for _ in range(3):
        start(api, {**GREETING, "id": "paged"}, name="Ada")
    seen: list[str] = []
    after = ""
    while True:
        page = api.get(
            "/v1/runs", params={"workflow": "paged", "limit": 2, "after": after}
        )
        seen += [row["id"] for row in page.json()["items"]]
        after = page.json()["next"]
        if not after:
            break
    assert (len(seen), len(set(seen))) == (3, 3)


def test_history_comes_in_pages_and_the_past_can_be_asked_for(api: Client) -> None:
    run = start(api, GREETING, name="Ada")
    whole = api.get(f"/v1/runs/{run}/history").json()
    versions = [event["version"] for event in whole["items"]]
    assert (versions, whole["next"]) == ([1, 2, 3, 4, 5], 0)
    page = api.get(f"/v1/runs/{run}/history?after=1&limit=2").json()
    assert ([event["version"] for event in page["items"]], page["next"]) == ([2, 3], 3)
    past = api.get(f"/v1/runs/{run}/state?version=2").json()
    assert (past["status"], past["version"]) == ("running", 2)


def test_a_failed_run_is_explained_and_goes_on_from_its_failure(
    api: Client,
) -> None:
    run = start(api, BREAKING)
    why = api.get(f"/v1/runs/{run}/explanation").json()
    assert (why["status"], why["step"]) == ("failed", "fall")
    mended = api.post(
        f"/v1/runs/{run}/complete",
        json={"step": "fall", "output": 7, "reason": "by hand"},
    )
    assert mended.status_code == 200
    ended = api.get(f"/v1/runs/{run}", headers=WAIT).json()
    assert ended["status"] == "completed"
    history = api.get(f"/v1/runs/{run}/history").json()["items"]
    assert "by hand" in json.dumps(history)


def test_a_run_is_paused_resumed_and_cancelled(api: Client) -> None:
    run = api.post("/v1/runs", json={"workflow": ASKING}).json()["id"]
    statuses = [
        api.post(f"/v1/runs/{run}/{action}", json={"reason": "why"}).json()["status"]
        for action in ("pause", "resume", "cancel")
    ]
    assert statuses[:2] == ["paused", "running"]
    assert api.get(f"/v1/runs/{run}", headers=WAIT).json()["status"] == "cancelled"
    late = api.post(f"/v1/runs/{run}/pause", json={})
    assert late.status_code == 409
    assert api.delete(f"/v1/runs/{run}?reason=done").status_code == 204
    assert api.get(f"/v1/runs/{run}").status_code == 404


def test_a_feed_goes_on_behind_the_event_that_was_seen_last(api: Client) -> None:
    run = start(api, GREETING, name="Ada")
    whole = feed(api.get(f"/v1/runs/{run}/events").text)
    assert [position for position, _ in whole] == ["1", "2", "3", "4", "5", ""]
    assert whole[-1] == ("", "end")
    rest = api.get(f"/v1/runs/{run}/events", headers={"Last-Event-ID": "3"})
    assert feed(rest.text) == whole[3:]


def test_what_components_show_is_followed_behind_what_was_seen_last(
    api: Client,
) -> None:
    run = start(api, TALKING)
    whole = feed(api.get(f"/v1/runs/{run}/output").text)
    assert [kind for _, kind in whole] == [*["emission"] * 3, "end"]
    seen = {"Last-Event-ID": whole[1][0]}
    rest = api.get(f"/v1/runs/{run}/output", headers=seen)
    assert feed(rest.text) == whole[2:]


def test_what_is_not_there_is_a_404_in_feeds_too(api: Client) -> None:
    for path in ("", "/events", "/output", "/history", "/steps", "/timeline"):
        answer = api.get(f"/v1/runs/0-nothing{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "run_not_found")


def test_under_a_business_key_one_run_is_open_and_a_start_says_what_to_do_then(
    api: Client,
) -> None:
    def begin(**more: Any) -> Response:
        body = {"workflow": ASKING, "business_key": "order-7", **more}
        return api.post("/v1/runs", json=body)

    first = begin().json()["id"]
    refused = begin()
    assert (refused.status_code, refused.json()["code"]) == (409, "business_key_taken")
    assert (refused.json()["run"], refused.json()["retryable"]) == (first, True)
    used = begin(on_conflict="use-existing")
    assert used.json()["id"] == first
    assert begin(on_conflict="after-closed").status_code == 409
    second = begin(on_conflict="replace").json()["id"]
    assert api.get(f"/v1/runs/{first}").json()["status"] == "cancelled"
    signal = {"name": "answer", "payload": 42}
    assert begin(signal=signal).json()["id"] == second
    ended = api.get(f"/v1/runs/{second}", headers=WAIT).json()
    assert (ended["status"], ended["output"]) == ("completed", 42)
    third = begin(signal=signal, on_conflict="use-existing").json()["id"]
    assert api.get(f"/v1/runs/{third}", headers=WAIT).json()["output"] == 42
    wrong = api.post("/v1/runs", json={"workflow": ASKING, "signal": signal})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid_argument")


def test_queues_tell_what_waits_and_what_workers_were_told(server: Server) -> None:
    prefix = server.prefix()
    with (
        Engine.connect(
            server.url, prefix=prefix, components=registry(), workers=0, partitions=1
        ) as idle,
        calling(idle) as api,
    ):
        idle.start_many([(GREETING, {"name": str(number)}) for number in range(2)])
        api.post("/v1/queues/gpu/pause", json={"reason": "the cards are replaced"})
        api.post("/v1/queues/tool/limit", json={"at_most": 3})
        queues = {queue["name"]: queue for queue in api.get("/v1/queues").json()}
        orders = [order["what"] for order in api.get("/v1/orders").json()]
        alone = [api.get(f"/v1/queues/{name}").json() for name in ("tool", "new")]
    assert (alone[0]["ready"], alone[0]["at_most"]) == (2, 3)
    assert (alone[1]["ready"], alone[1]["workers"]) == (0, 0)
    assert (queues["tool"]["ready"], queues["tool"]["workers"]) == (2, 0)
    assert (queues["tool"]["at_most"], queues["tool"]["paused"]) == (3, False)
    assert queues["gpu"]["paused"]
    assert queues["gpu"]["reason"] == "the cards are replaced"
    assert (queues["agent"]["ready"], queues["agent"]["at_most"]) == (0, 0)
    assert orders == ["concurrency", "pause"]


def test_the_ledger_is_looked_at_verified_exported_and_gives_receipts(
    api: Client, engine: Engine
) -> None:
    first = start(api, GREETING, name="Ada")
    assert api.get("/v1/audit").json()["code"] == "no_ledger"
    engine.audit.seal(new_signer())
    later = start(api, GREETING, name="Bo")
    assert api.get("/v1/audit").json()["epochs"] >= 1
    seal = api.get(f"/v1/runs/{first}/seal").json()
    assert seal["signed"] == seal["sealed"] == seal["events"] > 0
    assert api.get(f"/v1/runs/{later}/seal").json()["signed"] == 0
    whole = api.get("/v1/audit/verification").json()
    assert (whole["intact"], whole["findings"]) == (True, 0)
    assert whole["unsealed"] > 0
    of_run = api.get(f"/v1/runs/{first}/verification").json()
    assert (of_run["intact"], of_run["verified"]) == (True, seal["events"])
    receipt = api.get(f"/v1/runs/{first}/receipts/1")
    assert receipt.json()["format"] == "openagents-receipt/1"
    assert "attachment" in receipt.headers["Content-Disposition"]
    assert api.get(f"/v1/runs/{later}/receipts/1").json()["code"] == "not_sealed"
    export = api.get("/v1/audit/export")
    assert export.headers["Content-Type"] == "application/zip"
    assert ZipFile(BytesIO(export.content)).testzip() is None


def test_runs_are_counted_by_status_at_once(api: Client) -> None:
    body = {"workflow": {**BREAKING, "id": "counted"}}
    api.post("/v1/runs", json=body, headers=WAIT)
    counts = api.get("/v1/runs/counts", params={"workflow": "counted"}).json()["counts"]
    assert counts["failed"] == 1
    assert sum(counts.values()) == 1
    asked = {"workflow": "counted", "status": ["failed", "completed"]}
    chosen = api.get("/v1/runs/counts", params=asked).json()["counts"]
    assert chosen == {"failed": 1, "completed": 0}
