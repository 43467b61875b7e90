"""Runs that leave and come back while replies are lost, others are late, and files are forged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eventstore.event import Event
from eventstore.redis.driver.scripts import Call
from eventstore.redis.runs import RedisRunStore
from eventstore.redis.streams import RedisStreamStore
from eventstore.redis.upkeep.removal import archive_stream
from executor.errors import RunNotFound
from openagents_json.engine.archive.archive import Archive, Departure
from openagents_json.engine.archive.capsules import HistoryUnfit, adopt, take
from openagents_json.workflow.errors import Rejected
from projections.runner import Target
from tests.conftest import Server
from tests.integration.ledger.ledgers import DOCUMENT, Open, opening, ran


@pytest.fixture
def opened(server: Server) -> Iterator[Open]:
    yield from opening(server)


class Resending:
    """A store whose connection loses each reply, so that whatever it is told is sent again."""

    def __init__(self, store: RedisRunStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def call(self, calls: Sequence[Call]) -> list[Any]:
        self._store.call(calls)
        return self._store.call(calls)


def test_a_lost_reply_does_not_cost_the_file(opened: Open, tmp_path: Path) -> None:
    engine = opened()
    [run] = ran(engine, "a")
    store: Any = Resending(engine.core.store)
    core = replace(engine.core, store=store)
    gone = Archive(core, "me").leave(run, Departure(str(tmp_path)))
    assert Path(gone.url).read_bytes()
    assert [item.run.id for item in engine.views.archived().items] == [run]
    assert engine.archive.restore(run) == "completed"


def test_who_restores_late_does_not_hide_what_was_archived_again(
    opened: Open, tmp_path: Path
) -> None:
    engine = opened()
    [run] = ran(engine, "a")
    first = engine.archive.leave(run, Departure(str(tmp_path)))
    engine.archive.restore(run)
    engine.archive.leave(run, Departure(str(tmp_path)))
    store, keys = engine.core.store, engine.core.store.keys
    log = RedisStreamStore(engine.core.connection, keys)
    late = Event(
        "RunRestored", {"run": run, "url": first.url}
    )  # of somebody who was stopped before saying so
    log.append(
        archive_stream(keys.partition_of(run)), [late], commit_id="late", actor="me"
    )
    assert [item.run.id for item in engine.views.archived().items] == [run]
    elsewhere = tmp_path / "copy.oac"
    [archived] = engine.views.archived().items
    elsewhere.write_bytes(Path(archived.url).read_bytes())
    assert engine.archive.restore(run, url=str(elsewhere)) == "completed"
    assert engine.views.archived().items == ()
    assert store.statuses([run]) == ["completed"]


def test_a_reader_of_a_view_that_was_replaced_keeps_no_run_here(
    opened: Open, tmp_path: Path
) -> None:
    engine = opened()
    before = ran(engine, *"ahijk")
    views = engine.views.views
    old = Target(views.projection("runs"), views.current("runs"))
    views.rebuild("runs")
    assert views.finish_rebuild("runs")
    runner = opened(workers=0).views.views._runner
    runner.catch_up(range(2), [old])  # it began before, and goes on
    assert views.current("runs") != old.view
    for run in [*before, *ran(engine, *"bcdefg")]:
        assert engine.archive.leave(run, Departure(str(tmp_path))).run == run


def test_no_capsule_passes_for_the_notes_of_the_archive(opened: Open) -> None:
    engine = opened()
    [run] = ran(engine, "a")
    capsule = take(engine.core, run, actor="me")
    name = archive_stream(0)
    first = capsule.events[0]
    forged = replace(first, data=first.data.replace(run.encode(), name.encode()))
    notes = [
        replace(x, type="RunDeleted", data=b'{"positions":[[1,1000000]],"run":"0-x"}')
        for x in capsule.events[1:2]
    ]
    manifest = {**capsule.manifest, "run": name}
    with pytest.raises(HistoryUnfit):
        adopt(
            engine.core,
            replace(
                capsule, manifest=manifest, events=(forged, *notes, *capsule.events[2:])
            ),
            actor="me",
        )


@pytest.mark.parametrize("deed", ["archive", "redact"])
def test_a_fork_does_not_begin_without_the_payloads_of_its_past(
    opened: Open, tmp_path: Path, deed: str
) -> None:
    """Between reading the source and beginning the fork, the source leaves, or what it worked with is erased."""
    engine, other = opened(), opened(workers=0)
    run = engine.run(DOCUMENT, {"text": "x" * 50_000}, timeout=120).id
    at = next(e.version for e in engine.history(run) if e.type == "StepCompleted")
    store, done = engine.core.store, list[str]()
    exchange = store.exchange

    def late(*commits: Any, **more: Any) -> Any:
        if not done:
            gone = (
                other.redact(run)
                if deed == "redact"
                else other.archive.leave(run, Departure(str(tmp_path)))
            )
            done.append(gone.run)
        return exchange(*commits, **more)

    store.exchange = late  # type: ignore[method-assign]
    with pytest.raises((RunNotFound, Rejected)):
        engine.replay.fork(run, at)
    store.exchange = exchange  # type: ignore[method-assign]
    assert done == [run]
    assert [row.id for row in engine.views.runs().items] == (
        [] if deed == "archive" else [run]
    )
