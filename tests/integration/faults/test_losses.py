"""What was acknowledged and is gone: whoever was told of it keeps it on record, and `doctor` says how far back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eventstore.redis.upkeep.losses import read_losses
from openagents_json import tool
from openagents_json.engine import Engine
from openagents_json.engine.archive.archive import Departure
from openagents_json.engine.diagnosis.doctor import diagnose
from openagents_json.engine.settings import Settings
from tests.conftest import KINDS, Server, wait_for
from tests.integration.faults.clusters import cluster_of
from tests.integration.faults.replicas import Line, Node, Replicated, replicated
from tests.integration.faults.test_lost_tail import cut, newest_file, rewritten

ONE: dict[str, Any] = {"id": "w", "steps": [{"id": "a", "component": "noop"}]}
SAID = re.compile(
    r"warning: acknowledged commits were lost: (\d+)( to \d+| or more)? events of (\d+) partitions?, "
)


@tool("noop")
def noop() -> None:
    """Do nothing."""


@pytest.fixture(params=KINDS)
def servers(request: pytest.FixtureRequest) -> Iterator[Replicated]:
    with replicated(request.param) as started:
        yield started


@pytest.fixture
def way(servers: Replicated) -> Iterator[Line]:
    """The address by which clients know the primary, whichever that is."""
    line = Line(servers.primary.port)
    yield line
    line.close()


def opened(url: str, workers: int = 0, partitions: int = 2) -> Engine:
    return Engine.connect(
        url, broker=None, components=(noop,), workers=workers, partitions=partitions
    )


def told(engine: Engine) -> list[str]:
    """Return what doctor says of losses."""
    lines = diagnose(engine, Settings(url=engine.url)).lines()
    return [line for line in lines if line.startswith("warning: acknowledged")]


def lag(servers: Replicated) -> None:
    """Have the replica keep what it has, though the primary goes on."""
    with servers.primary.client as client:
        client.set("mark", 1)  # it is asked for what this connection has written
        assert client.wait(1, 60_000) == 1
    servers.line.hold()


def fail_over(servers: Replicated, way: Line) -> Node:
    servers.primary.kill()
    new = servers.promote()
    way.lead_to(new.port)
    return new


def test_doctor_says_what_a_failover_has_lost_and_how_far_back(
    servers: Replicated, way: Line
) -> None:
    with opened(way.url) as engine:
        kept = [engine.start(ONE) for _ in range(10)]
        lag(servers)
        lost = [engine.start(ONE) for _ in range(20)]
        events = sum(len(engine.history(run)) for run in lost)
        fail_over(servers, way)
        after = engine.start(ONE)
        [message] = told(engine)
        match = SAID.match(message)
        assert match, message
        least, more = int(match[1]), match[2] or ""
        assert least <= events
        if more != " or more":
            most = int(more.removeprefix(" to ") or least)
            assert events <= most
        assert least > events / 2
        assert match[3] == "2"
        assert re.search(
            r"written from [0-9-]+ [0-9:.]+ to [0-9-]+ [0-9:.]+ \(\d+\.\d s\), missed since ",
            message,
        )
        assert "same idempotency keys" in message
        with opened(way.url, workers=1) as worker:
            assert {worker.wait(run, timeout=60).status for run in (*kept, after)} == {
                "completed"
            }
        assert told(engine) == [message]


def test_a_loss_is_found_though_others_have_written_over_it(
    servers: Replicated, way: Line
) -> None:
    with opened(way.url, partitions=1) as idle:
        idle.start(ONE)
        lag(servers)
        for _ in range(3):
            idle.start(ONE)
        new = fail_over(servers, way)
        with opened(new.url) as other:
            for _ in range(20):
                other.start(ONE)
            assert told(other) == []
            idle.start(ONE)
            assert len(told(other)) == 1


def test_who_only_reads_finds_it_too(servers: Replicated, way: Line) -> None:
    with opened(way.url) as idle:
        run = idle.start(ONE)
        lag(servers)
        idle.start(ONE)
        fail_over(servers, way)
        assert idle.state(run).status == "running"
        assert len(told(idle)) == 1


def test_a_loss_that_many_have_met_is_told_once(servers: Replicated, way: Line) -> None:
    with opened(way.url, partitions=1) as first, opened(way.url) as second:
        first.start(ONE)
        lag(servers)
        first.start(ONE)
        second.start(ONE)
        first.start(ONE)
        fail_over(servers, way)
        second.start(ONE)
        first.start(ONE)
        [message] = told(first)
        assert "of 1 partition," in message


def test_a_server_that_comes_back_with_all_has_lost_nothing(
    private_server: Server,
) -> None:
    private_server.connect().command(b"CONFIG", b"SET", b"appendfsync", b"always")
    with opened(private_server.url) as engine:
        for _ in range(10):
            engine.start(ONE)
        private_server.kill()
        private_server.start()
        engine.start(ONE)
        assert told(engine) == []


def test_runs_that_have_left_are_not_missed(private_server: Server) -> None:
    """The newest commits are those of runs that somebody else deletes, and the server comes back: nothing was lost."""
    private_server.connect().command(b"CONFIG", b"SET", b"appendfsync", b"always")
    with opened(private_server.url, workers=1, partitions=1) as engine:
        runs = [engine.run(ONE, timeout=60).id for _ in range(2)]
        with opened(private_server.url) as other:
            for run in runs:
                other.archive.leave(run, Departure(""))
        private_server.kill()
        private_server.start()
        assert engine.run(ONE, timeout=60).ok
        assert told(engine) == []


def test_who_has_met_nothing_is_told_by_the_epoch(private_server: Server) -> None:
    """The log begins anew under clients that stay connected: the first to commit notices, and so all others do."""
    admin = private_server.connect()
    with (
        opened(private_server.url, partitions=1) as first,
        opened(private_server.url) as second,
    ):
        first.start(ONE)
        second.start(ONE)
        second.start(ONE)
        admin.command(b"FLUSHALL")
        first.start(ONE)
        assert [loss.lost for loss in read_losses(first.core.store)] == [2]
        for _ in range(5):
            first.start(ONE)
        second.start(ONE)
        assert [(loss.lost, loss.epoch) for loss in read_losses(first.core.store)] == [
            (6, 1)
        ]


def test_a_server_that_comes_back_without_the_end_of_its_log_has_lost_it(
    private_server: Server,
) -> None:
    private_server.connect().command(b"CONFIG", b"SET", b"appendfsync", b"always")
    with opened(private_server.url, partitions=1) as engine:
        for _ in range(3):
            engine.start(ONE)
        wait_for(lambda: rewritten(private_server))
        before = newest_file(private_server).stat().st_size
        for _ in range(3):
            engine.start(ONE)
        private_server.kill()
        cut(private_server, newest_file(private_server).stat().st_size - before)
        private_server.start()
        engine.start(ONE)
        [message] = told(engine)
        assert " to 6 events of 1 partition, " in message


def test_a_replica_of_a_cluster_that_was_behind_has_lost_what_it_lacked(
    tmp_path: Path,
) -> None:
    with (
        cluster_of("valkey", tmp_path, 6) as members,
        opened(members.url(), partitions=1) as engine,
    ):
        primary = members.owner("{0}")
        replica = members.replicas[members.primaries.index(primary)]
        engine.start(ONE)
        wait_for(lambda: members.copied(primary))
        replica.client.config_set("masterauth", "wrong")
        replica.client.execute_command("CLIENT KILL TYPE master")
        engine.start(ONE)
        primary.kill()
        replica.client.execute_command("CLUSTER FAILOVER TAKEOVER")
        engine.start(ONE)
        [message] = told(engine)
        assert " to 2 events of 1 partition, " in message
