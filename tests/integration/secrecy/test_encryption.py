"""Encrypted runs on real servers: no payload is anywhere to be read, keys are missing, rotated and taken along."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from executor.encryption import key_id, parse_key
from executor.errors import InvalidKey, KeyMissing, RunSealed
from executor.runs.repository import LONG
from openagents_json.engine import Engine
from openagents_json.engine.archive.retention import Policy, Rule, apply
from tests.conftest import Server, wait_for
from tests.integration.secrecy.encrypted import (
    MANY,
    MARK,
    NEW,
    OLD,
    SIMPLE,
    UNDONE,
    Open,
    batched,
    has_key,
    loaded,
    opening,
    places_of,
    registry,
)


@pytest.fixture
def opened(server: Server) -> Iterator[Open]:
    yield from opening(server)


def test_no_payload_of_any_kind_of_run_is_anywhere_on_the_server(opened: Open) -> None:
    engine = opened(OLD)
    engine.publish(SIMPLE)
    xs, large = [MARK, {MARK: MARK}, 3], [MARK] * 5000
    many = engine.start(MANY, {"xs": xs})
    wait_for(lambda: any(step.id == "ok" for step in engine.state(many).steps))
    engine.signal(many, "go", {"is": MARK})
    assert engine.wait(many, timeout=120).output["both"] == [xs, xs]
    assert engine.state(many).children.keys() == {"kid"}
    assert engine.run(SIMPLE, {"x": large}, timeout=120).output == large
    assert engine.run(SIMPLE, {"x": {"t": large}}, timeout=120).output == {"t": large}
    for mode in ("checkpoint", "outcome"):
        assert engine.run(batched(mode), {"x": MARK}, timeout=20).output == MARK
        assert engine.run(batched(mode), {"x": large}, timeout=20).output == large
    broken = engine.run(UNDONE, {"x": MARK}, timeout=120)
    assert (broken.status, broken.error and broken.error["message"]) == (
        "failed",
        "it broke",
    )
    engine.replay.complete(broken.id, "b", {"by hand": MARK})
    assert engine.wait(broken.id, timeout=120).output == {"by hand": MARK}
    engine.retry(broken.id, step="a", inputs={"x": "mended"})
    assert engine.wait(broken.id, timeout=120).output == "mended"
    engine.replay.replay(many)
    assert engine.wait(many, timeout=120).ok
    assert places_of(engine) == set()
    other = opened(NEW, OLD, workers=0)  # nothing of it was remembered only
    assert other.state(many).inputs == {"xs": xs}
    assert [
        e.data["payload"] for e in other.history(many) if e.type == "SignalReceived"
    ] == [{"is": MARK}]
    assert other.explain(broken.id).run == broken.id


def test_the_scan_would_find_what_is_there(opened: Open) -> None:
    engine = opened()
    run = engine.run(SIMPLE, {"x": MARK}, timeout=120).id
    engine.run(SIMPLE, {"x": [MARK] * 5000}, timeout=120)
    paths = places_of(engine)
    assert engine.core.store.keys.stream(run).decode() in paths
    assert any(":blob:" in name for name in paths)
    assert not has_key(engine, run)


def test_a_snapshot_is_encrypted_and_used(opened: Open) -> None:
    engine = opened(OLD)
    step = {
        "id": "each",
        "component": "echo",
        "foreach": "{{input.xs}}",
        "inputs": {"x": "{{item}}"},
    }
    document = {
        "id": "long",
        "steps": [step, {"id": "ok", "wait_for": "go"}],
        "output": "{{input.xs}}",
    }
    items = [f"{MARK} {i}" for i in range(LONG // 3 + 20)]
    run = engine.start(document, {"xs": items})
    wait_for(lambda: any(step.id == "ok" for step in engine.state(run).steps))
    whole = loaded(opened(OLD, workers=0), run)
    name = engine.core.store.keys.snapshot(run)
    raw = engine.core.connection.command(b"GET", name)
    assert raw
    assert places_of(engine) == set()
    other = opened(OLD, workers=0)
    assert (loaded(other, run), other.core.connection.command(b"GET", name)) == (
        whole,
        raw,
    )
    engine.core.connection.command(
        b"SET", name, raw[:-1] + b"x"
    )  # a damaged one is not used
    assert loaded(opened(OLD, workers=0), run) == whole
    other.signal(run, "go")
    assert other.wait(run, timeout=120).output == items
    assert engine.shred(run)
    assert engine.core.connection.command(b"GET", name) is None
    gone = opened(OLD, workers=0)
    assert gone.state(run).output is None
    assert engine.state(run).output is None
    assert other.state(run).output is None
    assert places_of(engine) == set()


# -- keys --------------------------------------------------------------------------------------------------


def test_a_process_without_the_key_says_which_one_is_missing(opened: Open) -> None:
    run = opened(OLD).run(SIMPLE, {"x": MARK}, timeout=120).id
    key = key_id(parse_key(OLD, ""))
    named = f"encrypted with key {key}, which this process does not have; set OPENAGENTS_ENCRYPTION_KEYS"
    for blind in (opened(workers=0), opened(NEW, workers=0)):
        for look in (
            blind.state,
            blind.replay.state_at,
            blind.explain,
            blind.replay.replayed,
        ):
            with pytest.raises(RunSealed, match=f"run {run} is {named}"):
                look(run)
        with pytest.raises(RunSealed, match=named):
            blind.replay.fork(run, 1)
        history = blind.history(run)
        assert history[0].type == "RunStarted"
        assert MARK not in repr(history)
        assert [row.id for row in blind.views.runs().items] == [run]


@pytest.mark.parametrize("keys", [(), (NEW,)])
def test_a_worker_without_the_key_leaves_encrypted_runs_alone_and_others_go_on(
    opened: Open, keys: tuple[str, ...]
) -> None:
    client, blind = opened(OLD, workers=0), opened(*keys)
    sealed = [client.start(SIMPLE, {"x": MARK}) for _ in range(5)]
    plain = opened(workers=0).start_many([(SIMPLE, {"x": i}) for i in range(20)])
    assert [blind.wait(run, timeout=120).output for run in plain] == list(range(20))
    wait_for(
        lambda: (
            not blind.core.store.scan(
                f"{blind.core.store.keys.prefix}:{{*}}:ready:*".encode()
            )
        )
    )
    assert [len(client.history(run)) for run in sealed] == [
        2
    ] * 5  # started, scheduled, and no attempt
    assert client.doctor() == []
    seeing = opened(OLD)
    assert [client.wait(run, timeout=120).output for run in sealed] == [MARK] * 5
    assert [step.attempt for run in sealed for step in seeing.state(run).steps] == [
        1
    ] * 5


def test_those_who_have_the_key_look_after_what_time_brings(opened: Open) -> None:
    blind, seeing = opened(), opened(OLD)
    look = opened(OLD, workers=0)
    retried = {
        "id": "retried",
        "steps": [
            {"id": "s", "sleep": 0.7},
            {
                "id": "a",
                "component": "flaky",
                "inputs": {"x": MARK},
                "retry": {"delay_seconds": 0.7},
            },
        ],
        "output": "{{a.output}}",
    }
    runs = [look.start(retried) for _ in range(4)]
    assert [look.wait(run, timeout=120).output for run in runs] == [MARK] * 4
    assert blind.views.count() == seeing.views.count() == 4


def test_rotation_wraps_all_keys_anew_and_may_be_repeated(opened: Open) -> None:
    first = opened(OLD)
    runs = [first.run(SIMPLE, {"x": i}, timeout=120).id for i in range(5)]
    first.core.connection.command(
        b"SET", f"{first.core.store.keys.prefix}:{{0}}:gate:x}}:key:odd", b"1"
    )
    with pytest.raises(InvalidKey, match="set OPENAGENTS_ENCRYPTION_KEYS"):
        opened(workers=0).core.keyring.rotate()
    without = opened(NEW, workers=0).core.keyring.rotate()
    assert (
        without.rewrapped,
        set(without.unreadable),
        set(without.unreadable.values()),
    ) == (
        0,
        set(runs),
        {key_id(parse_key(OLD, ""))},
    )
    rotating = opened(NEW, OLD)
    one = rotating.run(SIMPLE, {"x": 5}, timeout=120).id
    done = rotating.core.keyring.rotate()
    assert (done.rewrapped, done.already, done.unreadable) == (5, 1, {})
    again = rotating.core.keyring.rotate()
    assert (again.rewrapped, again.already) == (0, 6)
    only = opened(NEW, workers=0)
    assert [only.state(run).inputs for run in [*runs, one]] == [
        {"x": i} for i in range(6)
    ]
    with pytest.raises(RunSealed):
        opened(OLD, workers=0).state(runs[0])
    first.core.connection.command(
        b"DEL", f"{first.core.store.keys.prefix}:{{0}}:gate:x}}:key:odd"
    )


def test_a_rotation_does_not_bring_back_what_is_shredded_meanwhile(
    opened: Open,
) -> None:
    engine = opened(OLD)
    run = engine.run(SIMPLE, {"x": MARK}, timeout=120).id
    rotating = opened(NEW, OLD, workers=0).core.keyring
    read = rotating._store.get

    def shredded_after_the_read(runs: Any) -> Any:
        read_runs = read(runs)
        engine.shred(run)
        return read_runs

    rotating._store.get = shredded_after_the_read  # type: ignore[method-assign]
    assert rotating.rotate().rewrapped == 0
    assert not has_key(engine, run)


def test_starts_with_the_same_key_at_the_same_time_begin_one_run_with_one_key(
    opened: Open,
) -> None:
    engines = [opened(OLD, workers=0) for _ in range(4)]
    for round_ in range(10):
        barrier, ids = threading.Barrier(4), list[str]()

        def begin(
            engine: Engine,
            key: str = f"k{round_}",
            barrier: threading.Barrier = barrier,
            ids: list[str] = ids,
        ) -> None:
            barrier.wait()
            ids.append(engine.start(SIMPLE, {"x": MARK}, idempotency_key=key))

        threads = [threading.Thread(target=begin, args=(engine,)) for engine in engines]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(ids) == 4
        assert len(set(ids)) == 1
        assert [engine.state(ids[0]).inputs for engine in engines] == [{"x": MARK}] * 4
    worker = opened(OLD)
    assert all(
        worker.wait(row.id, timeout=120).output == MARK
        for row in worker.views.runs().items
    )


def test_a_run_whose_beginning_was_lost_begins_again_with_another_key(
    opened: Open,
) -> None:
    engine, other = opened(OLD, workers=0), opened(OLD, workers=0)
    run = engine.start(SIMPLE, {"x": MARK}, idempotency_key="k")
    assert other.state(run).inputs == {"x": MARK}
    keys, connection = engine.core.store.keys, engine.core.connection
    p = keys.partition_of(run)
    before = engine.core.keyring.export_key(run)
    connection.command(
        b"DEL",
        keys.key(run),
        keys.stream(run),
        keys.head(run),
        keys.meta(p),
        keys.log(p),
        keys.due(p),
    )
    for name in connection.client.scan_iter(match=f"{keys.prefix}:{{{p}}}:*"):
        connection.command(b"DEL", name)
    assert opened(OLD, workers=0).start(SIMPLE, {"x": MARK}, idempotency_key="k") == run
    assert engine.core.keyring.export_key(run) != before
    assert other.state(run).inputs == {"x": MARK}
    assert opened(OLD).wait(run, timeout=120).output == MARK
    assert other.wait(run, timeout=120).output == MARK


def test_a_key_can_be_taken_along(opened: Open) -> None:
    engine = opened(OLD)
    run = engine.run(SIMPLE, {"x": MARK}, timeout=120).id
    key = engine.core.keyring.export_key(run)
    assert key is not None
    engine.core.connection.command(b"DEL", engine.core.store.keys.key(run))
    other = opened(NEW, workers=0)
    with pytest.raises(KeyMissing, match="its key is not in the store"):
        other.state(run)
    other.core.keyring.adopt_key(run, key)
    other.core.keyring.adopt_key(run, key)
    assert other.state(run).inputs == {"x": MARK}
    with pytest.raises(InvalidKey, match="is not the one that the store has"):
        other.core.keyring.adopt_key(run, bytes(32))
    with pytest.raises(InvalidKey, match="without a master key"):
        opened(workers=0).core.keyring.adopt_key(run, key)
    plain = opened().run(SIMPLE, {"x": 1}, timeout=120).id
    assert engine.core.keyring.export_key(plain) is None


def test_who_lacks_a_key_lets_the_other_runs_leave(opened: Open) -> None:
    engine, blind = opened(OLD), opened(workers=0)
    sealed = engine.run(SIMPLE, {"x": MARK}, timeout=120).id
    plain = blind.start(SIMPLE, {"x": 1})
    assert engine.wait(plain, timeout=120).status == "completed"
    rules = Policy(rules=(Rule(name="all", then="delete"),))
    [done] = apply(rules, blind.archive, blind.views, blind.core.clock.now_ms() + 1000)
    assert [gone.run for gone in done.gone] == [plain]
    assert "OPENAGENTS_ENCRYPTION_KEYS" in done.stayed[sealed]
    [done] = apply(
        rules, engine.archive, engine.views, engine.core.clock.now_ms() + 1000
    )
    assert [gone.run for gone in done.gone] == [sealed]
    assert (engine.core.keyring.known(sealed), has_key(engine, sealed)) == (None, False)


# -- costs -------------------------------------------------------------------------------------------------


def test_a_step_of_an_encrypted_run_is_one_round_trip_too(
    private_server: Server,
) -> None:
    admin, components = private_server.connect(), registry()
    document = {
        "id": "s",
        "steps": [
            {"id": f"s{i}", "component": "echo", "inputs": {"x": MARK}}
            for i in range(200)
        ],
    }
    options: dict[str, Any] = {
        "components": components,
        "partitions": 2,
        "encryption_keys": [OLD],
    }
    with Engine.connect(private_server.url, workers=1, **options) as engine:
        engine.plan(document)
        before = admin.client.info("stats")["total_reads_processed"]
        run = engine.start(document)
        wait_for(
            lambda: engine.core.sessions.get(run) is None
        )  # looks at memory only: closed runs are forgotten
        round_trips = admin.client.info("stats")["total_reads_processed"] - before
        assert engine.state(run).status == "completed"
    assert 200 <= round_trips < 1.8 * 200  # as in test_costs
