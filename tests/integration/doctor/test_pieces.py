"""Checks of a whole store ask for a piece of it at a time, however long its log is."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eventstore.event import Event
from eventstore.redis.driver.scripts import Call, PlainCall
from eventstore.redis.grouping import PAGE
from eventstore.redis.ledger import LedgerStore, Stored
from eventstore.redis.runs import RedisRunStore
from eventstore.redis.upkeep.inspection import Inspector
from executor.integrity.invariants import check
from openagents_json.engine import Engine
from openagents_json.engine.archive.archive import Departure
from openagents_json.engine.audit import AuditService
from openagents_json.engine.inspection.version_check import check_version
from tests.conftest import Server
from tests.integration.given_back import COST, given_back
from tests.integration.ledger.ledgers import DOCUMENT, key_file, ran, shout, signer

pytestmark = pytest.mark.one_worker


class Counting(RedisRunStore):
    """A store that notes the most stream entries that came back from one call."""

    most = 0
    entries = 0

    def call(self, calls: Sequence[Call], seconds: float = 10.0) -> list[Any]:
        replies = super().call(calls, seconds)
        pairs = zip(calls, replies, strict=True)
        count = sum(
            len(x)
            for call, x in pairs
            if isinstance(call, PlainCall) and call.args[0] == b"XRANGE"
        )
        self.most, self.entries = max(self.most, count), self.entries + count
        return replies


SHORT, LONG = 120, 2
"""How many streams there are with 20 events, and with 3,000."""


@pytest.fixture(scope="module")
def engine(server: Server) -> Iterator[Engine]:
    with Engine.connect(
        server.url, prefix=server.prefix(), components=[shout], workers=1, partitions=1
    ) as opened:
        for i in range(SHORT):
            opened.events.append(
                f"0-few{i}", [Event("Noted", {"i": n}) for n in range(20)]
            )
        for i in range(LONG):
            for _ in range(30):
                opened.events.append(
                    f"0-many{i}", [Event("Noted", {"i": n}) for n in range(100)]
                )
        yield opened


@pytest.fixture
def store(engine: Engine) -> Counting:
    return Counting(engine.core.connection, engine.core.store.keys)


EVENTS = SHORT * 20 + LONG * 3000


def test_the_doctor_reads_runs_together_only_if_they_are_short(
    engine: Engine, store: Counting
) -> None:
    assert check(Inspector(store), [0], deep=True) == []
    assert store.entries >= EVENTS
    assert store.most <= PAGE


def test_the_doctor_reads_the_log_in_pieces(server: Server) -> None:
    with Engine.connect(
        server.url, prefix=server.prefix(), components=[shout], workers=0, partitions=1
    ) as engine:
        for i in range(PAGE * 2 + 10):
            engine.events.append(f"0-{i % 50}", [Event("Noted", {})])
        store = Counting(engine.core.connection, engine.core.store.keys)
        assert check(Inspector(store), [0], deep=True) == []
        assert store.entries == 2 * (PAGE * 2 + 10)
        assert store.most <= PAGE


def test_a_check_of_the_ledger_and_an_export_read_events_in_pieces(
    engine: Engine, store: Counting, tmp_path: Path
) -> None:
    engine.audit.seal(signer(key_file(tmp_path)))
    audits = AuditService(replace(engine.core, ledger=LedgerStore(store)))
    for what in (audits.verify, lambda: audits.export(io.BytesIO())):
        store.most = store.entries = 0
        what()
        assert store.entries >= EVENTS
        assert store.most <= PAGE
    audit = audits.verify()
    assert audit.intact
    assert audit.verified >= EVENTS


def test_a_new_version_is_checked_against_few_runs_at_a_time(
    engine: Engine, store: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = engine.start_many([(DOCUMENT, {"text": str(i)}) for i in range(150)])
    for run in runs:
        engine.wait(run, timeout=60)
    events = sum(8 + COST * given_back(engine, run) for run in runs)
    monkeypatch.setattr(engine, "core", replace(engine.core, store=store))
    report = check_version(engine, DOCUMENT)
    assert (report.looked_at, report.live, report.differing) == (len(runs), 0, ())
    assert PAGE < store.entries == events
    assert store.most <= PAGE


def test_streams_that_grow_while_they_are_read_are_read_to_their_ends(
    engine: Engine, store: Counting
) -> None:
    ledger = LedgerStore(store)
    names = [f"0-grows{i}" for i in range(3)]
    for name in names:
        engine.events.append(name, [Event("Noted", {"i": n}) for n in range(7)])

    class Growing(Counting):
        def call(self, calls: Sequence[Call], seconds: float = 10.0) -> list[Any]:
            replies = super().call(calls, seconds)
            if any(
                isinstance(call, PlainCall) and call.args[0] == b"XLEN"
                for call in calls
            ):
                engine.events.append(
                    names[0], [Event("Noted", {"i": n}) for n in range(20)]
                )
            return replies

    grown = LedgerStore(Growing(engine.core.connection, engine.core.store.keys))
    assert [(x.stream, x.version) for x in grown.each_event(names, 5)] == [
        (name, version)
        for name in names
        for version in range(1, 28 if name == names[0] else 8)
    ]
    assert len(list(ledger.each_event([*names, "0-nothing"], 9))) == 41


class Leaving(LedgerStore):
    """A ledger's store in which something happens once the first event of a run has been read."""

    def __init__(
        self, store: RedisRunStore, run: str, happens: Callable[[], object]
    ) -> None:
        super().__init__(store)
        self._run, self._happens = run, happens

    def each_event(self, streams: Iterable[str], page: int = 1) -> Iterator[Stored]:
        for event in super().each_event(streams, 1):
            yield event
            if (event.stream, event.version) == (self._run, 1):
                self._happens()


@pytest.mark.parametrize("erased", ["before", "meanwhile"])
@pytest.mark.parametrize("leaves", [False, True])
def test_runs_may_be_erased_and_leave_while_their_events_are_read(
    server: Server, tmp_path: Path, erased: str, leaves: bool
) -> None:
    """The first event is read as it was, or erased; the record of that may have left before it is read."""
    with Engine.connect(
        server.url, prefix=server.prefix(), components=[shout], workers=2, partitions=1
    ) as engine:
        key = signer(key_file(tmp_path))
        run, _ = ran(engine, "a", "b")
        engine.audit.seal(key)
        if erased == "before":
            engine.redact(run, "asked for")
            engine.audit.seal(key)

        def happens() -> None:
            if erased == "meanwhile":
                engine.redact(run, "asked for")
            engine.audit.seal(key)
            if leaves:
                engine.archive.leave(run, Departure(str(tmp_path)))

        audits = AuditService(
            replace(engine.core, ledger=Leaving(engine.core.store, run, happens))
        )
        audit = audits.verify()
        assert audit.findings == ()
        assert audit.verified + audit.archived >= 16
