"""The log where runs have left it: readers see what is there, and checks know what is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from eventstore.event import Event, Recorded
from eventstore.redis.projection_log import LogReader
from eventstore.store import next_cursor
from openagents_json.engine import Engine
from openagents_json.engine.archive.archive import Departure
from tests.conftest import Server
from tests.integration.ledger.ledgers import Hand, Open, opening, ran, shout


@pytest.fixture
def opened(server: Server) -> Iterator[Open]:
    yield from opening(server)


DEEDS = some.lists(
    some.tuples(some.sampled_from(["run", "note", "leave"]), some.integers(0, 30)),
    max_size=25,
)


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(DEEDS, some.integers(1, 7))
def test_readers_see_each_event_that_is_left_once_and_in_order(
    server: Server, tmp_path: Path, deeds: list[tuple[str, int]], page: int
) -> None:
    with Engine.connect(
        server.url, prefix=server.prefix(), components=[shout], workers=1, partitions=2
    ) as engine:
        there: list[str] = []
        for kind, number in deeds:
            if kind == "run":
                there += ran(engine, str(number))
            elif kind == "note":
                engine.events.append(
                    f"{number % 2}-facts",
                    [Event("Noted", {"i": i}) for i in range(number)] or [Event("No")],
                )
            elif there:
                engine.archive.leave(
                    there.pop(number % len(there)), Departure(str(tmp_path))
                )
        whole = engine.events.read_all()
        expected = sorted((x.stream, x.version) for x in whole)
        assert len(set(expected)) == len(expected)
        for partition in range(2):
            mine = [x for x in whole if x.position.partition == partition]
            assert [x.position.n for x in mine] == sorted(x.position.n for x in mine)
            reader, at, seen = LogReader(engine.core.store), 0, list[Recorded]()
            while at < engine.events.head(partition):
                [(to, events)] = reader.read([(partition, at)], page)
                assert to > at
                at, seen = int(to), seen + events
            assert seen == mine
        cursor: dict[int, int] = {}
        tailed: list[Recorded] = []
        while next_events := engine.events.tail(after=cursor, block_ms=0, limit=page):
            cursor, tailed = next_cursor(cursor, next_events), tailed + next_events
        assert sorted((x.stream, x.version) for x in tailed) == expected
        assert engine.doctor() == []
        assert [
            drift
            for name in engine.views.views.names()
            for drift in engine.views.verify(name)
        ] == []


def test_a_reader_that_stands_where_a_run_was_goes_on_behind_it(
    server: Server, tmp_path: Path
) -> None:
    with Engine.connect(
        server.url, prefix=server.prefix(), components=[shout], workers=1, partitions=1
    ) as engine:
        first, second = ran(engine, "a", "b")
        cursor = next_cursor({}, engine.events.read_all(limit=4))
        engine.archive.leave(first, Departure(str(tmp_path)))
        seen = engine.events.read_all(after=cursor)
        assert [x.stream for x in seen] == [second] * 8 + ["0-archive"]


@pytest.mark.damages_store("log entries are taken away")
def test_events_that_are_missing_without_a_note_are_found(
    server: Server, tmp_path: Path
) -> None:
    with Engine.connect(
        server.url, prefix=server.prefix(), components=[shout], workers=1, partitions=1
    ) as engine:
        _, run, _ = ran(engine, "a", "b", "c")
        hand = Hand(server, engine)
        for identity, fields in hand.redis.execute_command(
            b"XRANGE", hand.keys.log(0), "-", "+"
        ):
            if fields[1] == run.encode():
                hand.redis.execute_command(b"XDEL", hand.keys.log(0), identity)
        hand.redis.execute_command(b"DEL", hand.keys.stream(run), hand.keys.head(run))
        assert [violation.number for violation in engine.doctor()] == [2]


def test_a_view_that_is_built_anew_has_what_the_store_still_holds(
    opened: Open, tmp_path: Path
) -> None:
    engine = opened()
    run, other = ran(engine, "a", "b")
    engine.archive.leave(run, Departure(str(tmp_path)))
    for name in ("runs", "archive", "steps"):
        engine.views.views.rebuild(name)
        assert engine.views.views.finish_rebuild(name)
    assert [row.id for row in engine.views.runs().items] == [other]
    assert [item.run.id for item in engine.views.archived().items] == [run]
    assert (
        engine.views.components()[0].completed == 2
    )  # what it holds, and not what it once held
    assert engine.views.views.left() != []
