"""Runs that half a commit was left of, and how `doctor --repair` mends them from the log."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner

from cli.root import cli
from eventstore.errors import EventStoreError
from eventstore.redis.driver.scripts import refused_when_full
from eventstore.redis.upkeep import adoption
from executor.errors import InPart
from openagents_json import tool
from openagents_json.engine import Engine
from openagents_json.engine.archive.capsules import adopt, take
from tests.conftest import Server, wait_for

DOCUMENT: dict[str, Any] = {
    "id": "w",
    "execution": "graph",
    "steps": [
        {
            "id": "a",
            "component": "one",
            "retry": {"max_retries": 3, "delay_seconds": 0.01},
        },
        {"id": "b", "component": "one", "depends_on": ["a"]},
    ],
    "output": "{{b.output}}",
}
STARTED = b'{"attempt":1,"fence":"5","step":"a","worker":"w"}'


@tool("one")
def one() -> int:
    return 1


def opened(server: Server, prefix: str, workers: int = 0) -> Engine:
    return Engine.connect(
        server.url, prefix=prefix, components=[one], workers=workers, partitions=1
    )


def event(kind: str, data: bytes, commit: str) -> list[Any]:
    return ["t", kind, "d", data, "m", 1, "n", 1, "c", commit, "a", "w", "y", ""]


def half_a_claim(engine: Engine, run: str) -> None:
    """Leave the event of a claim, and nothing else of it."""
    keys = engine.core.store.keys
    version = engine.core.store.heads([run])[0].version + 1  # type: ignore[union-attr]
    engine.core.connection.command(
        b"XADD", keys.stream(run), f"{version}-0", *event("StepStarted", STARTED, "k5")
    )
    engine.core.connection.command(b"ZREM", keys.ready(0, "tool"), f"{run}|a")


def old_head(engine: Engine, run: str) -> None:
    """Leave all of a commit but its head."""
    keys = engine.core.store.keys
    engine.core.connection.command(b"HSET", keys.head(run), b"v", 1, b"lc", b"before")
    engine.core.connection.command(b"HDEL", keys.head(run), b"s:a", b"f")


def no_head(engine: Engine, run: str) -> None:
    engine.core.connection.command(b"DEL", engine.core.store.keys.head(run))


def no_place(engine: Engine, run: str) -> None:
    """Leave a step neither to be claimed nor waiting for anything."""
    engine.core.connection.command(
        b"ZREM", engine.core.store.keys.ready(0, "tool"), f"{run}|a"
    )


@pytest.mark.parametrize("damage", [half_a_claim, old_head, no_head, no_place])
def test_a_run_that_does_not_fit_its_log_is_mended_and_goes_on(
    server: Server, damage: Any
) -> None:
    prefix = server.prefix()
    with opened(server, prefix) as engine:
        run, other = engine.start(DOCUMENT), engine.start(DOCUMENT)
        damage(engine, run)
        assert {violation.run for violation in engine.doctor()} == {run}
        mended = engine.repair()
        assert [(item.run, item.done) for item in mended] == [(run, True)]
        assert engine.doctor() == []
    with opened(server, prefix, workers=1) as engine:
        assert [engine.wait(x, timeout=120).output for x in (run, other)] == [1, 1]
        assert engine.doctor() == []


@pytest.mark.parametrize("damage", [old_head, no_head])
def test_a_run_that_has_ended_is_mended_too(server: Server, damage: Any) -> None:
    with opened(server, server.prefix(), workers=1) as engine:
        run = engine.run(DOCUMENT, timeout=120).id
        before = engine.core.store.heads([run])
        damage(engine, run)
        assert [item.done for item in engine.repair()] == [True]
        assert engine.core.store.heads([run]) == before
        assert engine.doctor() == []


def test_a_start_that_was_cut_off_is_removed_and_its_key_begins_anew(
    server: Server,
) -> None:
    prefix = server.prefix()
    with opened(server, prefix, workers=1) as engine:
        run = engine.start(DOCUMENT, idempotency_key="k")
        engine.wait(run, timeout=120)
        first = engine.core.connection.command(
            b"XRANGE", engine.core.store.keys.stream(run), b"1-0", b"1-0"
        )[0][1]
        keys = engine.core.store.keys
        cut = f"0-{'x' * 26}"
        engine.core.connection.command(b"XADD", keys.stream(cut), b"1-0", *first)
        where = ("--url", server.url, "--prefix", prefix)
        told = CliRunner().invoke(cli, ["doctor", *where])
        assert cut in told.output
        mended = CliRunner().invoke(cli, ["doctor", "--repair", *where])
        assert "had not begun" in mended.output
        assert "all is well" in mended.output
        assert engine.core.connection.command(b"EXISTS", keys.stream(cut)) == 0
        assert engine.wait(run).ok


CUTS = {
    "after some events": (
        "v, n, before = v + 1, n + 1, f",
        "v, n, before = v + 1, n + 1, f\n      if v == 6 then error('cut') end",
    ),
    "before the counter": ("redis.call('DEL', stage)", "error('cut')"),
    "before its head": (
        "    redis.call('HSET', HEAD, 'v', int(c.v), 'lc', o.lc)\n",
        "error('cut')\n",
    ),
    "before its end": (
        "  if o.mode == 'adopt' then\n    redis.call('HDEL'",
        "error('cut')\n  if o.mode == 'adopt' then\n    redis.call('HDEL'",
    ),
}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("noted", [True, False])
@pytest.mark.parametrize("ended", [True, False])
def test_a_run_that_came_in_only_in_part_is_removed_and_can_come_in_again(
    server: Server, monkeypatch: pytest.MonkeyPatch, cut: str, noted: bool, ended: bool
) -> None:
    """An error in the middle of a script leaves what it had written, as a server does that is cut off there."""
    with opened(server, server.prefix(), workers=1) as source:
        run = source.run(DOCUMENT, timeout=120).id
        capsule = take(source.core, run, actor="tester")
    if not ended:
        capsule = replace(capsule, events=capsule.events[:-2])
    with opened(server, server.prefix()) as engine:
        other = engine.start(DOCUMENT)
        connection, keys = engine.core.connection, engine.core.store.keys
        before = connection.command(b"XRANGE", keys.log(0), b"-", b"+")
        with monkeypatch.context() as patch:
            patch.setattr(
                adoption,
                "refused_when_full",
                lambda text: refused_when_full(cut_off(text, cut)),
            )
            with pytest.raises(EventStoreError, match="cut"):
                adopt(engine.core, capsule, actor="tester")
        if not noted:  # by an older release
            connection.command(b"HDEL", keys.head(run), b"adopting")
        if noted or cut in ("after some events", "before the counter"):
            assert {
                violation.run for violation in engine.doctor() if violation.run
            } == {run}
            with pytest.raises((InPart, EventStoreError)):
                adopt(engine.core, capsule, actor="tester")
            assert [(item.run, item.done) for item in engine.repair()] == [(run, True)]
            assert connection.command(b"XRANGE", keys.log(0), b"-", b"+") == before
            assert adopt(engine.core, capsule, actor="tester").changed
            assert engine.state(run).status == ("completed" if ended else "running")
        engine.repair()
        assert engine.doctor(deep=True) == []
        assert {row.id for row in engine.runs()} == {run, other}


def cut_off(text: str, cut: str) -> str:
    old, new = CUTS[cut]
    assert text.count(old) == 1
    return text.replace(old, new)


@pytest.mark.damages_store("the log of a partition is deleted, which nothing can mend")
def test_what_the_log_itself_contradicts_is_left_as_it_is(server: Server) -> None:
    with opened(server, server.prefix(), workers=1) as engine:
        run = engine.run(DOCUMENT, timeout=120).id
        keys = engine.core.store.keys
        engine.core.connection.command(b"DEL", keys.log(0))
        events = engine.core.connection.command(b"XLEN", keys.stream(run))
        assert [(item.run, item.done) for item in engine.repair()] == [(run, False)]
        assert engine.core.connection.command(b"XLEN", keys.stream(run)) == events


def test_half_a_transaction_that_a_server_has_read_back_is_mended(
    private_server: Server,
) -> None:
    """Redis 7.0 leaves a transaction open where it cuts a torn one off, and does half of it at its next start."""
    with opened(private_server, "oa") as engine:
        client = private_server.connect().client
        wait_for(lambda: not client.info("persistence")["aof_rewrite_in_progress"])
        engine.start(DOCUMENT, idempotency_key="first")
        engine.start(DOCUMENT, idempotency_key="second")
    private_server.kill()
    log = max(
        (private_server.directory / "appendonlydir").glob("*.incr.aof"),
        key=lambda path: path.stat().st_mtime,
    )
    with log.open("r+b") as file:
        whole = file.read()
        second = whole.rindex(b"StepScheduled")
        file.truncate(
            second + 200
        )  # after the events of the second run, before its log entry
    for _ in range(2):
        private_server.start()
        client = private_server.connect().client
        client.pipeline(transaction=True).set("a", 1).set("b", 2).execute()
        private_server.kill()
    private_server.start()
    with opened(
        private_server, "oa"
    ) as engine:  # nobody works, so that both looks see the same
        broken = {violation.run for violation in engine.doctor() if violation.run}
        assert [item.done for item in engine.repair()] == [True] * len(broken)
        assert engine.doctor() == []
    with opened(private_server, "oa", workers=1) as engine:
        for key in ("first", "second"):
            assert engine.run(DOCUMENT, idempotency_key=key, timeout=120).ok
        assert private_server.kind == "valkey" or broken


def without_due(engine: Engine, member: str) -> None:
    """Take a due member away that is there."""
    due = engine.core.store.keys.due(0)
    assert engine.core.connection.command(b"ZREM", due, member) == 1


LEAF: dict[str, Any] = {"id": "leaf", "steps": [{"id": "in", "wait_for": "go"}]}


@pytest.mark.parametrize("is_cut", [False, True])
def test_a_mended_run_still_cancels_the_child_that_it_does_not_need(
    server: Server, is_cut: bool
) -> None:
    """Whether the commit got as far as its message or not: no event says that the child has heard of it."""
    prefix = server.prefix()
    with opened(server, prefix, workers=1) as engine:
        engine.publish(LEAF)
        run = engine.start({"id": "top", "steps": [{"id": "call", "workflow": "leaf"}]})
        wait_for(lambda: len(engine.runs(workflow="leaf")) == 1)
    with opened(server, prefix) as engine:
        child = engine.runs(workflow="leaf")[0].id
        engine.cancel(run)
        assert engine.state(run).status == "cancelled"
        old_head(engine, run)
        if is_cut:
            without_due(engine, f"x|{run}|{child}")
        assert [item.done for item in engine.repair()] == [True]
    with opened(server, prefix, workers=1) as engine:
        assert engine.wait(child, timeout=120).status == "cancelled"


@pytest.mark.parametrize("is_cut", [False, True])
def test_a_mended_run_still_starts_its_detached_child(
    server: Server, is_cut: bool
) -> None:
    prefix = server.prefix()
    call = {"id": "call", "workflow": "leaf", "detached": True}
    with opened(server, prefix) as engine:
        engine.publish(LEAF)
        run = engine.start({"id": "top", "steps": [call]})
        old_head(engine, run)
        if is_cut:
            without_due(engine, f"c|{run}|call")
        assert [item.done for item in engine.repair()] == [True]
        assert engine.runs(workflow="leaf") == []
    with opened(server, prefix, workers=1) as engine:
        wait_for(lambda: len(engine.runs(workflow="leaf")) == 1)
