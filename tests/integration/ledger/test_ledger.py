"""The ledger on real servers: what was sealed is proved, and whatever is done to it afterwards is found and named."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eventstore.event import Event
from eventstore.redis.ledger import Seal
from openagents_json.engine import Engine
from openagents_json.engine.audit import WitnessRecord, verify_file
from openagents_json.engine.errors import NoLedger
from projections.errors import NotSealed
from projections.ledger import sealer
from projections.ledger.findings import Audit
from projections.ledger.records import decode_statement
from projections.ledger.sealer import EPOCH_SIZE
from projections.ledger.signing import new_signer
from tests.conftest import Server, wait_for
from tests.integration.ledger.deeds import DEEDS
from tests.integration.ledger.ledgers import DOCUMENT, Hand, key_file, shout, signer


@pytest.fixture
def engine(server: Server, tmp_path: Path) -> Iterator[Engine]:
    with Engine.connect(
        server.url, prefix=server.prefix(), components=[shout], workers=2, partitions=2
    ) as opened:
        yield opened


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return key_file(tmp_path)


def sealed(engine: Engine, key: Path, *texts: str) -> list[str]:
    """Run some documents to their ends and seal them."""
    runs = [
        engine.run(DOCUMENT, {"text": text}, timeout=120).id
        for text in texts or ("a", "b", "fail")
    ]
    engine.audit.seal(signer(key))
    return runs


def test_a_store_without_a_ledger_says_so(engine: Engine) -> None:
    with pytest.raises(NoLedger):
        engine.audit.verify()


def test_what_is_sealed_verifies_with_the_public_key_and_with_no_other(
    engine: Engine, key: Path
) -> None:
    runs = sealed(engine, key)
    mine, other = signer(key), new_signer()
    audit = engine.audit.verify({mine.id: mine.public})
    assert audit.intact
    assert audit.verified == sum(len(engine.history(run)) for run in runs)
    assert engine.audit.status().waiting == 0
    wrong = engine.audit.verify({other.id: other.public})
    assert {finding.kind for finding in wrong.findings} == {"signature"}
    assert wrong.verified == 0
    forged = engine.audit.verify({mine.id: other.public})
    assert {finding.kind for finding in forged.findings} == {"signature"}


def test_what_comes_later_is_not_sealed_until_it_is(engine: Engine, key: Path) -> None:
    sealed(engine, key)
    run = engine.run(DOCUMENT, {"text": "late"}, timeout=120).id
    audit = engine.audit.verify()
    assert (audit.intact, audit.unsealed) == (True, len(engine.history(run)))
    with pytest.raises(NotSealed):
        engine.audit.receipt(run, 1)
    engine.audit.seal(signer(key))
    assert engine.audit.verify().unsealed == 0


def named(audit: Audit) -> set[tuple[str, str, int]]:
    """Return what was found of events: kind, run, version."""
    return {
        (finding.kind, finding.run, finding.version)
        for finding in audit.findings
        if finding.run
    }


@pytest.mark.damages_store("events are changed, moved and taken away by hand")
@pytest.mark.parametrize("deed", DEEDS)
def test_what_is_done_to_sealed_events_is_found_and_named(
    engine: Engine, key: Path, server: Server, deed: str
) -> None:
    runs = sealed(engine, key)
    act, expected = DEEDS[deed]
    last = len(engine.history(runs[0]))
    act(Hand(server, engine), runs[0], runs[1])
    audit = engine.audit.verify()
    findings = {
        (kind, version)
        for kind, run, version in named(audit)
        if run.startswith(runs[0])
    }
    assert findings == {(kind, version or last) for kind, version in expected}
    assert {run for _, run, _ in named(audit)} <= {runs[0], f"{runs[0]}-7"}
    here = engine.audit.verify_run(runs[1])
    assert here.intact
    assert here.verified == len(engine.history(runs[1]))


@pytest.mark.damages_store("events are overwritten by bytes that are no text")
@pytest.mark.parametrize("put", [b"\xff" + b"9" * 5000, b"\xed\xa0\x80"])
@pytest.mark.parametrize("name", ["d", "t", "x", "n"])
def test_bytes_that_are_no_text_are_named_and_exported(
    engine: Engine, key: Path, server: Server, tmp_path: Path, name: str, put: bytes
) -> None:
    [run, *_] = sealed(engine, key)
    Hand(server, engine).change(run, 2, **{name: put})
    audit = engine.audit.verify()
    assert {(x.run, x.version) for x in audit.findings if x.kind != "removed"} == {
        (run, 2)
    }
    assert "\n".join(audit.lines()).encode()
    with (tmp_path / "ledger.zip").open("wb") as file:
        engine.audit.export(file)
    assert verify_file(tmp_path / "ledger.zip") == audit


def test_events_that_change_places_between_runs_are_found(
    engine: Engine, key: Path, server: Server
) -> None:
    sealed(engine, key, *[f"t{i}" for i in range(6)])
    runs = [row.id for row in engine.views.runs().items if row.id.startswith("0-")][:2]
    if len(runs) < 2:
        runs = [row.id for row in engine.views.runs().items if row.id.startswith("1-")][
            :2
        ]
    hand, (one, other) = Hand(server, engine), runs
    mine, theirs = dict(hand.entries(one))[b"2-0"], dict(hand.entries(other))[b"2-0"]
    hand.change(one, 2, d=theirs[b"d"])
    hand.change(other, 2, d=mine[b"d"])
    assert named(engine.audit.verify()) == {("changed", one, 2), ("changed", other, 2)}


@pytest.mark.damages_store("a run is taken away with its log")
def test_a_run_that_was_taken_away_with_its_log_is_missed(
    engine: Engine, key: Path, server: Server
) -> None:
    runs = sealed(engine, key)
    hand = Hand(server, engine)
    partition = engine.core.store.keys.partition_of(runs[0])
    log = engine.core.store.keys.log(partition)
    for identity, fields in hand.redis.execute_command(b"XRANGE", log, "-", "+"):
        if runs[0].encode() in fields:
            hand.redis.execute_command(b"XDEL", log, identity)
    hand.redis.execute_command(
        b"DEL", hand.keys.stream(runs[0]), hand.keys.head(runs[0])
    )
    audit = engine.audit.verify()
    assert [finding.kind for finding in audit.findings] == ["removed"] * 8


def test_a_payload_beside_the_log_is_covered(
    engine: Engine, key: Path, server: Server
) -> None:
    [run] = sealed(engine, key, "x" * 40_000)
    hand = Hand(server, engine)
    prefix = engine.core.store.keys.prefix
    names = list(hand.redis.scan_iter(match=f"{prefix}:*:blob:*"))
    assert names
    hand.redis.execute_command(b"SET", names[0], b'"forged"')
    audit = engine.audit.verify()
    assert {finding.kind for finding in audit.findings} == {"changed"}
    assert {finding.run for finding in audit.findings} == {run}
    assert {finding.kind for finding in engine.audit.verify_run(run).findings} == {
        "changed"
    }
    hand.redis.execute_command(b"DEL", names[0])
    assert {finding.kind for finding in engine.audit.verify().findings} == {"removed"}


def ledger_key(engine: Engine, part: str) -> bytes:
    """Name a part of the ledger of the first partition that has an epoch."""
    partition = next(p for p in range(2) if engine.core.ledger.epochs(p))
    return engine.core.store.keys.ledger(partition, part)


def test_the_ledger_itself_cannot_be_changed_unseen(
    engine: Engine, key: Path, server: Server
) -> None:
    sealed(engine, key)
    redis = Hand(server, engine).redis
    before = redis.execute_command(b"GET", ledger_key(engine, "leaves:1"))
    redis.execute_command(b"SETRANGE", ledger_key(engine, "leaves:1"), 0, b"\1" * 32)
    audit = engine.audit.verify()
    assert ("changed", 1) in {
        (finding.kind, finding.version) for finding in audit.findings
    }
    assert any("leaves of epoch 1" in finding.what for finding in audit.findings)
    redis.execute_command(b"SET", ledger_key(engine, "leaves:1"), before)
    assert engine.audit.verify().intact
    record = redis.execute_command(b"HGET", ledger_key(engine, "epochs"), "1")
    redis.execute_command(
        b"HSET",
        ledger_key(engine, "epochs"),
        "1",
        record.replace(b'"time_ms":1', b'"time_ms":2'),
    )
    assert "signature" in {finding.kind for finding in engine.audit.verify().findings}
    redis.execute_command(b"HDEL", ledger_key(engine, "epochs"), "1")
    assert any(
        "epoch 1 is missing" in finding.what
        for finding in engine.audit.verify().findings
    )


def test_a_statement_that_is_gone_is_missed(
    engine: Engine, key: Path, server: Server
) -> None:
    sealed(engine, key)
    redis = Hand(server, engine).redis
    redis.execute_command(b"HDEL", engine.core.store.keys.audit(), "statement")
    assert [finding.kind for finding in engine.audit.verify().findings] == ["ledger"]


def test_epochs_whose_sealer_died_before_it_stated_them_are_stated_by_the_next(
    engine: Engine, key: Path, server: Server
) -> None:
    ledger, redis = engine.core.ledger, Hand(server, engine).redis
    sealed(engine, key, "a")
    before = ledger.identity()
    sealed(engine, key, "b")
    after = decode_statement(ledger.identity()["statement"])
    for field in ("statement", "statement_signature"):  # as it was when it died
        redis.execute_command(
            b"HSET", engine.core.store.keys.audit(), field, before[field]
        )
    engine.audit.seal(signer(key))  # nothing is new in the log
    stated = decode_statement(ledger.identity()["statement"])
    assert stated is not None
    assert after is not None
    assert stated.heads == after.heads
    assert engine.audit.verify().intact


def test_epochs_taken_from_the_end_are_missed(
    engine: Engine, key: Path, server: Server
) -> None:
    """Somebody puts a partition back to what it was before: its statement and a witness outside know better."""
    sealed(engine, key, "a", "b", "c", "d")
    seen = [
        WitnessRecord(item["record"].encode(), bytes.fromhex(item["signature"]))
        for item in engine.audit.witness()
    ]
    redis, store = Hand(server, engine).redis, engine.core.store
    for p in range(2):
        names = [
            store.keys.ledger(p, part)
            for part in (
                "state",
                "epochs",
                "signatures",
                "leaves:1",
                "salts:1",
                "leaves:2",
            )
        ]
        redis.execute_command(b"DEL", *names)
        redis.execute_command(b"HDEL", store.keys.checkpoints(p), "ledger")
    audit = engine.audit.verify()
    assert {finding.kind for finding in audit.findings} == {"ledger"}
    assert all(
        "known to have been signed" in finding.what for finding in audit.findings
    )
    redis.execute_command(b"HDEL", store.keys.audit(), "statement")
    assert engine.audit.verify().intact  # nobody inside can know any more
    engine.audit.seal(signer(key))  # made anew, with the same key
    assert engine.audit.verify().intact
    audit = engine.audit.verify(witness=seen)
    assert any(
        "another one than was signed before" in finding.what
        for finding in audit.findings
    )


def test_epochs_are_full_at_their_size_and_chained(engine: Engine, key: Path) -> None:
    events = [{"k": 1}] * 100
    for i in range(2 * EPOCH_SIZE // 100 + 1):
        engine.events.append(
            "1-facts", [Event("Noted", {"i": i, **item}) for item in events]
        )
    done = engine.audit.seal(signer(key))
    assert done.events == len(events) * (2 * EPOCH_SIZE // 100 + 1)
    epochs = engine.core.ledger.epochs(1)
    assert [json.loads(epoch.record)["last"] for epoch in epochs[:2]] == [
        EPOCH_SIZE,
        2 * EPOCH_SIZE,
    ]
    audit = engine.audit.verify()
    assert audit.intact
    assert audit.verified == done.events
    assert engine.audit.seal(signer(key)).epochs == 0  # nothing has come since


@pytest.mark.damages_store("log entries are written by hand, without their events")
def test_a_pass_seals_all_there_is_however_long_it_takes(
    engine: Engine, key: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealer, "TRIES", 2)
    [run] = sealed(engine, key, "a")
    partition, redis = (
        engine.core.store.keys.partition_of(run),
        Hand(server, engine).redis,
    )
    redis.execute_command(b"HSET", engine.core.store.keys.meta(partition), b"n", 5000)
    redis.execute_command(
        b"XADD",
        engine.core.store.keys.log(partition),
        "5000-1",
        "r",
        "x",
        "f",
        "1",
        "l",
        "1",
    )
    engine.audit.seal(signer(key))
    assert engine.audit.status().waiting == 0
    redis.execute_command(b"HSET", engine.core.store.keys.meta(partition), b"n", 5007)
    engine.audit.seal(signer(key))  # the log ends before: nobody can go on
    assert engine.audit.status().waiting == 7


def test_many_may_seal_while_runs_go_on(engine: Engine, key: Path) -> None:
    stop, failures = threading.Event(), list[BaseException]()

    def seal() -> None:
        try:
            while not stop.is_set():
                engine.audit.seal(signer(key))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=seal) for _ in range(3)]
    for thread in threads:
        thread.start()
    runs = engine.start_many([(DOCUMENT, {"text": str(i)}) for i in range(60)])
    for run in runs:
        engine.wait(run, timeout=60)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    engine.audit.seal(signer(key))
    audit = engine.audit.verify()
    assert audit.intact
    assert audit.verified == sum(
        engine.core.ledger.places([p])[0].head for p in range(2)
    )


def test_workers_with_the_key_seal_by_themselves(
    server: Server, tmp_path: Path
) -> None:
    options: dict[str, Any] = {
        "prefix": server.prefix(),
        "components": [shout],
        "workers": 1,
        "partitions": 2,
    }
    with Engine.connect(server.url, audit_key=key_file(tmp_path), **options) as engine:
        engine.run(DOCUMENT, {"text": "a"}, timeout=120)
        wait_for(
            lambda: (
                bool(engine.core.ledger.identity())
                and engine.audit.status().waiting == 0
            ),
            20,
        )
        assert (
            engine.audit.verify().chained > 0
        )  # signed within a minute, or when somebody asks


def test_what_was_read_before_the_log_lost_its_tail_is_not_sealed(
    engine: Engine, key: Path, server: Server
) -> None:
    """Between reading and sealing, the server comes back without some events, and others take their positions."""
    [run, *_] = sealed(engine, key)
    partition, store = engine.core.store.keys.partition_of(run), engine.core.ledger
    engine.events.append(f"{partition}-facts", [Event("Lost", {})], commit_id="lost")
    [position] = store.places([partition])
    [(to, events)] = store.read([(partition, position.checkpoint)], 10)
    redis, keys = Hand(server, engine).redis, engine.core.store.keys
    *kept, _lost = redis.execute_command(b"XRANGE", keys.log(partition), "-", "+")
    redis.execute_command(b"DEL", keys.log(partition))
    for identity, fields in kept:
        redis.execute_command(b"XADD", keys.log(partition), identity, *fields)
    redis.execute_command(
        b"DEL", keys.stream(f"{partition}-facts"), keys.head(f"{partition}-facts")
    )
    redis.execute_command(b"HINCRBY", keys.meta(partition), "n", -1)
    engine.events.append(f"{partition}-facts", [Event("Found", {})], commit_id="found")
    stale = Seal(to, "00" * 32, b"\1" * 32, b"\2" * 16, last=events[-1])
    assert not store.seal(partition, position, stale)
    engine.audit.seal(signer(key))
    assert engine.audit.verify().intact
