"""A client gives and raises what the engine would: each call of both clients against a real service."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from openagents_json.client import AsyncClient, Client
from openagents_json.engine import (
    BusinessKeyTaken,
    Engine,
    InvalidArgument,
    InvalidDefinition,
    InvalidInputs,
    InvalidRequest,
    KeyConflict,
    NotFound,
    OpenAgentsError,
    OutputMismatch,
    Rejected,
    RunCancelledError,
    RunFailedError,
    RunFilter,
    RunHandle,
    RunNotFound,
    Schedule,
    UnknownWorkflow,
    WaitTimeout,
)
from openagents_json.server.errors import RoleTooLow, Unauthenticated
from tests.conftest import SharedServers
from tests.integration.services.calling import (
    ASKING,
    BREAKING,
    GREETING,
    TALKING,
    engine_on,
    serving_api,
)
from tests.integration.services.client.colours import COLOURS, client_of

pytestmark = pytest.mark.one_worker


@pytest.fixture(scope="module")
def engine(shared_servers: SharedServers) -> Iterator[Engine]:
    with engine_on(shared_servers.of("valkey")) as opened:
        yield opened


@pytest.fixture(scope="module")
def url(engine: Engine) -> Iterator[str]:
    with serving_api(engine) as served:
        yield served


@pytest.fixture(scope="module", params=COLOURS)
def client(request: pytest.FixtureRequest, url: str) -> Iterator[Any]:
    with client_of(request.param, url) as opened:
        yield opened


def test_a_run_is_started_and_its_result_is_that_of_the_engine(
    client: Any, engine: Engine
) -> None:
    run = client.start(GREETING, {"name": "Ada"}, labels={"team": "a"})
    assert run.is_new
    assert run.result(timeout=60) == "Hello, Ada!"
    assert client.wait(run.id) == engine.wait(run.id)
    assert client.state(run.id) == engine.state(run.id)
    assert client.status(run.id) == "completed"
    assert client.history(run.id) == engine.history(run.id)
    assert client.history(run.id, after=1, limit=2) == engine.history(
        run.id, after=1, limit=2
    )
    assert client.timeline(run.id).bars == engine.timeline(run.id).bars
    assert client.overview(run.id).steps == engine.overview(run.id).steps
    assert client.replay.state_at(run.id, version=2) == engine.replay.state_at(
        run.id, version=2
    )
    assert client.run(GREETING, {"name": "Bob"}, timeout=60).output == "Hello, Bob!"


def test_a_document_is_taken_as_the_engine_takes_it(
    client: Any, tmp_path: Path
) -> None:
    file = tmp_path / "talking.yaml"
    file.write_text("id: talking\nsteps:\n- {id: talk, component: talks}\n")
    for document in (file, str(file), '{"id": "x", "steps": []}'):
        if str(document).startswith("{"):
            with pytest.raises(InvalidDefinition) as told:
                client.start(document)
            assert [p.severity for p in told.value.report.problems] == ["error"]
        else:
            assert client.run(document, timeout=60).ok
    name = client.publish(GREETING, alias="stable")
    assert client.run("greeting@stable", {"name": "Cy"}, timeout=60).ok
    assert name in client.workflows.published()
    assert "greeting@stable" in client.workflows.aliases()
    assert client.uses(name).aliases == ("greeting@stable",)
    with pytest.raises(UnknownWorkflow):
        client.start("nothing@1")
    assert client.validate(GREETING).valid
    assert not client.validate({"id": "x"}).valid


def test_versions_are_compared_as_the_engine_compares_them(
    client: Any, engine: Engine, tmp_path: Path
) -> None:
    name = client.publish({**GREETING, "id": "compared"})
    newer = {
        **GREETING,
        "id": "compared",
        "version": "2.0.0",
        "output": "{{say.status}}",
    }
    file = tmp_path / "newer.json"
    file.write_text(json.dumps(newer))
    seen = client.workflows.diff(name, file)
    assert seen == engine.workflows.diff(name, newer)
    assert (seen.one, seen.other, seen.open_runs) == (name, "compared@2.0.0", 0)
    assert len(seen.outputs) == 1
    with pytest.raises(UnknownWorkflow):
        client.workflows.diff(name, "compared@7")
    with pytest.raises(InvalidDefinition):
        client.workflows.diff(name, {"id": "x", "steps": []})


def test_the_same_key_gives_the_same_run(client: Any) -> None:
    key = f"order-{id(client)}"
    first = client.start(GREETING, {"name": "Ada"}, idempotency_key=key)
    again = client.start(GREETING, {"name": "Ada"}, idempotency_key=key)
    assert (first.id, first.is_new, again.is_new) == (again.id, True, False)
    with pytest.raises(KeyConflict) as told:
        client.start(GREETING, {"name": "Bob"}, idempotency_key=key)
    assert told.value.run == first.id


def test_of_many_runs_each_says_whether_it_has_begun(client: Any) -> None:
    good, bad = (GREETING, {"name": "Ada"}), (GREETING, {"nobody": 1})
    one, other, third = client.start_many([good, bad, good])
    assert (one.ok, other.ok, third.ok) == (True, False, True)
    assert isinstance(other.error, InvalidInputs)
    assert client.wait(str(third)).ok


def test_a_component_is_called_durably(client: Any, engine: Engine) -> None:
    job = client.start_job("greet", {"name": "{{ no template }}"})
    assert job.result(timeout=60) == "Hello, {{ no template }}!"
    again = engine.start_job("greet", {"name": "Ada"})
    assert again.result(timeout=60) == "Hello, Ada!"


class Greeting(BaseModel):
    text: str


def test_how_a_run_ended_is_raised_as_the_engine_raises_it(
    client: Any, engine: Engine
) -> None:
    broken = client.start(BREAKING)
    with pytest.raises(RunFailedError) as told:
        broken.result(timeout=60)
    with pytest.raises(RunFailedError) as of_engine:
        RunHandle[Any](broken.id, engine).result()
    assert str(told.value) == str(of_engine.value)
    assert str(told.value.__cause__) == str(of_engine.value.__cause__)
    assert client.explain(broken.id) == engine.explain(broken.id)
    with pytest.raises(OutputMismatch):
        client.start(GREETING, {"name": "x"}, output=Greeting).result(timeout=60)
    asking = client.start(ASKING)
    with pytest.raises(WaitTimeout) as late:
        asking.result(timeout=0)
    assert (late.value.run, late.value.status) == (asking.id, "running")
    client.cancel(asking.id, "no longer wanted")
    with pytest.raises(RunCancelledError):
        asking.result(timeout=60)


def test_errors_are_those_of_the_engine(client: Any) -> None:
    with pytest.raises(RunNotFound) as told:
        client.state("0-nothing")
    error = told.value
    assert (error.code, error.http_status) == ("run_not_found", 404)
    assert "0-nothing" in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    ended = client.start(GREETING, {"name": "Ada"})
    ended.result(timeout=60)
    with pytest.raises(Rejected) as rejected:
        client.pause(ended.id)
    assert rejected.value.code == "closed"
    with pytest.raises(NotFound):
        client.schedules.get("nothing")
    with pytest.raises(InvalidRequest, match="/limit: ") as refused:
        client.views.runs(limit=0)
    assert refused.value.code == "invalid_request"


def test_runs_are_steered(client: Any, engine: Engine) -> None:
    run = client.start(ASKING).id
    client.pause(run, "wait")
    assert client.status(run) == "paused"
    client.resume(run)
    assert [step.run for step in client.waiting(limit=1_000)].count(run) == 1
    client.signal(run, "answer", {"yes": True}, by="ada", idempotency_key="once")
    client.signal(run, "answer", {"yes": True}, by="ada", idempotency_key="once")
    assert client.wait(run, timeout=60).output == {"yes": True}
    assert engine.state(run).status == "completed"
    fork = client.replay.fork(run, 2)
    client.replay.complete(fork, "ask", {"by": "hand"})
    assert client.wait(fork, timeout=60).output == {"by": "hand"}
    assert client.replay.diff(run, fork) == engine.replay.diff(run, fork)
    broken = client.start(BREAKING).id
    client.wait(broken, timeout=60)
    client.replay.skip(broken, "fall")
    assert client.wait(broken, timeout=60).ok
    client.replay.replay(broken, reason="again")
    client.wait(broken, timeout=60)
    client.archive.hold(broken, "kept")
    assert client.state(broken).held
    client.archive.release(broken)
    client.delete(broken, "not needed")
    with pytest.raises(RunNotFound):
        client.state(broken)


def test_lists_are_those_of_the_views(client: Any, engine: Engine) -> None:
    run = client.start(GREETING, {"name": "Li"}, labels={"list": "me"}).id
    client.wait(run, timeout=60)
    row = engine.views.runs(RunFilter(labels={"list": "me"}), limit=1).items[0]
    exactly = RunFilter(
        status=("completed",),
        labels={"list": "me"},
        started_from=row.started_ms,
        started_to=row.started_ms + 1,
        took_from=0,
    )
    assert client.views.runs(exactly).items == (row,)
    assert (
        client.views.count(RunFilter(workflow=("greeting",), status=("failed",))) == 0
    )
    assert client.views.failures() == engine.views.failures()
    assert client.views.components() == engine.views.components()
    assert client.runs(limit=1, workflow="greeting") == engine.runs(
        limit=1, workflow="greeting"
    )
    assert client.views.steps(status="nothing") == []
    assert client.usage() == engine.usage()
    assert client.workers().keys() == engine.workers().keys()
    assert client.views.as_of(row.started_ms - 1, exactly).items == ()


def test_schedules_are_created_looked_at_and_removed(
    client: Any, engine: Engine
) -> None:
    client.publish(GREETING)
    name = f"nightly {type(client).__name__}? #1"
    schedule = Schedule(name, "greeting", cron="0 3 * * *", inputs={"name": "Ada"})
    progress = client.schedules.create(schedule)
    assert client.schedules.get(name) == (schedule, progress)
    with pytest.raises(OpenAgentsError) as told:
        client.schedules.create(schedule)
    assert told.value.code == "schedule_exists"
    client.schedules.create(schedule, replace_it=True)
    assert (schedule, progress) == (client.schedules.every()[-1][0], progress)
    assert client.schedules.next_firings(name, 2) == engine.schedules.next_firings(
        name, 2
    )
    client.schedules.pause(name)
    assert engine.schedules.get(name)[0].paused
    run = client.schedules.trigger(name)
    assert client.wait(run, timeout=60).ok
    client.schedules.delete(name)
    with pytest.raises(InvalidArgument, match="has a /"):
        client.schedules.get("a/b")


def test_a_run_is_followed(client: Any, engine: Engine) -> None:
    run = client.start(TALKING)
    events = [*run.events()]
    assert events == engine.history(run.id)
    assert [*run.events(after=events[-2].version)] == events[-1:]
    shown = [*run.emissions()]
    assert [entry.value for entry in shown] == [0, 1, 2]
    assert [entry.value for entry in run.emissions(after=shown[0].id)] == [1, 2]
    asking = client.start(ASKING)
    first = client.watch(asking.id, block_ms=1)
    assert first[0].type == "RunStarted"
    last = engine.state(asking.id).version
    engine.signal(asking.id, "answer")
    assert client.watch(asking.id, after=last, block_ms=20_000) != []
    with pytest.raises(RunNotFound):
        [*client.follow_events("0-nothing")]


def test_a_handle_is_awaited_on_an_event_loop(url: str) -> None:
    async def both() -> tuple[Any, Any, int]:
        async with AsyncClient(url) as client:
            run = await client.start(GREETING, {"name": "Ada"})
            awaited = await run
            runs = [await client.start(GREETING, {"name": str(n)}) for n in range(5)]
            outputs = await asyncio.gather(*runs)
        with Client(url) as blocking:
            return (
                awaited,
                await blocking.start(GREETING, {"name": "Bob"}),
                len(outputs),
            )

    assert asyncio.run(both()) == ("Hello, Ada!", "Hello, Bob!", 5)


def test_who_calls_is_told_by_the_key(engine: Engine) -> None:
    created = engine.api_keys.create("reader", "viewer")
    with serving_api(engine, is_open=False) as url:
        with Client(url, api_key=created.secret) as client:
            assert client.views.count() >= 0
            with pytest.raises(RoleTooLow):
                client.start(GREETING, {"name": "Ada"})
        with Client(url) as nobody, pytest.raises(Unauthenticated):
            nobody.runs()


def test_a_client_waits_for_the_run_that_has_a_business_key(
    client: Any, engine: Engine
) -> None:
    key: dict[str, Any] = {"business_key": f"order of {client!r}"}
    first = client.start(ASKING, **key)
    with pytest.raises(BusinessKeyTaken) as refused:
        client.start(ASKING, **key)
    assert refused.value.run == first.id
    assert not client.start(ASKING, **key, on_conflict="use-existing").is_new
    with ThreadPoolExecutor() as pool:
        behind = pool.submit(client.start, ASKING, **key, on_conflict="after-closed")
        engine.signal(first.id, "answer", 1)
        second = behind.result()
    assert second.is_new
    assert second.id != first.id
    sent = client.start_or_signal(ASKING, **key, signal="answer", payload=2)
    assert (sent.id, engine.wait(second.id, timeout=60).output) == (second.id, 2)
