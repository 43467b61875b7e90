"""Runs that are deleted: in one step, whatever is lost on the way; what is left says that they were there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from eventstore.redis.upkeep.removal import archive_stream
from executor.errors import RunNotFound
from openagents_json.engine import RunFilter
from openagents_json.engine.archive.archive import Archive, Departure
from openagents_json.engine.errors import CannotLeave
from tests.conftest import Server
from tests.integration.ledger.ledgers import Open, opening, ran
from tests.integration.moves.test_archive_faults import Resending


@pytest.fixture
def opened(server: Server) -> Iterator[Open]:
    yield from opening(server)


def keys_of(engine: Any, run: str) -> list[bytes]:
    """Return the keys of the store in whose name a run is."""
    names: list[bytes] = engine.core.connection.command(b"KEYS", f"*{run}*")
    return names


def test_nothing_of_a_deleted_run_is_left_but_that_it_was_there(opened: Open) -> None:
    engine = opened()
    gone, other = ran(engine, "a", "b", case="x")
    assert keys_of(engine, gone)
    engine.delete(gone, "of no use")
    assert keys_of(engine, gone) == []
    with pytest.raises(RunNotFound):
        engine.state(gone)
    assert [row.id for row in engine.views.runs().items] == [other]
    store = engine.core.store
    noted = [*store.read([(archive_stream(store.partition_of(gone)), 0)])[0]][-1]
    assert (noted.type, noted.actor, noted.data["run"], noted.data["reason"]) == (
        "RunDeleted",
        engine.actor,
        gone,
        "of no use",
    )
    assert "row" not in noted.data
    assert engine.views.verify("runs") == []


def test_a_lost_reply_deletes_once_and_a_second_call_says_that_it_is_gone(
    opened: Open,
) -> None:
    engine = opened()
    [run] = ran(engine, "a")
    store: Any = Resending(engine.core.store)
    core = replace(engine.core, store=store)
    Archive(core, "me").leave(run, Departure(""))
    with pytest.raises(RunNotFound):
        engine.delete(run)
    store = engine.core.store
    notes = [*store.read([(archive_stream(store.partition_of(run)), 0)])[0]]
    assert [note.data["run"] for note in notes] == [run]


def test_what_has_to_stay_is_told_and_the_others_go(opened: Open) -> None:
    engine = opened()
    held, closed = ran(engine, "a", "b", case="y")
    engine.archive.hold(held)
    with pytest.raises(CannotLeave, match="it is held"):
        engine.delete(held)
    result = engine.bulk.delete(RunFilter(labels={"case": "y"}))
    assert (result.done, [*result.failed]) == ([closed], [held])
    engine.archive.release(held)
    assert engine.bulk.delete(RunFilter(labels={"case": "y"})).done == [held]
