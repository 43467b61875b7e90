"""What came from outside says so for ever: who brought it, when, from which file, and which events are not ours."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eventstore.event import Recorded
from executor.errors import HistoryUnfit
from openagents_json.engine import Engine, RunFilter
from openagents_json.engine.archive.archive import Departure
from openagents_json.engine.archive.capsules import Capsule, adopt, pack, take, unpack
from openagents_json.engine.archive.promotion import Move, promote
from openagents_json.engine.audit import verify_file
from openagents_json.engine.inspection.explain import explain
from openagents_json.engine.inspection.formats import cloud_event, spans
from openagents_json.engine.inspection.values import history_events
from openagents_json.workflow.core.plan import canonical
from openagents_json.workflow.history.conformance import first_difference
from tests.conftest import Server
from tests.integration.ledger.ledgers import (
    DOCUMENT,
    Open,
    key_file,
    opening,
    ran,
    shout,
    signer,
)


@pytest.fixture
def opened(server: Server) -> Iterator[Open]:
    yield from opening(server)


@pytest.fixture
def elsewhere(server: Server) -> Iterator[Engine]:
    """An engine on another store."""
    with Engine.connect(
        server.url, prefix=server.prefix(), components=[shout], workers=2, partitions=2
    ) as engine:
        yield engine


def carried(engine: Engine, text: str = "a") -> tuple[str, bytes]:
    """Return a run that has ended, and the file of it."""
    [run] = ran(engine, text)
    return run, pack(engine.core, run, actor="them")


def shown(engine: Engine, run: str) -> list[Recorded]:
    return [item for page in engine.replay.shown(run) for item in page]


def forged(capsule: Capsule, **more: Any) -> Capsule:
    """Return a capsule whose events say that somebody else did it all."""
    return replace(
        capsule,
        events=tuple(replace(event, actor="alice", **more) for event in capsule.events),
    )


def test_a_closed_run_that_comes_in_says_from_where_by_whom_and_from_which_file(
    opened: Open, elsewhere: Engine
) -> None:
    here = opened()
    run, raw = carried(elsewhere)
    for _ in range(2):  # arriving twice is arriving once
        adopt(here.core, unpack(raw), actor="carol", reason="to be kept")
    *before, last = here.history(run)
    source, count = elsewhere.core.store.keys.prefix, len(before)
    sha256 = hashlib.sha256(raw).hexdigest()
    origin = {
        "source": source,
        "at": count,
        "how": "import",
        "sha256": sha256,
        "reason": "to be kept",
    }
    assert (last.type, last.actor, last.data, last.imported) == (
        "RunImported",
        "carol",
        origin,
        "",
    )
    assert {event.imported for event in before} == {source}
    assert {event.imported for event in elsewhere.history(run)} == {""}
    info = here.state(run)
    assert (info.status, info.imported) == ("completed", count)
    mine = ran(here, "b")[0]
    [row] = here.views.runs(RunFilter(imported=True)).items
    assert row.id == run
    assert row.imported == origin | {"by": "carol", "time_ms": last.time_ms}
    assert {r.id: bool(r.imported) for r in here.views.runs().items} == {
        run: True,
        mine: False,
    }
    assert any(
        sha256 in line and "carol" in line
        for line in explain(run, here.replay, here.views).lines()
    )


def test_other_systems_are_told_which_events_are_not_ours(
    opened: Open, elsewhere: Engine
) -> None:
    here = opened()
    run, raw = carried(elsewhere)
    adopt(here.core, unpack(raw), actor="carol")
    recorded, source = shown(here, run), elsewhere.core.store.keys.prefix
    assert [cloud_event(item, "x").get("imported") for item in recorded[-2:]] == [
        source,
        None,
    ]
    assert "imported" not in cloud_event(shown(elsewhere, run)[0], "x")
    trace = json.dumps(spans(recorded))
    assert trace.count('"openagents.imported"') == len(
        [x for x in recorded if x.type != "StepStarted"]
    )
    closed: Any = spans(recorded)
    [span, *_] = closed["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert span["endTimeUnixNano"] == f"{recorded[-2].time_ms}000000"


def test_what_others_wrote_is_sealed_as_theirs(
    opened: Open, elsewhere: Engine, tmp_path: Path
) -> None:
    here, key = opened(), key_file(tmp_path)
    run, raw = carried(elsewhere)
    adopt(here.core, forged(unpack(raw)), actor="carol")
    mine = ran(here, "b")[0]
    here.audit.seal(signer(key))
    count = len(here.history(run)) - 1
    whole = here.audit.verify()
    assert (whole.intact, whole.imported, here.audit.verify_run(run).imported) == (
        True,
        count,
        count,
    )
    assert any(f"{count} imported" in line for line in whole.lines())
    assert here.audit.verify_run(mine).imported == 0
    for version, imported in ((1, 1), (count, 1), (count + 1, 0)):
        for with_payload in (True, False):
            receipt = tmp_path / "receipt.json"
            receipt.write_bytes(
                here.audit.receipt(run, version, with_payload=with_payload)
            )
            audit = verify_file(receipt)
            assert (audit.intact, audit.verified, audit.imported) == (True, 1, imported)
    shown = json.loads(here.audit.receipt(run, 1))
    stripped = {
        **shown,
        "event": {**shown["event"], "metadata": ""},
    }  # the mark cannot be taken off
    receipt.write_text(json.dumps(stripped))
    assert not verify_file(receipt).intact


def test_a_run_comes_back_from_our_archive_without_it_and_from_a_file_elsewhere_with_it(
    opened: Open, elsewhere: Engine, tmp_path: Path
) -> None:
    here = opened()
    [run] = ran(here, "a")
    here.archive.leave(run, Departure(str(tmp_path), "old"))
    here.archive.restore(run)
    assert "RunImported" not in [event.type for event in here.history(run)]
    assert here.state(run).imported == 0
    theirs, raw = carried(elsewhere, "b")
    file = tmp_path / "theirs.oac"
    file.write_bytes(raw)
    for _ in range(2):
        here.archive.restore(theirs, url=str(file))
    [imported] = [
        event for event in here.history(theirs) if event.type == "RunImported"
    ]
    assert (imported.data["how"], imported.data["sha256"]) == (
        "restore",
        hashlib.sha256(raw).hexdigest(),
    )
    here.archive.leave(
        theirs, Departure(str(tmp_path), "old")
    )  # and says so after it has been in our archive, too
    here.archive.restore(theirs)
    assert [event.type for event in here.history(theirs)].count("RunImported") == 1
    assert here.history(theirs)[0].imported == elsewhere.core.store.keys.prefix


def test_a_promotion_says_what_it_was(opened: Open, elsewhere: Engine) -> None:
    here = opened()
    document = {"id": "waiting", "steps": [{"id": "go", "wait_for": {"signal": "go"}}]}
    run = elsewhere.start(document)
    promote(Move(elsewhere, here, run))
    [imported] = [event for event in here.history(run) if event.type == "RunImported"]
    assert (imported.data["how"], imported.data.get("sha256", "")) == ("promote", "")
    here.signal(run, "go")
    assert here.wait(run, timeout=120).ok
    marks = {event.version: bool(event.imported) for event in here.history(run)}
    assert marks == {version: version < imported.version for version in marks}


def test_a_run_that_was_carried_to_another_store_and_back_is_here_already(
    opened: Open, elsewhere: Engine
) -> None:
    here = opened()
    run, raw = carried(here)
    adopt(elsewhere.core, unpack(raw), actor="carol")
    before = here.history(run)
    back = unpack(pack(elsewhere.core, run, actor="dave"))
    assert not adopt(here.core, back, actor="dave").changed
    assert here.history(run) == before


def test_forks_and_retries_of_what_was_imported_keep_the_mark(
    opened: Open, elsewhere: Engine
) -> None:
    here = opened()
    run, raw = carried(elsewhere, "fail")
    adopt(here.core, unpack(raw), actor="carol")
    fork = here.replay.fork(run, 2)
    here.wait(fork, timeout=120)
    history = here.history(fork)
    source = elsewhere.core.store.keys.prefix
    assert [bool(event.imported) for event in history[:3]] == [True, True, False]
    assert here.history(fork)[0].imported == source
    again = here.replay.fork(fork, 1)
    assert here.history(again)[0].imported == source
    assert {row.id for row in here.views.runs(RunFilter(imported=True)).items} == {
        run,
        fork,
        again,
    }
    here.retry(run, inputs={"text": "b"})
    assert here.wait(run, timeout=120).ok
    session = here.core.sessions.load(run)
    recorded = here.core.sessions.payloads.decode(here.core.store.read([(run, 0)])[0])
    assert first_difference(session.plan, recorded) is None
    assert not here.history(run)[-1].imported
    here.wait(again, timeout=120)


def test_a_file_cannot_say_that_its_events_were_counted_here(
    opened: Open, elsewhere: Engine
) -> None:
    here = opened()
    run, raw = carried(elsewhere)
    capsule = forged(unpack(raw), metadata=b'{"restored":true,"imported":"","note":1}')
    adopt(here.core, capsule, actor="carol")
    metadata = [item.metadata for item in here.core.store.read([(run, 0)])[0]]
    assert metadata[0] == {"imported": elsewhere.core.store.keys.prefix, "note": 1}
    assert [component.completed for component in here.views.components()] == [2]


def test_what_could_not_be_read_later_does_not_come_in(
    opened: Open, elsewhere: Engine
) -> None:
    here = opened()
    _, raw = carried(elsewhere)
    capsule = unpack(raw)
    first, *rest, last = capsule.events
    [(name, definition)] = capsule.definitions.items()

    def with_definition(value: Any) -> Capsule:
        other = canonical(value)
        sha = hashlib.sha256(other).hexdigest()
        events = (
            replace(first, data=first.data.replace(name.encode(), sha.encode())),
            *rest,
            last,
        )
        return replace(capsule, definitions={sha: other}, events=events)

    document = json.loads(definition)
    wrong = {
        "unknown type": replace(
            capsule, events=(first, replace(rest[0], type="Odd"), *rest[1:], last)
        ),
        "event 2 is no JSON": replace(
            capsule, events=(first, replace(rest[0], data=b"{"), *rest[1:], last)
        ),
        "event 1 is no JSON": replace(
            capsule, events=(replace(first, metadata=b"\xff"), *rest, last)
        ),
        "event 1 holds no names": replace(
            capsule, events=(replace(first, metadata=b"[1]"), *rest, last)
        ),
        "lead to running": replace(
            capsule, events=(first, rest[0], replace(last, version=3))
        ),
        "is another one": replace(
            capsule, definitions={name: definition.replace(b"one", b"eno")}
        ),
        "is no workflow": with_definition({"document": {"id": "w"}, "bindings": {}}),
        "is no workflow: KeyError": with_definition({"bindings": {}}),
        "not in the form": replace(
            capsule, definitions=_loose(definition), events=_pinned(capsule, definition)
        ),
        "/steps/0": with_definition(
            {**document, "document": {**document["document"], "steps": [5]}}
        ),
    }
    for message, history in wrong.items():
        with pytest.raises(HistoryUnfit, match=message):
            adopt(here.core, history, actor="carol")
    assert here.runs() == []
    assert here.core.store.scan(f"{here.core.store.keys.prefix}:def:*".encode()) == []
    assert DOCUMENT["id"] == document["document"]["id"]


def _loose(definition: bytes) -> dict[str, bytes]:
    spaced = b"{ " + definition[1:]
    return {hashlib.sha256(spaced).hexdigest(): spaced}


def _pinned(capsule: Capsule, definition: bytes) -> Any:
    [name], [sha] = capsule.definitions, _loose(definition)
    first, *rest = capsule.events
    return (replace(first, data=first.data.replace(name.encode(), sha.encode())), *rest)


def test_the_end_of_what_was_taken_is_no_event_of_ours(
    opened: Open, elsewhere: Engine
) -> None:
    """A history of an older version has no marks: the event alone tells."""
    here = opened()
    run, raw = carried(elsewhere)
    adopt(here.core, unpack(raw), actor="carol")
    capsule = take(here.core, run, actor="carol")
    bare = tuple(replace(event, metadata=b"") for event in capsule.events)
    shown = [item.recorded(run, 0) for item in bare]
    assert [bool(event.imported) for event in history_events(shown)] == [True] * (
        len(bare) - 1
    ) + [False]
