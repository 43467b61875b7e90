"""A key is taken by a run, not by a start that was refused or died: then other workflows may use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from eventstore.errors import StoreRefused
from executor.runs.key_notes import BEGINS_MS, Note
from openagents_json.engine import ConcurrencyLimitReached, Engine, KeyConflict
from openagents_json.engine.archive.archive import Departure
from openagents_json.workflow.errors import InvalidInputs
from tests.conftest import Server
from tests.integration.faults.proxy import StirringProxy
from tests.integration.faults.test_cluster import Cluster
from tests.integration.faults.test_cluster import cluster as cluster

ONE: dict[str, Any] = {"id": "one", "steps": [{"id": "go", "wait_for": "go"}]}
OTHER: dict[str, Any] = {**ONE, "id": "other"}
LIMITED: dict[str, Any] = {
    **ONE,
    "concurrency": {"key": "all", "limit": 1, "on_limit": "reject"},
}


@pytest.fixture
def proxy(private_server: Server, tmp_path: Path) -> Iterator[StirringProxy]:
    proxy = StirringProxy(private_server.directory / "s.sock", tmp_path / "p.sock")
    yield proxy
    proxy.close()


@pytest.fixture
def engine(proxy: StirringProxy) -> Iterator[Engine]:
    with Engine.connect(proxy.url, workers=0, partitions=2) as opened:
        yield opened


def conflicts(start: Callable[[], Any], run: str) -> None:
    with pytest.raises(KeyConflict, match="another workflow") as told:
        start()
    assert told.value.run == run


def died(engine: Engine, key: str) -> str:
    """Leave what a starter leaves that dies between its two writes."""
    start = engine._start_of(ONE, {}, key, None)
    assert engine.core.handler.beginnings.notes.take([Note(key, start.run, "one")]) == [
        None
    ]
    return start.run


def later(engine: Engine, ms: int) -> None:
    """Let the notes of keys be older."""
    command = engine.core.connection.command
    for name in engine.core.connection.scan(b"*:asked:*"):
        command(b"PEXPIRE", name, int(command(b"PTTL", name)) - ms)


def test_a_start_that_a_full_server_refuses_does_not_keep_its_key(
    engine: Engine, proxy: StirringProxy, private_server: Server
) -> None:
    admin = private_server.connect().client
    engine.start(ONE)
    proxy.word, proxy.deed = (
        b":run:",
        partial(admin.config_set, "maxmemory", 1),
    )  # between the note and the run
    with pytest.raises(StoreRefused):
        engine.start(ONE, idempotency_key="k")
    assert len(engine.core.connection.scan(b"*:asked:*")) == 1
    admin.config_set("maxmemory", 0)
    run = engine.start(OTHER, idempotency_key="k")
    conflicts(partial(engine.start, ONE, idempotency_key="k"), run)
    assert engine.doctor() == []


def test_of_many_starts_that_a_full_server_refuses_none_keeps_its_key(
    engine: Engine, proxy: StirringProxy, private_server: Server
) -> None:
    admin = private_server.connect().client
    engine.start(ONE)
    proxy.word, proxy.deed = b":run:", partial(admin.config_set, "maxmemory", 1)
    with pytest.raises(StoreRefused):
        engine.start_many([(ONE, {})] * 3, keys=["a", "b", None])
    admin.config_set("maxmemory", 0)
    assert all(run.ok for run in engine.start_many([(OTHER, {})] * 2, keys=["a", "b"]))


def test_another_start_that_relied_on_the_note_of_a_refused_one_keeps_the_key(
    engine: Engine, proxy: StirringProxy, private_server: Server
) -> None:
    admin, begun = private_server.connect().client, list[str]()
    engine.start(ONE)

    def meanwhile() -> None:
        with Engine.connect(private_server.url, workers=0) as same:
            begun.append(same.start(ONE, {"n": 1}, idempotency_key="k"))
        admin.config_set("maxmemory", 1)

    proxy.word, proxy.deed = b":run:", meanwhile
    with pytest.raises((StoreRefused, KeyConflict)):
        engine.start(ONE, {"n": 2}, idempotency_key="k")
    admin.config_set("maxmemory", 0)
    conflicts(partial(engine.start, OTHER, idempotency_key="k"), begun[0])


def test_a_run_that_is_rejected_for_its_limit_does_not_keep_its_key(
    engine: Engine,
) -> None:
    engine.start(LIMITED)
    with pytest.raises(ConcurrencyLimitReached):
        engine.start(LIMITED, idempotency_key="k")
    with pytest.raises(ConcurrencyLimitReached):  # the same request has the same answer
        engine.start(LIMITED, idempotency_key="k")
    run = engine.start(OTHER, idempotency_key="k")
    conflicts(partial(engine.start, LIMITED, idempotency_key="k"), run)
    assert engine.start(OTHER, idempotency_key="k") == run


def test_what_is_refused_before_anything_is_written_leaves_nothing(
    engine: Engine,
) -> None:
    typed = {**ONE, "inputs": {"n": {"type": "number", "required": True}}}
    with pytest.raises(InvalidInputs):
        engine.start(typed, {"n": "x"}, idempotency_key="k")
    assert engine.core.connection.scan(b"*:asked:*") == []
    assert engine.start(OTHER, idempotency_key="k")


def test_a_starter_that_died_keeps_its_key_only_as_long_as_its_run_might_begin(
    engine: Engine,
) -> None:
    run = died(engine, "k")
    conflicts(partial(engine.start, OTHER, idempotency_key="k"), run)
    later(engine, BEGINS_MS)
    other = engine.start(OTHER, idempotency_key="k")
    conflicts(partial(engine.start, ONE, idempotency_key="k"), other)


def test_a_starter_that_died_is_followed_by_the_same_workflow_at_any_time(
    engine: Engine,
) -> None:
    for key, age in (("a", 0), ("b", 2 * BEGINS_MS)):
        run = died(engine, key)
        later(engine, age)
        assert engine.start(ONE, idempotency_key=key) == run


def test_a_run_that_is_there_keeps_its_key_however_it_is_kept(
    engine: Engine, tmp_path: Path
) -> None:
    run = engine.start(ONE, idempotency_key="k")
    for deed in (
        lambda: later(engine, BEGINS_MS),
        lambda: engine.cancel(run, force=True),
        lambda: engine.archive.leave(run, Departure(str(tmp_path))),
        lambda: engine.archive.restore(run),
    ):
        deed()
        conflicts(partial(engine.start, OTHER, idempotency_key="k"), run)


def test_a_note_that_an_earlier_release_has_left_counts(engine: Engine) -> None:
    run = engine.start(ONE, idempotency_key="k")
    [name] = engine.core.connection.scan(b"*:asked:*")
    engine.core.connection.command(b"DEL", name)
    engine.core.connection.command(
        b"SET", name, f"{run} one", b"NX", b"GET", b"EX", 30 * 86_400
    )
    conflicts(partial(engine.start, OTHER, idempotency_key="k"), run)
    assert engine.start(ONE, idempotency_key="k") == run


def test_a_key_costs_a_start_one_request(engine: Engine, proxy: StirringProxy) -> None:
    asked = []
    for key in (None, "warm", None, "k"):
        before = proxy.requests
        engine.start(ONE, idempotency_key=key)
        asked.append(proxy.requests - before)
    assert asked[3] == asked[2] + 1


def test_in_a_cluster_a_refused_start_does_not_keep_its_key(cluster: Cluster) -> None:
    with Engine.connect(cluster.url, workers=0, partitions=16) as engine:
        full = cluster.nodes[0]
        engine.start_many([(ONE, {})] * 40)  # all nodes know the scripts
        full.client.config_set("maxmemory", 1)
        keys = [f"k{n}" for n in range(60)]
        begun = engine.start_many([(ONE, {})] * len(keys), keys=keys)
        full.client.config_set("maxmemory", 0)
        refused = [key for key, run in zip(keys, begun, strict=True) if not run.ok]
        assert 0 < len(refused) < len(keys)
        assert all(isinstance(run.error, StoreRefused) for run in begun if not run.ok)
        others = engine.start_many([(OTHER, {})] * len(keys), keys=keys)
        assert [key for key, run in zip(keys, others, strict=True) if run.ok] == refused
