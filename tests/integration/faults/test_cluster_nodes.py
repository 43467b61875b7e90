"""A cluster of several nodes: each call goes where its keys are, all are looked at, and any one may die."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eventstore.errors import StoreRefused, StoreUnavailable
from eventstore.keys import Keyspace
from eventstore.redis.driver.connection import connect
from eventstore.redis.driver.fitness.preflight import check_server, require
from eventstore.redis.driver.fitness.rewriting import LogState
from eventstore.redis.driver.fitness.server_facts import describe
from eventstore.redis.driver.retries import retrying
from eventstore.redis.driver.scripts import PlainCall
from openagents_json import tool
from openagents_json.engine import Engine
from openagents_json.engine.archive.archive import Departure
from openagents_json.engine.archive.capsules import adopt, pack, unpack
from openagents_json.engine.diagnosis.doctor import diagnose
from openagents_json.engine.errors import NotArchived
from openagents_json.engine.settings import Settings
from openagents_json.engine.wiring.client import run_identity
from tests.conftest import KINDS, wait_for
from tests.integration.faults.beside import (
    DOCUMENT,
    beside,
    beside_store,
    calls_of,
    files_of,
    noted_on,
    plain,
)
from tests.integration.faults.clusters import Member, Members, cluster_of
from tests.integration.ledger.ledgers import key_file, signer


@pytest.fixture(params=KINDS)
def members(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Members]:
    with cluster_of(request.param, tmp_path) as cluster:
        yield cluster


def test_every_call_goes_to_the_node_of_its_keys_and_no_node_is_asked_where_that_is(
    members: Members,
) -> None:
    with Engine.connect(
        members.url(), components=[plain], workers=2, partitions=8
    ) as engine:
        runs = engine.start_many([(DOCUMENT, {})] * 30)
        assert [engine.wait(run, timeout=60).status for run in runs] == [
            "completed"
        ] * 30
        assert engine.doctor() == []
    for member in members.members:
        calls = calls_of(member)
        assert {name for name in calls if name.startswith("command")} == set()
        assert calls["evalsha"] > 0
        refused = member.say("errorstats")
        assert [name for name in refused if "MOVED" in name or "ASK" in name] == []


def test_every_node_is_looked_at_before_anything_is_trusted_to_the_cluster(
    members: Members,
) -> None:
    def look() -> Keyspace:
        connection = connect(members.url())
        try:
            return require(connection, "looked", 4, "everysec", now_ms=lambda: 0)
        finally:
            connection.close()

    for member in members.primaries:
        for setting, wrong, right, says in (
            ("maxmemory-policy", "allkeys-lru", "noeviction", "evict"),
            ("appendonly", "no", "yes", "no AOF"),
            ("appendfsync", "no", "everysec", "appendfsync is no"),
        ):
            member.client.config_set(setting, wrong)
            with pytest.raises(StoreRefused, match=f"node {member.name}: .*{says}"):
                look()
            member.client.config_set(setting, right)
    assert look().partitions == 4
    connection = connect(members.url())
    try:
        own = sum(
            int(member.say("memory")["used_memory"]) for member in members.members
        )
        facts = describe(connection, now_ms=lambda: 0)
        assert (facts.appendonly, facts.appendfsync) == (True, "everysec")
        assert facts.memory_bytes > own / 2
    finally:
        connection.close()


def owner_of(members: Members, run: str) -> Member:
    return members.owner(f"{{{run.partition('-')[0]}}}")


def test_what_looks_at_whole_runs_and_at_the_whole_store_works_over_all_nodes(
    members: Members, tmp_path: Path
) -> None:
    key, folder = signer(key_file(tmp_path)), str(tmp_path / "archive")
    options: dict[str, Any] = {"components": [plain], "workers": 2, "partitions": 8}
    with Engine.connect(
        members.url(), encryption_keys=[base64.b64encode(bytes(32)).decode()], **options
    ) as engine:
        secret = engine.start_many([(DOCUMENT, {})] * 8)
        assert [engine.wait(run, timeout=60).status for run in secret] == [
            "completed"
        ] * 8
        assert all(engine.shred(run) for run in secret)
    with Engine.connect(members.url(), **options) as engine:
        runs = engine.start_many([(DOCUMENT, {})] * 24)
        assert [engine.wait(run, timeout=60).status for run in runs] == [
            "completed"
        ] * 24
        assert {members.owner(f"{{{run.partition('-')[0]}}}").name for run in runs} == {
            m.name for m in members.primaries
        }
        engine.audit.seal(key)
        capsules = [unpack(pack(engine.core, run, actor="test")) for run in runs]
        gone = [
            engine.archive.leave(run, Departure(folder if n % 2 else ""))
            for n, run in enumerate(runs)
        ]
        assert all(left.before > left.left for left in gone)
        assert len(engine.views.runs().items) == 8
        assert [engine.archive.restore(run) for run in runs[1::2]] == ["completed"] * 12
        engine.audit.seal(key)
        with pytest.raises(NotArchived):
            engine.archive.restore(runs[0])
        assert {
            adopt(engine.core, capsule, actor="test").status
            for capsule in capsules[::2]
        } == {"completed"}
        assert engine.redact(runs[1], wait_seconds=60).rewritten
        engine.views.views.rebuild("runs")
        assert engine.views.views.finish_rebuild("runs")
        assert len(engine.views.runs().items) == 32
        engine.audit.seal(key)
        assert engine.audit.verify().intact
        assert engine.doctor() == []
        assert [
            drift
            for name in engine.views.views.names()
            for drift in engine.views.verify(name)
        ] == []
        report = diagnose(engine, Settings(url=members.url()))
        assert report.healthy, list(report.lines())


@pytest.fixture(params=KINDS)
def doubled(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Members]:
    with cluster_of(request.param, tmp_path, 6) as cluster:
        yield cluster


def test_a_program_that_starts_runs_and_one_that_works_outlive_each_primary(
    doubled: Members,
) -> None:
    url = doubled.url(*doubled.members)
    with (
        Engine.connect(
            doubled.url(), partitions=8
        ) as starter,  # it knows the first node, and hears of the others
        Engine.connect(
            url, components=[plain], workers=2, partitions=8, lease_ms=2000
        ) as worker,
    ):
        runs: list[str] = [*starter.start_many([(DOCUMENT, {})] * 8)]
        for primary in doubled.primaries:
            assert [worker.wait(run, timeout=60).status for run in runs] == [
                "completed"
            ] * len(runs)
            wait_for(lambda p=primary: doubled.copied(p))  # type: ignore[misc]
            primary.kill()
            runs += [starter.start(DOCUMENT) for _ in range(8)]
            with Engine.connect(url, partitions=8) as late:
                runs += late.start_many([(DOCUMENT, {})] * 8)
                assert [late.wait(run, timeout=60).status for run in runs[-8:]] == [
                    "completed"
                ] * 8
        assert [worker.wait(run, timeout=60).status for run in runs] == [
            "completed"
        ] * 56
        assert worker.doctor() == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_shredded_is_in_no_file_of_a_replica_either(
    kind: str, tmp_path: Path
) -> None:
    key = base64.b64encode(bytes(32)).decode()
    with (
        cluster_of(kind, tmp_path, 4) as members,
        Engine.connect(
            members.url(),
            components=[plain],
            workers=2,
            partitions=4,
            encryption_keys=[key],
        ) as engine,
    ):
        [replica] = members.replicas
        runs = [engine.start(DOCUMENT)]
        while (
            owner_of(members, runs[-1]) is not members.primaries[0]
        ):  # where a run lies is left to chance
            runs.append(engine.start(DOCUMENT))
        assert {engine.wait(run, timeout=60).status for run in runs} == {"completed"}
        copied = runs[-1]
        [record] = engine.core.store.call(
            [PlainCall((b"GET", engine.core.store.keys.key(copied)))]
        )
        wait_for(lambda: bytes(record) in files_of(replica))
        assert engine.shred(copied, wait_seconds=60).log is LogState.DONE
        assert not any(bytes(record) in files_of(member) for member in members.members)


def test_without_a_replica_the_runs_of_other_nodes_go_on_and_its_own_when_it_is_back(
    members: Members,
) -> None:
    victim = members.primaries[2]
    assert members.owner("q:tool") is not victim
    prefix = beside(members, victim)
    with Engine.connect(
        members.url(),
        prefix=prefix,
        components=[plain],
        workers=2,
        partitions=8,
        lease_ms=1000,
    ) as engine:
        keys: dict[bool, list[str]] = {True: [], False: []}
        waiting: list[str] = []  # for the node of their notes, though not of their runs
        for key in map(str, range(60)):
            run, _ = run_identity("routed", key, engine.core)
            is_there = owner_of(members, run) is victim
            is_noted_there = noted_on(members, key, engine) is victim
            (keys[is_there] if is_there or not is_noted_there else waiting).append(key)
        assert engine.run(DOCUMENT, idempotency_key=keys[True].pop(), timeout=60).ok
        victim.kill()
        keys[False].append(waiting[0])
        runs = [engine.start(DOCUMENT, idempotency_key=key) for key in keys[False]]
        assert [engine.wait(run, timeout=60).status for run in runs] == [
            "completed"
        ] * len(runs)
        connection = connect(members.url())
        try:
            partition = next(p for p in range(8) if members.owner(f"{{{p}}}") is victim)
            with pytest.raises(StoreUnavailable, match=str(victim.port)):
                connection.command(b"HGET", Keyspace(prefix, 8).meta(partition), b"n")
            findings = check_server(
                connection, "everysec", now_ms=engine.core.clock.now_ms
            )
            assert ("away", True) in [
                (item.code, victim.name in item.what) for item in findings
            ]
        finally:
            connection.close()
        victim.start()
        runs += [engine.start(DOCUMENT, idempotency_key=key) for key in keys[True]]
        assert [engine.wait(run, timeout=60).status for run in runs] == [
            "completed"
        ] * len(runs)
        assert engine.doctor() == []


def test_outcomes_that_wait_for_their_node_keep_no_worker_from_the_others(
    members: Members,
) -> None:
    victim, goes_on, begun = (
        members.primaries[2],
        threading.Event(),
        threading.Semaphore(0),
    )

    @tool("held")
    def held() -> int:
        begun.release()
        goes_on.wait(60)
        return 1

    document = {"id": "held", "steps": [{"id": "only", "component": "held"}]}
    prefix = beside(members, victim)
    options: dict[str, Any] = {
        "components": [plain, held],
        "workers": 2,
        "partitions": 8,
    }
    with Engine.connect(
        members.url(), prefix=prefix, lease_ms=300_000, **options
    ) as engine:

        def keys(workflow: str, there: bool) -> list[str]:
            runs = {
                key: run_identity(workflow, key, engine.core)[0]
                for key in (f"{workflow}-{n}" for n in range(40))
            }
            return [
                key
                for key, run in runs.items()
                if (owner_of(members, run) is victim) is there
            ]

        assert engine.run(DOCUMENT, timeout=60).ok
        waiting = [
            engine.start(document, idempotency_key=key)
            for key in keys("held", True)[:2]
        ]
        for _ in waiting:
            assert begun.acquire(timeout=60)
        victim.kill()
        goes_on.set()
        runs = [
            engine.start(DOCUMENT, idempotency_key=key)
            for key in keys("routed", False)
            if noted_on(members, key, engine) is not victim
        ]
        assert runs
        assert [engine.wait(run, timeout=60).status for run in runs] == [
            "completed"
        ] * len(runs)
        victim.start()
        assert [engine.wait(run, timeout=60).status for run in waiting] == [
            "completed"
        ] * 2
        assert not begun.acquire(
            blocking=False
        )  # what they had done was not done again
        assert engine.doctor() == []


def test_a_node_that_hangs_keeps_nobody_from_the_others(members: Members) -> None:
    victim = members.primaries[1]
    connection = connect(members.url(victim, members.primaries[0]), timeout_ms=300)
    names = {
        member.name: key
        for key in map(str, range(100))
        for member in [members.owner(f"{{{key}}}")]
    }
    keyed = {name: f"{{{key}}}" for name, key in names.items()}
    mine = keyed.pop(victim.name)
    try:
        victim.freeze()
        with pytest.raises(StoreUnavailable, match=f"node {victim.name}: .*[Tt]imeout"):
            connection.command(b"SET", mine, b"1")
        for key in keyed.values():
            connection.command(b"SET", key, b"1")
        late = connect(members.url(victim, members.primaries[0]), timeout_ms=300)
        try:
            assert (
                require(
                    late, beside_store(members, victim), 4, "everysec", now_ms=lambda: 0
                ).partitions
                == 4
            )
        finally:
            late.close()
        victim.thaw()
        assert retrying(lambda: connection.command(b"SET", mine, b"1"))
    finally:
        connection.close()
