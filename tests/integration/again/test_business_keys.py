"""Business keys: one run of a workflow is open under each, whoever starts it, and from wherever."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from openagents_json.catalog.loader import load
from openagents_json.engine import (
    BusinessKeyTaken,
    Engine,
    InvalidArgument,
    KeyConflict,
    Rejected,
)
from openagents_json.engine.remote_work.leases import ClaimTerms
from tests.conftest import Server, SharedServers, wait_for
from tests.fork_server import ForkedProcess

ORDER = {
    "id": "order",
    "steps": [
        {"id": "over", "wait_for": {"signal": "over"}},
        {"id": "ask", "needs": ["over"], "wait_for": {"signal": "answer"}},
    ],
}
ASKING = {
    "id": "asking",
    "inputs": {"item": {"type": "string", "default": ""}},
    "steps": [{"id": "ask", "wait_for": {"signal": "answer"}}],
    "output": "{{ask.output}}",
}


@pytest.fixture(scope="module")
def server(shared_servers: SharedServers) -> Server:
    return shared_servers.of("valkey")


@pytest.fixture
def engine(server: Server) -> Iterator[Engine]:
    with Engine.connect(
        server.url,
        prefix=server.prefix(),
        components=load([]),
        workers=0,
        partitions=4,
        actor="me",
    ) as opened:
        yield opened
        assert opened.doctor() == []


def ids(engine: Engine, **chosen: str) -> set[str]:
    return {run.id for run in engine.runs(**chosen)}  # type: ignore[arg-type]


def test_a_start_under_a_taken_key_is_refused_and_free_again_after_the_end(
    engine: Engine,
) -> None:
    first = engine.start(ASKING, business_key="7")
    with pytest.raises(BusinessKeyTaken) as refused:
        engine.start(ASKING, business_key="7")
    assert refused.value.run == first.id
    assert engine.start(ASKING, business_key="8").is_new
    assert engine.start({**ASKING, "id": "other"}, business_key="7").is_new
    engine.signal(first, "answer", 1)
    second = engine.start(ASKING, business_key="7")
    assert second.is_new
    assert second.id != first.id
    assert engine.state(second).labels == {"business_key": "7"}


def test_the_open_run_of_a_key_can_be_used_or_replaced(engine: Engine) -> None:
    first = engine.start(ASKING, {"item": "a"}, business_key="7")
    used = engine.start(
        ASKING, {"item": "b"}, business_key="7", on_conflict="use-existing"
    )
    assert (used.id, used.is_new) == (first.id, False)
    second = engine.start(
        ASKING, {"item": "b"}, business_key="7", on_conflict="replace"
    )
    assert (second.is_new, engine.status(first)) == (True, "cancelled")
    with pytest.raises(BusinessKeyTaken):
        engine.start(ASKING, business_key="7")


def test_a_run_with_a_step_under_way_is_replaced_when_that_has_ended(
    engine: Engine,
) -> None:
    engine.catalog.register({"name": "far", "version": "1.0.0", "queue": "tool"})
    document = {"id": "far", "steps": [{"id": "go", "component": "far@1.0.0"}]}
    first = engine.start(document, business_key="7")
    terms = ClaimTerms("tool", ["far@1.0.0"], lease_ms=600_000)
    [step] = engine.leases.claim(terms, wait_ms=60_000).steps
    with pytest.raises(BusinessKeyTaken):
        engine.start(
            document, business_key="7", on_conflict="replace", conflict_timeout=0
        )
    assert engine.status(first) == "cancelling"
    with ThreadPoolExecutor() as pool:
        second = pool.submit(
            engine.start, document, business_key="7", on_conflict="replace"
        )
        engine.leases.complete(step.lease, 1)
        assert second.result().is_new
    assert engine.status(first) == "cancelled"
    events = [event.type for event in engine.history(first)]
    assert events.count("RunCancelRequested") == 1


def test_a_run_begins_when_the_one_before_it_has_ended(engine: Engine) -> None:
    first = engine.start(ASKING, business_key="7")
    with ThreadPoolExecutor() as pool:
        behind = [
            pool.submit(
                engine.start, ASKING, business_key="7", on_conflict="after-closed"
            )
            for _ in range(2)
        ]
        engine.signal(first, "answer", 1)
        seen = {first.id}
        for _ in behind:
            wait_for(lambda: bool(ids(engine, status="running") - seen))
            [begun] = ids(engine, status="running")
            seen.add(begun)
            engine.signal(begun, "answer", 1)
        assert {run.result().id for run in behind} | {first.id} == seen


def test_a_request_under_an_idempotency_key_is_answered_alike_whatever_comes_later(
    engine: Engine,
) -> None:
    first = engine.start(ASKING, business_key="7")

    def use(key: str) -> tuple[str, bool]:
        run = engine.start(
            ASKING, business_key="7", on_conflict="use-existing", idempotency_key=key
        )
        return run.id, run.is_new

    assert use("k") == (first.id, False)
    engine.signal(first, "answer", 1)
    assert use("k") == (first.id, False)
    second, is_new = use("l")
    assert is_new
    engine.signal(second, "answer", 1)
    assert use("l") == (second, False)
    with pytest.raises(KeyConflict, match="another business key"):
        engine.start(ASKING, business_key="8", idempotency_key="l")


def test_what_makes_no_sense_is_refused_and_leaves_no_run(engine: Engine) -> None:
    with pytest.raises(InvalidArgument, match="there is none"):
        engine.start(ASKING, on_conflict="reject")
    with pytest.raises(InvalidArgument, match="no conflict policy"):
        engine.start(ASKING, business_key="7", on_conflict="queue")
    with pytest.raises(InvalidArgument, match="characters"):
        engine.start(ASKING, business_key="")
    with pytest.raises(Rejected, match="answer"):
        engine.start_or_signal(ASKING, business_key="7", signal="nobody")
    assert ids(engine) == set()


def test_a_signal_begins_a_run_with_it_or_reaches_the_open_one(engine: Engine) -> None:
    first = engine.start_or_signal(
        ASKING, business_key="7", signal="answer", payload=1, idempotency_key="k"
    )
    assert first.is_new
    assert engine.wait(first, timeout=60).output == 1
    commits = [event.commit for event in engine.history(first)]
    assert len(set(commits)) == 1, "the run and its signal are one commit"
    again = engine.start_or_signal(
        ASKING, business_key="7", signal="answer", payload=1, idempotency_key="k"
    )
    assert (again.id, again.is_new) == (first.id, False)
    open_run = engine.start(ASKING, business_key="7")
    reached = engine.start_or_signal(
        ASKING, business_key="7", signal="answer", payload=2, idempotency_key="l"
    )
    assert (reached.id, engine.wait(open_run, timeout=60).output) == (open_run.id, 2)
    once = engine.start_or_signal(
        ASKING, business_key="7", signal="answer", payload=2, idempotency_key="l"
    )
    assert once.id == open_run.id
    assert ids(engine) == {first.id, open_run.id}


STARTER = """
import json, sys
from openagents_json.engine import Engine

url, prefix, name, documents = sys.argv[1:]
with Engine.connect(url, prefix=prefix, components=[], workers=0) as engine:
    sys.stdin.readline()
    for document in json.loads(documents):
        for number in range(2):
            engine.start_or_signal(
                document, business_key="7", signal="answer", payload=f"{name}{number}"
            )
"""


def test_a_run_is_not_opened_again_while_another_one_has_its_key(
    engine: Engine,
) -> None:
    first = engine.start(ORDER, business_key="7")
    engine.cancel(first)
    second = engine.start(ORDER, business_key="7")
    opening: list[Callable[[], None]] = [
        lambda: engine.retry(first),
        lambda: engine.replay.replay(first),
        lambda: engine.replay.complete(first, "over", 1),
    ]
    for open_again in opening:
        with pytest.raises(BusinessKeyTaken) as refused:
            open_again()
        assert (refused.value.run, engine.status(first)) == (second.id, "cancelled")
    fork = engine.replay.fork(second, 1)
    assert engine.status(fork) == "running"
    engine.cancel(second)
    engine.retry(first)
    with pytest.raises(BusinessKeyTaken) as refused:
        engine.start(ORDER, business_key="7")
    assert refused.value.run == first.id
    engine.cancel(first)
    engine.replay.replay(first)  # it has the key itself
    engine.cancel(fork)
    engine.retry(fork)


def test_of_eight_processes_each_signal_arrives_once_at_the_one_open_run(
    engine: Engine, server: Server
) -> None:
    names = "abcdefgh"
    prefix, documents = engine.core.store.keys.prefix, json.dumps([ORDER, ASKING])
    starters = [
        ForkedProcess(
            [sys.executable, "-c", STARTER, server.url, prefix, name, documents],
            stdin=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    for starter in starters:
        assert starter.stdin is not None
        starter.stdin.write("go\n")
        starter.stdin.flush()
    for starter in starters:
        starter.communicate(timeout=120)
    sent = [f"{name}{number}" for name in names for number in range(2)]
    assert heard(engine, "order") == (1, sent)
    # A run that ends by its signal leaves the key to the next one: none takes two, and none has begun beside another.
    assert heard(engine, "asking") == (len(sent), sent)


def heard(engine: Engine, workflow: str) -> tuple[int, list[str]]:
    """Return how many runs of a workflow there are, and what they were told."""
    runs = ids(engine, workflow=workflow)
    payloads = [
        event.data["payload"]
        for run in runs
        for event in engine.history(run)
        if event.type == "SignalReceived"
    ]
    return len(runs), sorted(payloads)
