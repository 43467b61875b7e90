"""Workers in any language: steps over HTTP keep what steps of our own processes keep."""

from __future__ import annotations

import asyncio
import base64
import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from httpx import Client, ReadTimeout, Response

from openagents_json import tool
from openagents_json.catalog.registry import Registry
from openagents_json.engine import Engine, Limits, StoreUnavailable
from openagents_json.engine.remote_work.leases import ClaimTerms
from tests.conftest import Server, wait_for
from tests.integration.services.calling import calling, serving_api

pytestmark = pytest.mark.one_worker

ECHO: dict[str, Any] = {
    "name": "echo",
    "version": "1.2.0",
    "inputs": [{"name": "text", "type": "string"}],
    "build": "b-7",
}
ASK: dict[str, Any] = {"components": [ECHO], "worker": "w1"}
BOTH = {"id": "both", "component": "both", "inputs": {"item": "{{item}}"}}
WAIT = {"Prefer": "wait=30"}


def document(step: dict[str, Any] | None = None) -> dict[str, Any]:
    says = {"id": "say", "component": "echo@^1", "inputs": {"text": "{{input.text}}"}}
    return {
        "id": "echoing",
        "inputs": {"text": {"type": "string"}},
        "steps": [{**says, **(step or {})}],
        "output": "{{say.output}}",
    }


@contextmanager
def opened(server: Server, **options: Any) -> Iterator[Engine]:
    """An engine without components: nobody but workers over HTTP runs anything."""
    with Engine.connect(
        server.url,
        prefix=server.prefix(),
        components=Registry(),
        partitions=2,
        **options,
    ) as engine:
        yield engine


@pytest.fixture(scope="module")
def engine(server: Server) -> Iterator[Engine]:
    with opened(server) as engine:
        engine.catalog.register(ECHO | {"queue": "tool"})
        yield engine


@pytest.fixture(scope="module")
def api(engine: Engine) -> Iterator[Client]:
    with calling(engine) as client:
        yield client


def both(item: int) -> int:
    return item


def claim(api: Client, **more: Any) -> list[dict[str, Any]]:
    answer = api.post("/v1/queues/tool/claim", json=ASK | more, headers=WAIT)
    assert answer.status_code == 200, answer.text
    steps: list[dict[str, Any]] = answer.json()["steps"]
    return steps


def say(api: Client, step: dict[str, Any], what: str, **body: Any) -> Response:
    return api.post(f"/v1/leases/{step['lease']}/{what}", json=body)


def started(engine: Engine, step: dict[str, Any] | None = None) -> str:
    return str(engine.start(document(step), {"text": "hi"}))


def types(engine: Engine, run: str) -> list[str]:
    return [event.type for event in engine.history(run)]


def code(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_worker_runs_a_step_and_stands_in_its_history(
    engine: Engine, api: Client
) -> None:
    run = started(engine)
    [step] = claim(api)
    assert (step["run"], step["step"], step["attempt"]) == (run, "say", 1)
    assert (step["component"], step["version"]) == ("echo", "1.2.0")
    assert step["inputs"] == {"text": "hi"}
    assert [row.worker for row in engine.views.steps()] == ["http:program/w1"]
    assert "http:program/w1" in engine.workers()
    output = {"said": step["inputs"]["text"]}
    assert say(api, step, "complete", output=output).status_code == 204
    result = engine.wait(run, timeout=120)
    assert result.output == output
    [begun] = [e for e in engine.history(run) if e.type == "StepStarted"]
    assert (begun.data["worker"], begun.data["build"]) == ("http:program/w1", "b-7")
    rows = {row.worker: row for row in engine.views.workers()}
    assert rows["http:program/w1"].alive
    assert rows["http:program/w1"].counts["completed"] >= 1
    # Its answer was lost: the same again is answered alike, also when the run has ended.
    assert say(api, step, "complete", output=output).status_code == 204
    assert types(engine, run).count("StepCompleted") == 1
    # Anything else comes too late.
    assert code(say(api, step, "complete", output=7)) == (409, "lease_lost")
    assert code(say(api, step, "fail", error={"message": "no"})) == (409, "lease_lost")
    assert code(say(api, step, "heartbeat")) == (409, "lease_lost")


def test_a_step_that_failed_is_tried_again_unless_it_is_not_to_be(
    engine: Engine, api: Client
) -> None:
    retry = {"max_attempts": 3, "delay_seconds": 0.01}
    run = started(engine, {"retry": retry})
    [first] = claim(api)
    error = {"type": "Flaky", "message": "not now"}
    for _ in range(2):  # sent again, it counts once
        assert say(api, first, "fail", error=error).status_code == 204
    [second] = claim(api)
    assert (second["run"], second["attempt"]) == (run, 2)
    assert second["idempotency_key"] == first["idempotency_key"]
    # The first attempt is over: what comes of it late does not count.
    assert code(say(api, first, "complete", output=1)) == (409, "lease_lost")
    fatal = {"type": "Broken", "message": "never", "retryable": False}
    say(api, second, "fail", error=fatal)
    wait_for(lambda: engine.status(run) == "failed")
    [failed] = engine.state(run).steps
    assert failed.error is not None
    assert failed.error["type"] == "Broken"


def test_a_lease_that_runs_out_is_another_workers_and_late_outcomes_are_counted(
    engine: Engine, api: Client
) -> None:
    run = started(engine)
    [lost] = claim(api, lease_seconds=0.3)
    [taken] = claim(api, worker="w2")
    assert (taken["run"], taken["attempt"]) == (run, 2)
    assert code(say(api, lost, "heartbeat")) == (409, "lease_lost")
    for _ in range(2):  # it arrives twice, and is counted once
        assert code(say(api, lost, "complete", output=1)) == (409, "lease_lost")
    assert say(api, taken, "complete", output=2).status_code == 204
    assert engine.wait(run, timeout=120).output == 2
    happened = types(engine, run)
    assert happened.count("StepLeaseLost") == 1
    assert happened.count("StepOutcomeIgnored") == 1
    workers = [e.data["worker"] for e in engine.history(run) if e.type == "StepStarted"]
    assert workers == ["http:program/w1", "http:program/w2"]


def test_a_heartbeat_keeps_a_lease_and_tells_of_pause_and_cancel(
    engine: Engine, api: Client
) -> None:
    run = started(engine)
    [step] = claim(api)
    engine.pause(run)
    assert say(api, step, "heartbeat").json() == {
        "lease_ms": 30_000,
        "cancel": False,
        "paused": True,
    }
    engine.resume(run)
    engine.cancel(run, "no more")
    assert say(api, step, "heartbeat").json()["cancel"]
    say(api, step, "fail", error={"type": "Cancelled", "message": "stopped"})
    wait_for(lambda: engine.status(run) == "cancelled")


def test_a_step_that_has_to_be_heard_of_has_a_lease_of_that_length(
    engine: Engine, api: Client
) -> None:
    run = started(engine, {"timeouts": {"heartbeat": 0.4}})
    [silent] = claim(api)
    assert silent["lease_ms"] == 400
    [step] = claim(api)
    assert (step["run"], step["attempt"]) == (run, 2)
    say(api, step, "complete", output=None)


def test_what_a_worker_gives_back_is_for_others(engine: Engine, api: Client) -> None:
    run = started(engine)
    [step] = claim(api)
    assert say(api, step, "release", reason="it stops").status_code == 204
    assert say(api, step, "release", reason="it stops").status_code == 204
    assert code(say(api, step, "complete", output=1)) == (409, "lease_lost")
    [again] = claim(api, worker="w2")
    assert again["run"] == run
    say(api, again, "complete", output="done")
    assert engine.wait(run, timeout=120).output == "done"


def test_what_may_not_be_started_twice_is_not(engine: Engine, api: Client) -> None:
    run = started(engine, {"effect": "at_most_once"})
    [step] = claim(api)
    say(api, step, "release")
    wait_for(lambda: engine.status(run) == "failed")
    [failed] = engine.state(run).steps
    assert failed.error is not None
    assert failed.error["type"] == "UnknownOutcome"


def test_a_claim_whose_answer_was_lost_gives_the_same_steps(
    engine: Engine, api: Client
) -> None:
    runs = {started(engine), started(engine)}
    headers = WAIT | {"Idempotency-Key": "claim-1"}
    first = api.post("/v1/queues/tool/claim", json=ASK, headers=headers)
    again = api.post("/v1/queues/tool/claim", json=ASK, headers=headers)
    assert again.json() == first.json()
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    other = api.post(
        "/v1/queues/tool/claim",
        json=ASK | {"limit": 2},
        headers={"Idempotency-Key": "claim-1"},
    )
    assert code(other) == (422, "claim_differs")
    [step] = first.json()["steps"]
    [left] = claim(api)
    assert {step["run"], left["run"]} == runs
    for each in (step, left):
        say(api, each, "complete", output=1)


def test_several_steps_are_claimed_at_a_time(engine: Engine, api: Client) -> None:
    runs = {started(engine) for _ in range(5)}
    done: set[str] = set()
    while done != runs:
        steps = claim(api, limit=3)
        assert 1 <= len(steps) <= 3
        for step in steps:
            say(api, step, "complete", output=1)
        done |= {step["run"] for step in steps}


def test_what_is_too_large_is_refused_while_the_lease_is_held(server: Server) -> None:
    with opened(server, limits=Limits(payload=1000)) as engine, calling(engine) as api:
        engine.catalog.register(ECHO | {"queue": "tool"})
        run = started(engine)
        [step] = claim(api)
        refused = say(api, step, "complete", output="x" * 1001)
        assert code(refused) == (413, "payload_over_limit")
        assert say(api, step, "complete", output="less").status_code == 204
        assert engine.wait(run, timeout=120).output == "less"


def test_tokens_are_no_ones_to_make(engine: Engine, api: Client) -> None:
    run = started(engine)
    [step] = claim(api)
    body, _, tag = step["lease"].partition(".")
    forged = [f"{body[:-2]}AA.{tag}", f"{body}.{tag[:-2]}AA", body, "x", f"{body}.é"]
    for token in forged:
        answer = say(api, {"lease": token}, "complete", output=1)
        assert code(answer) == (404, "unknown_lease")
    assert engine.status(run) == "running"
    say(api, step, "complete", output=1)


def test_any_instance_takes_a_token_and_no_other_caller_does(
    engine: Engine, api: Client
) -> None:
    secrets = [engine.api_keys.create(f"w{n}", "worker").secret for n in range(2)]
    with (
        Engine.connect(
            engine.url, prefix=engine.core.store.keys.prefix, components=Registry()
        ) as other,
        ExitStack() as stack,
    ):
        url = stack.enter_context(serving_api(other, is_open=False))
        mine, others = (
            stack.enter_context(
                Client(base_url=url, headers={"Authorization": f"Bearer {secret}"})
            )
            for secret in secrets
        )
        run = started(engine)
        [step] = claim(mine)
        assert code(say(others, step, "complete", output=1)) == (
            403,
            "lease_of_another",
        )
        # The same caller at another instance, where nobody has heard of the lease.
        twin = stack.enter_context(serving_api(engine, is_open=False))
        with Client(base_url=twin, headers=mine.headers) as elsewhere:
            assert say(elsewhere, step, "heartbeat").status_code == 200
            assert say(elsewhere, step, "complete", output="ok").status_code == 204
            # The first instance knows the run as it was before, and is told of the end again.
            assert say(mine, step, "complete", output="ok").status_code == 204
    assert engine.wait(run, timeout=120).output == "ok"
    [begun] = [e for e in engine.history(run) if e.type == "StepStarted"]
    assert begun.data["worker"] == "http:w0/w1"


def test_our_own_workers_and_those_over_http_never_run_a_step_twice(
    server: Server,
) -> None:
    """They share a worker type: each step is begun once, by one of them, and both kinds have some."""
    components = Registry()
    with opened(server) as engine, calling(engine) as api, ExitStack() as stack:
        engine.catalog.register({"name": "both", "version": "1.0.0"})
        items = {"id": "each", "foreach": "{{input.items}}", "steps": [BOTH]}
        document = {"id": "shared", "inputs": {"items": {"type": "array"}}}
        run = engine.start({**document, "steps": [items]}, {"items": [*range(40)]})
        asked = {"components": ["both@1.0.0"], "limit": 3}
        first = claim(api, **asked)  # while nobody else is there
        components.add(tool("both", version="1.0.0")(both))
        stack.enter_context(
            Engine.connect(
                server.url,
                prefix=engine.core.store.keys.prefix,
                components=components,
                workers=2,
            )
        )
        steps = first
        while engine.status(run) == "running":
            for step in steps:
                say(api, step, "complete", output=0)
            answer = api.post("/v1/queues/tool/claim", json=ASK | asked)
            steps = answer.json()["steps"]
        assert engine.wait(run, timeout=120).status == "completed"
        begun = [
            e.data["worker"] for e in engine.history(run) if e.type == "StepStarted"
        ]
    over_http = [worker for worker in begun if worker.startswith("http:")]
    assert len(begun) == 40
    assert 0 < len(over_http) < 40


def test_payloads_of_an_encrypted_run_are_plain_for_its_worker(server: Server) -> None:
    keys = [base64.b64encode(bytes(range(32))).decode()]
    with opened(server, encryption_keys=keys) as engine, calling(engine) as api:
        engine.catalog.register(ECHO | {"queue": "tool"})
        run = started(engine)
        prefix = engine.core.store.keys.prefix
        with (
            Engine.connect(server.url, prefix=prefix, components=[]) as without_key,
            calling(without_key) as other,
        ):
            answer = other.post("/v1/queues/tool/claim", json=ASK)
            assert answer.json() == {"steps": []}
        [step] = claim(api)
        assert step["inputs"] == {"text": "hi"}
        say(api, step, "complete", output="a plain answer")
        assert engine.wait(run, timeout=120).output == "a plain answer"
        raw = engine.core.connection.command(
            b"XRANGE", engine.core.store.keys.stream(run), b"-", b"+"
        )
    assert b"a plain answer" not in repr(raw).encode()


def test_what_a_step_shows_is_followed(engine: Engine, api: Client) -> None:
    run = started(engine)
    [step] = claim(api)
    assert say(api, step, "emit", values=["Hel", "lo"]).status_code == 200
    wait_for(lambda: len(engine.emitted(run)) == 2)
    assert [shown.value for shown in engine.emitted(run)] == ["Hel", "lo"]
    used = [{"model": "m", "input_tokens": 3, "cost": "0.5"}]
    say(api, step, "complete", output="Hello", usage=used)
    assert engine.wait(run, timeout=120).output == "Hello"
    [row] = [row for row in engine.usage(by="model") if row.name == "m"]
    assert row.input_tokens == 3


def test_secrets_reach_the_worker_and_nothing_that_it_leaves(
    engine: Engine, api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAGENTS_SECRET_TOKEN", "s3cret-value")
    run = started(engine, {"inputs": {"text": "{{secrets.TOKEN}}"}})
    [step] = claim(api)
    assert step["inputs"] == {"text": "s3cret-value"}
    say(api, step, "emit", values=["with s3cret-value"])
    say(api, step, "complete", output="it was s3cret-value")
    engine.wait(run, timeout=120)
    wait_for(lambda: bool(engine.emitted(run)))
    seen = str(engine.history(run)) + str(engine.emitted(run))
    assert "s3cret-value" not in seen


def test_who_waits_is_woken_and_holds_no_thread(engine: Engine, api: Client) -> None:
    """More wait at a time than a service has threads, and each gets a step."""
    count = 80
    with ThreadPoolExecutor(count) as callers:
        before = threading.active_count()
        waits = [callers.submit(claim, api, worker=f"p{n}") for n in range(count)]
        names = {f"http:program/p{n}" for n in range(count)}
        wait_for(lambda: names <= engine.workers().keys())
        ours = threading.active_count() - before - count
        runs = {started(engine) for _ in range(count)}
        steps = [step for wait in waits for step in wait.result()]
    assert {step["run"] for step in steps} == runs
    assert ours < count
    for step in steps:
        say(api, step, "complete", output=1)


def test_an_engine_that_closes_ends_the_waits(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with ThreadPoolExecutor() as threads:
        with opened(server) as engine:
            engine.catalog.register(ECHO | {"queue": "tool"})
            terms = ClaimTerms("tool", ["echo@1.2.0"])
            other = ClaimTerms("tool", ["echo@1.2.0"], instance="other")
            waits = [
                threads.submit(engine.leases.claim, terms, wait_ms=60_000),
                threads.submit(
                    lambda: asyncio.run(engine.leases.aclaim(other, wait_ms=60_000))
                ),
            ]
            both = {"http:program", "http:program/other"}
            wait_for(lambda: both <= engine.workers().keys())
        for waiting in waits:
            with pytest.raises(StoreUnavailable, match="it was closed"):
                waiting.result()
    del waits, waiting
    gc.collect()
    assert "never retrieved" not in caplog.text


def test_one_who_hangs_up_is_given_nothing(engine: Engine, api: Client) -> None:
    with pytest.raises(ReadTimeout):
        api.post(
            "/v1/queues/tool/claim",
            json=ASK | {"worker": "gone"},
            headers=WAIT,
            timeout=0.3,
        )
    run = started(engine)
    [step] = claim(api, worker="here")
    assert (step["run"], step["attempt"]) == (run, 1)
    say(api, step, "complete", output=1)
    assert engine.wait(run, timeout=120).output == 1


def test_what_was_claimed_for_a_wait_that_is_cancelled_is_given_back(
    engine: Engine, api: Client
) -> None:
    terms = ClaimTerms("tool", [ECHO], instance="cancelled", lease_ms=600_000)

    async def cancelled() -> None:
        waiting = asyncio.create_task(engine.leases.aclaim(terms, wait_ms=60_000))
        while "http:program/cancelled" not in engine.workers():
            await asyncio.sleep(0)
        run = started(engine)
        # Claimed by another thread, and not heard of here: this one has not waited since.
        wait_for(lambda: "StepStarted" in types(engine, run))
        waiting.cancel()
        await waiting

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
    [step] = claim(api, worker="here")
    assert step["attempt"] == 1
    say(api, step, "complete", output=1)
    assert engine.wait(step["run"], timeout=120).output == 1


def test_components_come_with_a_claim_and_others_are_left_alone(
    engine: Engine, api: Client
) -> None:
    """A step is set aside for whoever has its component, however many others look first."""
    spec = {"name": "only.here", "version": "2.0.0"}
    assert engine.catalog.find("only.here") is None
    nobody = {"components": [spec], "worker": "late"}
    assert api.post("/v1/queues/tool/claim", json=nobody).json() == {"steps": []}
    run = str(
        engine.start(
            {"id": "special", "steps": [{"id": "a", "component": "only.here@2"}]}
        )
    )
    with ThreadPoolExecutor(2) as callers:
        other = callers.submit(claim, api)
        [step] = callers.submit(claim, api, **nobody).result()
        assert step["run"] == run
        say(api, step, "complete", output=1)
        plain = started(engine)
        [theirs] = other.result()
    assert theirs["run"] == plain
    say(api, theirs, "complete", output=1)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/queues/tool/claim", {"components": []}),
        ("/v1/queues/tool/claim", {"components": ["a b@1.0.0"]}),
        ("/v1/queues/tool/claim", {"components": [{"version": "1.0.0"}]}),
        ("/v1/queues/tool/claim", {"components": [{"name": 5}]}),
        ("/v1/queues/tool/claim", {"components": ["a@not a version"]}),
        ("/v1/queues/tool/claim", {"components": ["a"], "limit": 0}),
        ("/v1/queues/tool/claim", {"components": ["a"], "worker": "a/b"}),
        ("/v1/queues/to|ol/claim", {"components": ["a"]}),
        ("/v1/leases/x/fail", {"error": {}}),
        ("/v1/leases/x/emit", {"values": []}),
    ],
)
def test_what_makes_no_sense_is_a_problem(
    api: Client, path: str, body: dict[str, Any]
) -> None:
    answer = api.post(path, json=body)
    assert 400 <= answer.status_code < 500
    assert answer.headers["Content-Type"] == "application/problem+json"
