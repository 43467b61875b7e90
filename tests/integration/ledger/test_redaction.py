"""Erasing what runs worked with: it is gone, the course of the run stays, and the ledger goes on to prove it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from executor.errors import RunNotFound
from openagents_json.catalog.loader import load
from openagents_json.engine import Engine, RunFilter
from openagents_json.engine.archive.redaction import stub
from openagents_json.workflow.core.commands import HoldRun
from openagents_json.workflow.errors import Rejected
from projections.ledger.signing import Signer
from tests.acceptance.workers.trials import COMPONENTS, trials
from tests.conftest import Server
from tests.integration.ledger.ledgers import (
    DOCUMENT,
    Hand,
    Open,
    key_file,
    opening,
    signer,
)

MARK = "Zaphod-Beeblebrox-42"


@pytest.fixture
def opened(server: Server) -> Iterator[Open]:
    yield from opening(server)


@pytest.fixture
def key(tmp_path: Path) -> Signer:
    return signer(key_file(tmp_path))


READS: dict[bytes, tuple[Any, ...]] = {
    b"stream": (b"XRANGE", "-", "+"),
    b"hash": (b"HGETALL",),
    b"string": (b"GET",),
    b"zset": (b"ZRANGE", 0, -1),
    b"set": (b"SMEMBERS",),
}
"""The command that reads all of a key, by its kind."""


def traces(server: Server, engine: Engine, text: str) -> list[str]:
    """Return the keys under which a text can be found."""
    hand, collected = Hand(server, engine), []
    for name in hand.redis.scan_iter(match=f"{engine.core.store.keys.prefix}:*"):
        kind = hand.redis.execute_command(b"TYPE", name)
        read = READS.get(kind if isinstance(kind, bytes) else kind.encode())
        # What has gone since has no kind: leases and notes of who is alive go by themselves.
        if read and text in repr(hand.redis.execute_command(read[0], name, *read[1:])):
            collected.append(name.decode())
    return collected


def test_what_a_run_worked_with_is_gone_from_the_server(
    opened: Open, server: Server, key: Signer
) -> None:
    engine = opened()
    run = engine.run(DOCUMENT, {"text": MARK}, timeout=120, labels={"who": MARK}).id
    large = engine.run(DOCUMENT, {"text": MARK * 3000}, timeout=120).id
    assert engine.views.runs(RunFilter(labels={"who": MARK})).items
    engine.audit.seal(key)
    before = [
        (e.version, e.type, e.time_ms, e.actor, e.step) for e in engine.history(run)
    ]
    assert traces(server, engine, MARK)
    for erased in (run, large):
        done = engine.redact(erased, "asked for", labels=True)
        assert done.events > 0
    assert traces(server, engine, MARK) == []
    assert traces(server, engine, MARK.upper()) == []
    history = engine.history(run)
    assert [
        (e.version, e.type, e.time_ms, e.actor, e.step) for e in history[:-1]
    ] == before
    record = history[-1]
    assert (record.type, record.data["how"], record.data["reason"]) == (
        "RunRedacted",
        "erased",
        "asked for",
    )
    shown = engine.state(run)
    assert (shown.erased, shown.inputs, shown.output, shown.labels) == (
        True,
        {},
        None,
        {},
    )
    assert engine.views.runs(RunFilter(redacted=True)).items[0].redacted
    assert engine.redact(run).events == 0  # a second time there is nothing left


def test_who_is_slow_brings_nothing_back_that_is_erased(
    opened: Open, server: Server
) -> None:
    engine, other = opened(), opened(workers=0)
    run = engine.run(DOCUMENT, {"text": MARK}, timeout=120).id
    session = other.core.sessions.load(run)
    other.core.sessions._freeze(session)
    snapshot = engine.core.store.keys.snapshot(run)
    assert Hand(server, engine).redis.execute_command(b"EXISTS", snapshot)
    engine.redact(run)
    other.core.sessions._freeze(
        session
    )  # it had read the run before, and keeps what it read
    assert not Hand(server, engine).redis.execute_command(b"EXISTS", snapshot)


def test_the_ledger_proves_it_before_and_after(
    opened: Open, server: Server, key: Signer
) -> None:
    engine = opened()
    run, other = (
        engine.run(DOCUMENT, {"text": text}, timeout=120).id for text in (MARK, "b")
    )
    engine.audit.seal(key)
    assert engine.audit.verify().intact
    engine.redact(run, steps=["one"])
    audit = engine.audit.verify()
    assert (audit.intact, audit.erased, audit.unsealed) == (True, 2, 1)
    engine.audit.seal(key)
    engine.redact(run)  # the rest, also of what was half erased
    engine.audit.seal(key)
    audit = engine.audit.verify()
    assert audit.intact
    assert audit.erased > 2
    assert engine.audit.verify_run(run).intact
    assert engine.audit.verify_run(other).erased == 0
    # What stands in the place of what was erased is proved as well.
    Hand(server, engine).change(
        run, 2, d=b'{"inputs":{"text":"never"},"step":"one","erased":["inputs"]}'
    )
    assert [(f.kind, f.version) for f in engine.audit.verify().findings] == [
        ("erased without a record", 2)
    ]


def test_erasing_behind_the_back_of_the_log_is_found(
    opened: Open, server: Server, key: Signer
) -> None:
    engine = opened()
    run = engine.run(DOCUMENT, {"text": MARK}, timeout=120).id
    engine.audit.seal(key)
    hand, store = Hand(server, engine), engine.core.store
    [event] = [x for x in engine.audit.stored(run) if x.version == 2]
    proof = engine.audit.proof(run)
    assert proof is not None
    partition = store.keys.partition_of(run)
    hand.redis.execute_command(
        b"HSET",
        store.keys.ledger(partition, "erased"),
        event.n,
        proof.events[2].committed,
    )
    hand.change(run, 2, d=b'{"step":"one","inputs":{}}')
    assert [f.kind for f in engine.audit.verify().findings] == [
        "erased without a record"
    ]


def test_an_open_run_and_a_held_one_are_not_erased(opened: Open) -> None:
    engine = opened()
    waiting = {
        **DOCUMENT,
        "id": "waiting",
        "steps": [{"id": "ok", "wait_for": {"signal": "go"}}, *DOCUMENT["steps"]],
    }
    run = engine.start(waiting, {"text": MARK})
    with pytest.raises(Rejected, match="still need"):
        engine.redact(run)
    engine.cancel(run)
    engine.wait(run, timeout=120)
    engine.core.handler.handle(run, HoldRun(True, "case 7"), actor="court")
    with pytest.raises(Rejected, match="held"):
        engine.redact(run)
    assert engine.state(run).held
    engine.core.handler.handle(run, HoldRun(False), actor="court")
    assert engine.redact(run).events > 0
    with pytest.raises(RunNotFound):
        engine.redact("0-nobody")


def test_nothing_goes_on_from_what_is_erased(opened: Open) -> None:
    engine, other = opened(), opened(workers=0)
    run = engine.run(DOCUMENT, {"text": "fail"}, timeout=120).id
    assert other.state(run).inputs == {"text": "fail"}  # another process knows the run
    engine.redact(run)
    assert other.state(run).inputs == {}
    for again in (
        lambda: other.retry(run),
        lambda: other.replay.replay(run),
        lambda: other.replay.skip(run, "one"),
        lambda: other.replay.fork(run, 2),
        lambda: other.replay.fork(run, 6),
    ):
        with pytest.raises(Rejected, match="erased"):
            again()
    [failure] = engine.views.failures()
    assert (failure.message, failure.type, failure.now) == ("erased", "ValueError", 1)
    assert "erased" in "\n".join(engine.explain(run).lines())


def test_a_run_of_the_same_fingerprint_stays_in_its_class(opened: Open) -> None:
    engine = opened()
    runs = [engine.run(DOCUMENT, {"text": "fail"}, timeout=120).id for _ in range(3)]
    [before] = engine.views.failures()
    engine.redact(runs[0])
    [after] = engine.views.failures()
    assert (after.fingerprint, after.count, after.now) == (before.fingerprint, 3, 3)


def test_every_kind_of_run_can_be_shown_when_it_is_erased(
    server: Server, key: Signer
) -> None:
    chosen = [
        trial
        for trial in trials()
        if not trial.signals and trial.name != "wcp-20-cancel-case"
    ]  # that one waits
    options: dict[str, Any] = {"prefix": server.prefix(), "partitions": 2, "workers": 8}
    with Engine.connect(
        server.url, components=load([str(COMPONENTS)]), **options
    ) as engine:
        for trial in chosen:
            for other in trial.workflows:
                engine.publish(other)
        runs = [engine.start(trial.document, trial.inputs) for trial in chosen]
        for run in runs:
            engine.wait(run, timeout=60)
        shown = {
            run: (
                engine.state(run).status,
                [(s.id, s.status) for s in engine.state(run).steps],
            )
            for run in runs
        }
        engine.audit.seal(key)
        for run in runs:
            engine.redact(run)
            again = engine.state(run)
            assert (again.status, [(s.id, s.status) for s in again.steps]) == shown[run]
            assert list(engine.explain(run).lines())
            assert engine.replay.diff(run, run).same
        assert engine.audit.verify().intact
        assert engine.doctor() == []
        assert engine.views.verify("runs") == []


def test_sealing_and_erasing_at_once_leave_a_ledger_that_holds(
    opened: Open, key: Signer
) -> None:
    engine = opened()
    stop = threading.Event()

    def seal() -> None:
        while not stop.is_set():
            engine.audit.seal(key)

    thread = threading.Thread(target=seal)
    thread.start()
    runs = [
        engine.run(DOCUMENT, {"text": f"{MARK}{i}"}, timeout=120).id for i in range(25)
    ]
    for run in runs:
        engine.redact(run)
    stop.set()
    thread.join()
    engine.audit.seal(key)
    assert engine.audit.verify().intact


def test_a_stub_keeps_who_and_what_kind_but_no_payload() -> None:
    failed = {
        "step": "a",
        "attempt": 1,
        "error": {"type": "E", "message": "secret", "traceback": "secret"},
    }
    stubbed = stub("StepFailed", failed, "w")
    assert stubbed == {
        "step": "a",
        "attempt": 1,
        "error": {"type": "E", "message": "erased"},
        "erased": ["error"],
    }
    assert stub("StepFailed", stubbed, "w") == stubbed
    heard = {
        "signal": "s",
        "name": "go",
        "key": "k",
        "payload": 7,
        "by": "ada",
        "at_ms": 1,
    }
    assert stub("SignalReceived", heard, "w")["by"] == "ada"
    assert "7" not in json.dumps({**stub("SignalReceived", heard, "w"), "at_ms": 0})
    assert stub(
        "StepStarted", {"step": "a", "fence": "1", "worker": "w", "attempt": 1}, "w"
    ) == {
        "step": "a",
        "fence": "1",
        "worker": "w",
        "attempt": 1,
    }
