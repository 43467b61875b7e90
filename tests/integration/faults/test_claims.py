"""Claims under faults: lost replies, cut clients, workers that die between the claim and the step."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eventstore.run_model import Claimed, ClaimRequest
from openagents_json import Context
from openagents_json.catalog.registry import Registry
from openagents_json.engine import Engine
from openagents_json.workflow.core.commands import Advance
from tests.conftest import Server, wait_for
from tests.integration.faults.proxy import LossyProxy

Open = Callable[..., Engine]


class Calls:
    """Components that count how often they ran for which step."""

    def __init__(self) -> None:
        self.lock, self.counted = threading.Lock(), Counter[str]()

    def registry(self) -> Registry:
        components = Registry()

        def pay(context: Context) -> str:
            with self.lock:
                self.counted[context.idempotency_key] += 1
            return context.step_id

        async def pay_async(context: Context) -> str:
            return pay(context)

        components.tool("pay", effect="at_most_once")(pay)
        components.tool("pay_async", effect="at_most_once")(pay_async)
        return components


def payments(component: str, steps: int = 3, **document: Any) -> dict[str, Any]:
    return {
        "id": "payments",
        "steps": [{"id": f"s{i}", "component": component} for i in range(steps)],
        **document,
    }


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def opened(server: Server, calls: Calls) -> Iterator[Open]:
    """Open engines on one store; they end with the test, and the store must be in order then."""
    prefix, engines = server.prefix(), []

    def begin(**options: Any) -> Engine:
        options = {
            "components": calls.registry(),
            "prefix": prefix,
            "partitions": 2,
            "lease_ms": 4000,
            **options,
        }
        engines.append(Engine.connect(options.pop("url", server.url), **options))
        return engines[-1]

    yield begin
    assert begin().doctor() == []
    for engine in engines:
        engine.close(grace_seconds=0)


@pytest.mark.parametrize("component", ["pay", "pay_async"])
def test_a_lost_reply_ends_no_step_that_never_began(
    opened: Open, calls: Calls, server: Server, tmp_path: Path, component: str
) -> None:
    proxy = LossyProxy(server.directory / "s.sock", tmp_path / "p.sock", chance=0)
    opened(url=proxy.url, workers=3)
    engine = opened()
    document = payments(component)
    proxy.chance = 0.15
    runs = engine.start_many([(document, {})] * 40)
    results = [engine.wait(run, timeout=60) for run in runs]
    proxy.chance = 0
    assert proxy.lost
    assert {(result.status, str(result.error)) for result in results} == {
        ("completed", "None")
    }
    assert set(calls.counted.values()) == {1}
    assert len(calls.counted) == 120


def test_cut_clients_end_no_step_that_never_began(
    opened: Open, calls: Calls, server: Server
) -> None:
    opened(workers=3)
    engine, admin = opened(), server.connect()
    runs = engine.start_many([(payments("pay"), {})] * 40)
    for run in runs:
        admin.command(b"CLIENT", b"KILL", b"TYPE", b"normal", b"SKIPME", b"yes")
        assert engine.wait(run, timeout=60).ok
    assert set(calls.counted.values()) == {1}


def claim(
    engine: Engine, claim_id: str, *, lease_ms: int = 60_000, at_most: int = 2
) -> list[Claimed]:
    """Claim as a worker does that is never heard of again."""
    for partition in range(2):
        engine.core.store.tell(partition, "ghost", {"pay": True})
    requests = [ClaimRequest(p, "tool", at_most, claim_id, "ghost") for p in range(2)]
    replies = engine.core.store.claim(requests, worker="ghost/1", lease_ms=lease_ms)
    return [claimed for reply in replies for claimed in reply.claimed]


def test_a_claim_that_is_asked_again_is_answered_alike(opened: Open) -> None:
    engine = opened()
    engine.start_many([(payments("pay", 1), {})] * 8)
    first = claim(engine, "one")
    assert first
    again, other = claim(engine, "one"), claim(engine, "other")
    assert [(c.lease, c.version, c.commit) for c in again] == [
        (c.lease, c.version, c.commit) for c in first
    ]
    assert not {c.lease for c in other} & {c.lease for c in first}
    left = claim(engine, "third", at_most=8)
    assert sorted(c.lease.run for c in (*first, *other, *left)) == sorted(
        info.id for info in engine.runs()
    )


def test_a_claim_that_is_asked_again_too_late_gives_nothing_that_others_have(
    opened: Open, calls: Calls
) -> None:
    engine = opened()
    run = engine.start(payments("pay", 1))
    assert len(claim(engine, "one", lease_ms=100)) == 1
    opened(workers=1)
    assert engine.wait(run, timeout=120).ok
    assert claim(engine, "one", lease_ms=100) == []
    assert set(calls.counted.values()) == {1}


def test_a_step_that_was_claimed_and_not_begun_is_given_to_another(
    opened: Open, calls: Calls
) -> None:
    engine = opened()
    run = engine.start(payments("pay", 1))
    assert len(claim(engine, "one", lease_ms=100)) == 1
    opened(workers=1)
    assert engine.wait(run, timeout=120).ok
    events = [event.type for event in engine.history(run)]
    assert (events.count("StepStarted"), events.count("StepReleased")) == (2, 1)
    assert set(calls.counted.values()) == {1}


def test_a_step_that_may_have_begun_is_not_started_again(
    opened: Open, calls: Calls
) -> None:
    engine = opened()
    run = engine.start(payments("pay", 1))
    leases = [claimed.lease for claimed in claim(engine, "one")]
    assert engine.core.store.beat(leases, 100, begin=True) == [1]
    opened(workers=1)
    result = engine.wait(run, timeout=120)
    assert (result.status, result.error and result.error["type"]) == (
        "failed",
        "UnknownOutcome",
    )
    assert not calls.counted


def test_a_worker_that_lost_its_lease_before_the_step_does_not_begin_it(
    opened: Open,
) -> None:
    engine = opened()
    run = engine.start(payments("pay", 1))
    [claimed] = claim(engine, "one", lease_ms=50)
    opened(workers=1)
    wait_for(lambda: engine.state(run).status == "completed")
    assert engine.core.store.beat([claimed.lease], 1000, begin=True) == [0]


def test_a_look_that_decides_nothing_knows_the_claims_that_came_before_it(
    opened: Open,
) -> None:
    engine = opened()
    run = engine.start(payments("pay"))
    session = engine.core.sessions.load(run)
    assert claim(engine, "meanwhile")
    handled = engine.core.handler.handle(
        run, Advance(), actor="relay", settle=True, session=session
    )
    [head] = engine.core.store.heads([run])
    assert head is not None
    assert (handled.session.version, handled.session.commit) == (
        head.version,
        head.last_commit,
    )
    engine.cancel(run)
