"""Durability `replicated`: what is acknowledged outlives the loss of its server, and nothing begins twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from eventstore import connect
from eventstore.errors import (
    InvalidRequest,
    NotReplicated,
    StoreRefused,
    StoreUnavailable,
)
from eventstore.keys import Keyspace
from eventstore.redis.driver.fitness.preflight import check
from eventstore.redis.driver.replication import quorum_of
from openagents_json import tool
from openagents_json.engine import Engine
from tests.acceptance.processes import openagents
from tests.conftest import KINDS, wait_for
from tests.integration.faults.failing_over import (
    Aside,
    appending,
    calls_of,
    count_of,
    fails_over,
    has,
    leader,
    opened,
    runs_on,
)
from tests.integration.faults.replicas import (
    MIN_REPLICAS,
    Line,
    Node,
    Replicated,
    nodes,
    replicated,
    sentinel,
)

ONCE: dict[str, Any] = {
    "id": "w",
    "steps": [{"id": "a", "component": "once", "effect": "at_most_once"}],
}


@pytest.fixture(params=KINDS)
def servers(request: pytest.FixtureRequest) -> Iterator[Replicated]:
    with replicated(request.param, *MIN_REPLICAS) as started:
        yield started


@pytest.fixture
def way(servers: Replicated) -> Iterator[Line]:
    """The address by which clients know the primary, whichever that is."""
    line = Line(servers.primary.port)
    yield line
    line.close()


def test_a_start_that_its_replica_lacks_is_not_acknowledged_and_comes_again(
    servers: Replicated, way: Line
) -> None:
    with opened(way.url) as engine:
        before = engine.start(ONCE)
        servers.line.hold()
        starts = [Aside(lambda: engine.start(ONCE)) for _ in range(5)]
        wait_for(lambda: runs_on(servers.primary) == 6)
        assert [start.results for start in starts] == [[]] * 5
        servers.primary.kill()
        way.lead_to(servers.promote().port)
        acknowledged = [before, *(start.result() for start in starts)]
        assert [has(servers.replica, run, "RunStarted") for run in acknowledged] == [
            True
        ] * 6
        assert runs_on(servers.replica) == 6


def test_a_step_begins_once_though_its_claim_was_lost(
    servers: Replicated, way: Line
) -> None:
    begun: list[int] = []

    @tool("once")
    def once() -> None:
        begun.append(1)

    with opened(way.url, (once,), workers=1) as engine:
        assert engine.run(ONCE, timeout=60).ok
        servers.line.hold()
        start = Aside(lambda: engine.start(ONCE))
        wait_for(lambda: count_of(servers.primary, "StepStarted") == 2)
        assert begun == [1]
        servers.primary.kill()
        way.lead_to(servers.promote().port)
        assert engine.wait(start.result(), timeout=60).ok
    assert begun == [1, 1]


def test_a_step_that_has_begun_goes_on_through_a_failover(
    servers: Replicated, way: Line
) -> None:
    begun: list[int] = []
    goes_on = threading.Event()

    @tool("once")
    def once() -> None:
        begun.append(1)
        goes_on.wait(60)

    with opened(way.url, (once,), workers=1) as engine:
        run = engine.start(ONCE)
        wait_for(lambda: begun == [1])
        servers.line.hold()
        goes_on.set()
        wait_for(lambda: has(servers.primary, run, "RunCompleted"))
        waiting = Aside(lambda: engine.wait(run, timeout=60).status)
        servers.primary.kill()
        way.lead_to(servers.promote().port)
        assert waiting.result() == "completed"
        assert has(servers.replica, run, "RunCompleted")
    assert begun == [1]


def test_who_waits_is_not_told_of_an_end_that_may_be_lost(
    servers: Replicated, way: Line
) -> None:
    @tool("once")
    def once() -> None:
        return None

    with opened(way.url) as client:
        run = client.start(ONCE)
        servers.line.hold()
        # This worker does not ask replicas, so it ends the run where nobody else has it.
        worker = Engine.connect(way.url, broker=None, components=[once], workers=1)
        wait_for(lambda: has(servers.primary, run, "RunCompleted"))
        with pytest.raises(NotReplicated, match=r"0 of 1 replica.*ask again"):
            client.wait(run, timeout=0.2)
        servers.line.release()
        assert client.wait(run, timeout=60).ok
        worker.close()


def test_an_idle_client_of_an_old_primary_writes_to_the_new_one(
    servers: Replicated, way: Line
) -> None:
    with opened(way.url) as idle:
        idle.start(ONCE)
        servers.line.hold()
        new = servers.replica
        new.ask(
            "REPLICAOF", "NO", "ONE"
        )  # and the old one thinks that it is there still
        start = Aside(lambda: idle.start(ONCE))
        wait_for(lambda: runs_on(servers.primary) == 2)
        way.lead_to(new.port)
        assert has(new, start.result(), "RunStarted")


@pytest.mark.parametrize("kind", KINDS)
def test_a_graceful_failover_loses_nothing_and_begins_nothing_twice(kind: str) -> None:
    begun: list[int] = []

    @tool("once")
    def once(n: int) -> None:
        begun.append(n)

    document = {**ONCE, "steps": [{**ONCE["steps"][0], "inputs": {"n": "{{input.n}}"}}]}
    acknowledged: dict[int, str] = {}
    with ExitStack() as ends:
        first, *others = nodes(kind, 3, ends)
        first.start(*MIN_REPLICAS)
        for node in others:
            node.start(*MIN_REPLICAS)
            node.follow(first.port)
        guard = ends.enter_context(sentinel(kind, first))
        wait_for(lambda: fails_over(guard, dry=True))
        url = f"redis+sentinel://127.0.0.1:{guard.port}/main"
        engine = ends.enter_context(opened(url, (once,), workers=2, lease_ms=30_000))
        over = threading.Event()

        def start(thread: int) -> None:
            for number in range(thread, 10_000, 4):
                if over.is_set():
                    return
                acknowledged[number] = engine.start(
                    document, {"n": number}, idempotency_key=str(number)
                )

        starting = [Aside(lambda thread=thread: start(thread)) for thread in range(4)]  # type: ignore[misc]
        wait_for(lambda: len(acknowledged) > 20)
        wait_for(lambda: fails_over(guard))
        wait_for(lambda: leader(guard) != first.port)
        done = len(acknowledged)
        wait_for(lambda: len(acknowledged) > done + 20)
        over.set()
        assert [one.result() for one in starting] == [None] * 4
        assert {
            engine.wait(run, timeout=60).status for run in acknowledged.values()
        } == {"completed"}
    assert len(begun) == len(set(begun))


def test_a_step_is_one_round_trip_with_replicas_too(
    servers: Replicated, way: Line
) -> None:
    @tool("once")
    def once() -> int:
        return 1

    steps = [{"id": f"s{number}", "component": "once"} for number in range(100)]
    # A replica that is late is not asked again: that would be another round trip.
    with opened(way.url, (once,), workers=1, replica_timeout_ms=4000) as engine:
        assert engine.run({"id": "w", "steps": steps[:2]}, timeout=60).ok
        engine.plan({"id": "w", "steps": steps})
        turns, waits = way.turns, calls_of(servers.primary, "wait")
        run = engine.start({"id": "w", "steps": steps})
        wait_for(
            lambda: engine.core.sessions.get(run) is None
        )  # looks at memory only: closed runs are forgotten
        # The rest is the start and the background's, a dozen a second.
        assert 100 <= way.turns - turns < 2 * 100
        assert calls_of(servers.primary, "wait") - waits >= 100


def test_an_append_is_done_once_by_a_server_that_forgot_its_scripts(
    servers: Replicated,
) -> None:
    with appending(servers.primary) as append:
        for number in range(2):
            append(number)
            servers.primary.ask("SCRIPT", "FLUSH")
        with servers.replica.client as client:
            assert client.xlen("s:{0}:run:a") == 2


def test_all_replicas_that_are_connected_have_to_confirm(servers: Replicated) -> None:
    """A server that loses one of two may have lost it to a failover, so it is not content with the other."""
    servers.last.follow(servers.primary.port)
    quorum = quorum_of("replicated", 0, 2000)
    assert quorum
    with appending(servers.primary, quorum) as append:
        wait_for(
            lambda: append(1) and quorum.count == 2
        )  # it is seen when it is as quick as the other one
        servers.last.kill()
        for _ in range(2):
            with pytest.raises(
                NotReplicated,
                match=r"1 of 2 replica\(s\) confirmed.*OPENAGENTS_REPLICAS",
            ):
                append(2)


def test_a_replica_that_comes_later_has_to_confirm_too(servers: Replicated) -> None:
    quorum = quorum_of("replicated", 0, 2000)
    assert quorum
    with appending(servers.primary, quorum) as append:
        append(1)
        servers.last.follow(servers.primary.port)
        wait_for(
            lambda: append(2) and quorum.count == 2
        )  # it is seen when it is as quick as the other one
        servers.last.kill()
        with pytest.raises(NotReplicated, match=r"1 of 2 replica"):
            append(3)


def test_a_server_that_lost_its_replicas_refuses_to_write(servers: Replicated) -> None:
    with appending(servers.primary) as append:
        append(1)
        servers.line.cut()
        wait_for(lambda: not calm(servers.primary))
        with pytest.raises(StoreUnavailable):
            append(2)
        with servers.primary.client as client:
            assert client.xlen("s:{0}:run:a") == 1


def calm(node: Node) -> bool:
    with node.client as client:
        return int(client.info("replication")["connected_slaves"]) > 0


def test_a_server_that_writes_without_its_replicas_is_refused_with_what_to_do(
    servers: Replicated,
) -> None:
    servers.primary.ask("CONFIG", "SET", "min-replicas-to-write", "0")
    with pytest.raises(
        StoreRefused, match="set min-replicas-to-write 1 and min-replicas-max-lag 10"
    ):
        opened(servers.primary.url)
    servers.primary.ask(
        "CONFIG", "SET", "min-replicas-to-write", "1", "min-replicas-max-lag", "0"
    )
    with pytest.raises(StoreRefused, match="min-replicas-max-lag"):
        opened(servers.primary.url)
    assert runs_on(servers.primary) == 0
    servers.primary.ask("CONFIG", "SET", "min-replicas-max-lag", "10")
    with pytest.raises(StoreRefused, match="min-replicas-to-write 2"):
        Engine.connect(servers.primary.url, durability="replicated", replicas=2)
    asked = (
        "--url",
        servers.primary.url,
        "--durability",
        "replicated",
        "--replicas",
        "2",
    )
    output = openagents("doctor", *asked, folder=servers.primary.directory)
    assert (output.returncode, "set min-replicas-to-write 2 and" in output.stderr) == (
        1,
        True,
    ), output
    with pytest.raises(InvalidRequest, match="-1 replicas within"):
        Engine.connect(servers.primary.url, durability="replicated", replicas=-1)
    with pytest.raises(InvalidRequest, match=r"no durability 'replcated'.*replicated"):
        Engine.connect(servers.primary.url, durability="replcated")


def test_replicas_that_may_be_promoted_without_having_confirmed_are_told(
    servers: Replicated,
) -> None:
    assert told(servers.primary, 1) == []
    servers.last.follow(servers.primary.port)
    assert told(servers.primary, 0) == []
    assert told(servers.primary, 1) == [
        "2 replicas follow the server, 1 have to confirm: another one may be promoted"
    ]
    for node in (servers.last, servers.replica):
        node.kill()
    wait_for(lambda: not calm(servers.primary))
    assert told(servers.primary, 0) == [
        "0 replica(s) follow the server and 1 have to confirm: nothing can be written"
    ]


def told(node: Node, replicas: int) -> list[str]:
    connection = connect(node.url, quorum=quorum_of("replicated", replicas, 1000))
    try:
        findings = check(connection, Keyspace("oa", 1), "replicated", now_ms=lambda: 0)
        return [finding.what for finding in findings if finding.code == "replicas"]
    finally:
        connection.close()


def test_servers_without_replicas_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        StoreRefused, match="embedded server has no replicas; ask for durability always"
    ):
        Engine.embedded(tmp_path, durability="replicated")
    assert list(tmp_path.iterdir()) == []
