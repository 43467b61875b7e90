"""What is told of a store of runs: waits to the ms, lost leases, losers, and what comes twice."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from eventstore.memory.runs import MemoryRunStore
from eventstore.run_model import CommitClaim
from eventstore.testing.commits import (
    LEASE,
    RUN,
    claim,
    decided,
    due,
    fact,
    ready,
    started,
)
from openagents_json.engine import InMemoryTelemetry
from openagents_json.engine.telemetry.in_memory import Summary
from openagents_json.engine.telemetry.loading import telemetry_maker
from openagents_json.engine.telemetry.run_store import MeasuredRunStore
from openagents_json.work_index import RequeuedStep


class World:
    def __init__(self) -> None:
        self.now_ms = 1_000_000_000_000
        self.numbers = InMemoryTelemetry()
        self.store = MeasuredRunStore(
            MemoryRunStore(now_ms=lambda: self.now_ms), self.numbers, lambda: 0.0
        )


@pytest.fixture
def world() -> World:
    return World()


def test_a_step_that_waits_says_how_long_at_its_claim(world: World) -> None:
    world.store.commit(started(ready("a")))
    world.now_ms += 700
    due(world.store)
    assert world.numbers.summary("openagents.ready.age", queue="q") == Summary(
        1, 700, 700
    )
    world.now_ms += 300
    claim(world.store, at_most=3)
    assert world.numbers.summary("openagents.claims.wait", queue="q") == Summary(
        1, 1000, 1000
    )
    assert world.numbers.count("openagents.claims.asked", queue="q") == 3
    assert world.numbers.count("openagents.claims", queue="q", way="claim") == 1


def test_a_step_that_its_own_commit_claims_has_not_waited(world: World) -> None:
    claim = CommitClaim("w", LEASE, 1, "q", lambda _component: True)
    world.store.commit(started(ready("a"), claim=claim))
    assert world.numbers.count("openagents.claims", queue="q", way="commit") == 1
    assert world.numbers.summary("openagents.claims.wait") == Summary(1, 0, 0)
    assert world.numbers.count("openagents.events", source="start") == 3


def test_the_wait_of_a_later_attempt_is_not_told(world: World) -> None:
    world.store.commit(started(ready("a")))
    [taken] = claim(world.store)
    changes = replace(
        started(ready("a")).changes,
        status="",
        ready=(),
        requeued=(RequeuedStep("a", 0, 0, 0, ""),),
    )
    world.store.commit(
        fact(
            taken.lease,
            "c2",
            version=taken.version,
            last_commit=taken.commit,
            final=False,
            changes=changes,
        )
    )
    assert len(claim(world.store, name="k2")) == 1
    assert world.numbers.count("openagents.claims") == 2
    assert world.numbers.summary("openagents.claims.wait").count == 1


def test_each_commit_is_told_by_its_outcome(world: World) -> None:
    begun = world.store.commit(started(ready("a")))
    world.store.commit(started(ready("a")))
    world.store.commit(decided(begun, "c1", "c2"))
    world.store.commit(decided(begun, "c1", "c3"))

    def of(source: str, outcome: str) -> int:
        return world.numbers.count("openagents.commits", source=source, outcome=outcome)

    assert (of("start", "done"), of("start", "duplicate")) == (1, 1)
    assert (of("decision", "done"), of("decision", "conflict")) == (1, 1)
    assert (
        world.numbers.count("openagents.events")
        == len(world.store.read([(RUN, 0)])[0])
        == 3
    )


def test_facts_without_their_decision_count_by_themselves(world: World) -> None:
    world.store.commit(started(ready("a")))
    [taken] = claim(world.store)
    world.store.commit(decided(taken, taken.commit, "c2"))
    world.store.commit(
        fact(taken.lease, "c3", version=taken.version, last_commit=taken.commit)
    )
    assert (
        world.numbers.count(
            "openagents.commits", source="outcome", outcome="facts_only"
        )
        == 1
    )
    world.store.commit(
        fact(taken.lease, "c4", version=taken.version, last_commit=taken.commit)
    )
    assert (
        world.numbers.count("openagents.commits", source="outcome", outcome="fenced")
        == 1
    )
    assert world.numbers.count("openagents.events") == len(
        world.store.read([(RUN, 0)])[0]
    )


def test_heartbeats_tell_held_leases_from_lost_ones(world: World) -> None:
    world.store.commit(started(ready("a")))
    [taken] = claim(world.store)
    world.store.beat([taken.lease], LEASE)
    world.store.commit(
        fact(taken.lease, "c2", version=taken.version, last_commit=taken.commit)
    )
    world.store.beat([taken.lease], LEASE)
    assert world.numbers.count("openagents.leases.extended", outcome="held") == 1
    assert world.numbers.count("openagents.leases.extended", outcome="lost") == 1


def test_a_lease_that_ran_out_is_due(world: World) -> None:
    world.store.commit(started(ready("a")))
    claim(world.store)
    world.now_ms += LEASE + 1
    due(world.store)
    assert world.numbers.count("openagents.due", kind="lease") == 1


def no_agent() -> None:
    raise OSError("there is no agent")


def test_a_function_that_raises_leaves_its_process_unmeasured(
    caplog: pytest.LogCaptureFixture,
) -> None:
    make = telemetry_maker("tests.unit.edges.test_telemetry:no_agent")
    assert make() is None
    assert (
        "tests.unit.edges.test_telemetry:no_agent raised OSError: there is no agent"
        in caplog.text
    )
