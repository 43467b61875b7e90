"""The check of the invariants finds what it is there to find: each kind of damage is done once, by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from eventstore.keys import Keyspace
from eventstore.redis.driver.connection import Connection
from openagents_json.catalog.loader import load
from openagents_json.engine import Engine
from tests.acceptance.processes import COMPONENTS
from tests.conftest import Server
from tests.stores import broken, stores

TWO = {
    "id": "w",
    "execution": "graph",
    "steps": [{"id": n, "component": "quick"} for n in ("a", "b")],
}


@pytest.fixture
def engine(server: Server) -> Iterator[Engine]:
    """A store in one partition with a run that waits for workers and one that has completed."""
    registry, prefix = load([str(COMPONENTS)]), server.prefix()
    with Engine.connect(
        server.url, components=registry, workers=1, prefix=prefix, partitions=1
    ) as busy:
        assert busy.run(TWO, timeout=120).ok
    with Engine.connect(server.url, components=registry, prefix=prefix) as idle:
        idle.start(TWO)
        assert idle.doctor() == []
        yield idle


Damage = Callable[[Connection, Keyspace, str, str], Any]


def xadd(
    connection: Connection, keys: Keyspace, run: str, version: int, kind: str, data: str
) -> None:
    fields = ["t", kind, "d", data, "m", "1", "n", "99", "c", "x", "a", "", "y", ""]
    connection.command(b"XADD", keys.stream(run), f"{version}-0", *fields)


DAMAGES: dict[str, tuple[int, Damage]] = {
    "an event is gone": (
        1,
        lambda c, k, done, _: c.command(b"XDEL", k.stream(done), b"2-0"),
    ),
    "the head is ahead": (
        1,
        lambda c, k, done, _: c.command(b"HSET", k.head(done), b"v", b"99"),
    ),
    "the head has another commit": (
        1,
        lambda c, k, done, _: c.command(b"HSET", k.head(done), b"lc", b"other"),
    ),
    "an event cannot be read": (
        1,
        lambda c, k, done, _: xadd(c, k, done, 99, "StepCompleted", "{"),
    ),
    "a log entry cannot be read": (
        2,
        lambda c, k, *_: c.command(b"XADD", k.log(0), b"9999-1", b"x", b"y"),
    ),
    "the counter is wrong": (
        2,
        lambda c, k, *_: c.command(b"HSET", k.meta(0), b"n", b"99"),
    ),
    "a log entry is gone": (
        2,
        lambda c, k, *_: c.command(b"XTRIM", k.log(0), b"MAXLEN", b"2"),
    ),
    "an outcome came twice": (
        3,
        lambda c, k, done, _: xadd(
            c, k, done, 99, "StepCompleted", '{"attempt":1,"output":1,"step":"a"}'
        ),
    ),
    "an outcome without a start": (
        3,
        lambda c, k, _, waits: xadd(
            c, k, waits, 99, "StepCompleted", '{"attempt":1,"output":1,"step":"a"}'
        ),
    ),
    "an event after the end": (
        4,
        lambda c, k, done, _: xadd(
            c, k, done, 99, "StepOutcomeIgnored", '{"step":"a"}'
        ),
    ),
    "a member of a closed run": (
        4,
        lambda c, k, done, _: c.command(b"ZADD", k.due(0), 1, f"l|{done}|a"),
    ),
    "a step in no place": (
        5,
        lambda c, k, _, waits: c.command(b"ZREM", k.ready(0, "tool"), f"{waits}|a"),
    ),
    "a step in two places": (
        5,
        lambda c, k, _, waits: c.command(b"ZADD", k.due(0), 9e12, f"r|{waits}|a"),
    ),
    "nothing wakes the run": (
        5,
        lambda c, k, *_: c.command(b"DEL", k.ready(0, "tool")),
    ),
    "a fence went back": (
        7,
        lambda c, k, done, _: xadd(
            c,
            k,
            done,
            99,
            "StepStarted",
            '{"attempt":9,"fence":"1","step":"a","worker":"w"}',
        ),
    ),
}


@pytest.mark.damages_store("each kind of damage is done by hand, and left")
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_and_named(engine: Engine, server: Server, damage: str) -> None:
    done, waits = sorted(engine.runs(), key=lambda info: info.status)
    assert (done.status, waits.status) == ("completed", "running")
    number, do = DAMAGES[damage]
    do(server.connect(), engine.core.store.keys, done.id, waits.id)
    for deep in (False, True):
        violations = engine.doctor(deep=deep)
        assert number in {violation.number for violation in violations}
        assert all(violation.what for violation in violations)


@pytest.mark.damages_store("to see what is said of a test that leaves such a store")
def test_the_suite_notices_a_store_that_is_not_in_order(
    engine: Engine, server: Server
) -> None:
    keys = engine.core.store.keys
    assert keys.prefix in stores(server.look)
    assert broken(server.look, [keys.prefix]) == {}
    server.connect().command(b"DEL", keys.ready(0, "tool"))
    assert {
        item.number for item in broken(server.look, [keys.prefix])[keys.prefix]
    } == {5}
