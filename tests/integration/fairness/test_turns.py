"""What a document says of fairness is what claims do, however much waits."""

from __future__ import annotations

import re
import threading
from collections import Counter
from typing import Any

import pytest

from eventstore.errors import InvalidRequest
from eventstore.keys import Keyspace
from eventstore.redis.runs import RedisRunStore
from eventstore.run_model import ClaimRequest
from eventstore.testing.commits import ready, started
from executor.worker.orders import KeyWeights
from openagents_json import Registry
from openagents_json.engine import Engine
from openagents_json.work_index import IndexChanges, Share
from tests.conftest import Server

MINUTES = 600_000


def document(count: int, **more: Any) -> dict[str, Any]:
    """Return a workflow with so many steps that may run at once."""
    return {
        "id": "many",
        "inputs": {"customer": {"type": "string"}},
        "fairness": {"key": "{{input.customer}}"},
        "steps": [{"id": "work", "component": "work", "foreach": list(range(count))}],
        **more,
    }


def worker_parts() -> Registry:
    registry = Registry()

    @registry.tool("work")
    def work() -> None:
        """Do nothing."""

    return registry


def taken(store: RedisRunStore, at_most: int, number: int) -> list[str]:
    """Claim once, and return the runs of the steps."""
    request = ClaimRequest(0, "tool", at_most, f"n{number}", "h", {"work": True})
    [reply] = store.claim([request], worker="w", lease_ms=MINUTES)
    return [claim.lease.run for claim in reply.claimed]


@pytest.mark.damages_store("nobody goes on with what is claimed")
def test_one_step_is_taken_next_though_2000_of_another_customer_wait(
    server: Server,
) -> None:
    prefix = server.prefix()
    with Engine.connect(
        server.url,
        prefix=prefix,
        components=worker_parts(),
        workers=0,
        partitions=1,
    ) as engine:
        store = RedisRunStore(server.connect(), Keyspace(prefix, 1))
        many = engine.start(document(2000), {"customer": "a"})
        assert taken(store, 3, 0) == [many] * 3
        one = engine.start(document(1), {"customer": "b"})
        assert one in [*taken(store, 1, 1), *taken(store, 1, 2)]
        # Weights are those of the documents: three steps to one.
        three = engine.start(
            document(60, fairness={"key": "c-{{input.customer}}", "weight": 3}),
            {"customer": "x"},
        )
        shares = Counter(run for i in range(40) for run in taken(store, 1, 10 + i))
        assert abs(shares[three] - 3 * shares[many]) <= 3
        assert sum(shares.values()) == 40


@pytest.mark.damages_store(
    "its events are made up, and most of its steps are not there"
)
@pytest.mark.parametrize("private_server", ["valkey"], indirect=True)
def test_a_claim_costs_the_same_however_many_keys_and_steps_there_are(
    private_server: Server,
) -> None:
    store = RedisRunStore(private_server.connect(), Keyspace("big", 1))
    command = store.connection.command

    def begin(key: str) -> None:
        names = [f"{key}{i}" for i in range(9)]
        shares = tuple(Share(name, key, 1) for name in names)
        changes = IndexChanges(shares=shares)
        store.commit(started(*map(ready, names), run=f"0-{key}", changes=changes))

    def cost(number: int) -> int:
        """Return how many commands a claim makes the server carry out."""
        command(b"CONFIG", b"RESETSTAT")
        request = ClaimRequest(0, "q", 1, f"c{number}", "h")
        [reply] = store.claim([request], worker="w", lease_ms=MINUTES)
        assert len(reply.claimed) == 1
        stats = command(b"INFO", b"commandstats").decode()
        return sum(map(int, re.findall(r"calls=(\d+)", stats)))

    begin("a")
    begin("b")
    cost(0)
    few = [cost(1), cost(2)]
    # 100,000 more steps of the first key, and 100,000 keys behind it in the round.
    for start in range(0, 100_000, 2_000):
        numbers = range(start, start + 2_000)
        steps = [text for i in numbers for text in (9e12 + i, f"0-a|x{i}")]
        keys = [text for i in numbers for text in (1000 + i, f"z{i}")]
        command(b"ZADD", b"big:{0}:fair:q|a", *steps)
        command(b"ZADD", b"big:{0}:ring:q", *keys)
    many = [cost(3), cost(4)]
    assert max(many) <= max(few) + 2


@pytest.mark.parametrize("server", ["valkey"], indirect=True)
def test_a_worker_lets_one_run_through_beside_a_long_one(server: Server) -> None:
    """What is under way is all that the other customer waits for, who has one step."""
    registry = Registry()
    done: list[str] = []
    first, let = threading.Event(), threading.Event()

    @registry.tool("work", effect="at_most_once")
    def work(customer: str) -> None:
        """Note whose turn it was; the first one waits until both have come."""
        done.append(customer)
        if not first.is_set():
            first.set()
            assert let.wait(60)

    def of(count: int) -> dict[str, Any]:
        step = {
            "id": "work",
            "component": "work",
            "inputs": {"customer": "{{input.customer}}"},
            "foreach": list(range(count)),
        }
        return document(count, steps=[step])

    with Engine.connect(
        server.url,
        prefix=server.prefix(),
        components=registry,
        workers=1,
        partitions=1,
    ) as engine:
        long = engine.start(of(120), {"customer": "a"})
        assert first.wait(60)
        one = engine.start(of(1), {"customer": "b"})
        let.set()
        engine.wait(one, timeout=120)
        engine.wait(long, timeout=120)
    assert len(done) == 121
    assert done.index("b") <= 60


def test_a_weight_is_said_while_steps_wait_and_is_on_record_with_its_reason(
    server: Server,
) -> None:
    prefix = server.prefix()
    with Engine.connect(
        server.url,
        prefix=prefix,
        components=worker_parts(),
        workers=0,
        partitions=2,
        actor="ada",
    ) as engine:
        runs = {
            customer: [
                engine.start(document(30), {"customer": customer}) for _ in range(6)
            ]
            for customer in "ab"
        }
        shares = engine.fairness.waiting()
        told = [(x.worker_type, x.key, x.steps, x.weight, x.overridden) for x in shares]
        assert told == [("tool", "a", 180, 1, False), ("tool", "b", 180, 1, False)]
        order = engine.fairness.weigh("a", 4, reason="their month ends")
        assert (order.what, order.target, order.at_most) == ("weight", "key:a", 4)
        assert [(x.by, x.reason) for x in engine.control.log()] == [
            ("ada", "their month ends")
        ]
        assert {x.key: x.weight for x in engine.fairness.waiting()} == {"a": 4, "b": 1}
        store = RedisRunStore(server.connect(), Keyspace(prefix, 2))
        where = store.partition_of(runs["a"][0])
        mine = [run for run in runs["b"] if store.partition_of(run) == where]
        request = ClaimRequest(where, "tool", 10, "w", "h", {"work": True})
        [reply] = store.claim([request], worker="w", lease_ms=MINUTES)
        by_key = Counter(claim.lease.run in runs["a"] for claim in reply.claimed)
        assert by_key[True] >= 8 if mine else by_key[True] == 10
        with pytest.raises(InvalidRequest):
            engine.fairness.weigh("a", 0)
        # What a partition has missed, a worker sees to with its beat.
        engine.core.connection.command(b"DEL", store.keys.weights(where))
        weights = KeyWeights(engine.core.runs.weigh)
        weights.heed(engine.core.directory.orders.in_force())
        read = engine.core.connection.client.hgetall
        assert read(store.keys.weights(where)) == {b"a": b"4"}
        engine.fairness.weigh("a", None)
        weights.heed(engine.core.directory.orders.in_force())
        assert read(store.keys.weights(where)) == {}


@pytest.mark.parametrize(
    "customer", ["", "|", "a:b|c", "k" * 5000, "\u00e4\n\x00", "\ud800", "\U0001f600"]
)
@pytest.mark.parametrize("server", ["valkey"], indirect=True)
def test_any_text_may_be_a_key(server: Server, customer: str) -> None:
    with Engine.connect(
        server.url, prefix=server.prefix(), components=worker_parts(), workers=1
    ) as engine:
        assert engine.run(document(2), {"customer": customer}).status == "completed"
