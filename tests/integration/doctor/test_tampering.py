"""Somebody who can write to the store changes what stands beside the log: it is not believed, and it is named."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from eventstore import codec
from eventstore.errors import BlobChanged
from executor.encryption import make_key
from executor.runs.repository import LONG
from openagents_json import Context, tool
from openagents_json.catalog.errors import DefinitionChanged
from openagents_json.engine import Engine
from openagents_json.engine.archive.archive import Departure
from openagents_json.engine.archive.capsules import pack
from openagents_json.engine.diagnosis.tampering import changed_beside
from projections.ledger.signing import new_signer
from tests.conftest import Server, wait_for
from tests.integration.doctor.tampered import blob_key, forge, swapped, write_to_store

Open = Callable[..., Engine]
BIG = "x" * 40_000
KEY = make_key(lambda size: bytes(range(size)))


@tool("pay")
def pay(to: str, what: str = "") -> str:
    return f"{to} {len(what)}"


@tool("look")
def look(context: Context, x: int = 0) -> int:
    return x


STEPS: list[dict[str, Any]] = [
    {"id": "go", "wait_for": {"signal": "go"}},
    {
        "id": "pay",
        "component": "pay",
        "inputs": {"to": "alice", "what": "{{input.what}}"},
    },
]
DOCUMENT: dict[str, Any] = {
    "id": "paying",
    "inputs": {"what": {"type": "string"}},
    "steps": STEPS,
    "output": "{{pay.output}}",
}


@pytest.fixture
def opened(server: Server) -> Iterator[Open]:
    prefix, engines = server.prefix(), list[Engine]()

    def begin(workers: int = 0, **options: Any) -> Engine:
        defaults: dict[str, Any] = {
            "components": [pay, look],
            "partitions": 2,
            "lease_ms": 30_000,
        }
        engines.append(
            Engine.connect(
                server.url, prefix=prefix, workers=workers, **{**defaults, **options}
            )
        )
        return engines[-1]

    yield begin
    assert begin().doctor() == []
    for engine in engines:
        engine.close()


def waiting(engine: Engine, what: str = "") -> str:
    return engine.start(DOCUMENT, {"what": what})


@pytest.mark.parametrize("new", [None, b"garbage", b"{}"])
def test_a_definition_that_was_swapped_is_not_carried_out(
    opened: Open, new: bytes | None
) -> None:
    engine = opened()
    run = waiting(engine)
    key, old = swapped(engine, run, new)
    other = opened()
    for ask in (
        lambda: other.state(run),
        lambda: other.signal(run, "go"),
        lambda: pack(other.core, run, actor="me"),
        lambda: other.replay.fork(run, 1),
    ):
        with pytest.raises(DefinitionChanged, match="not what its hash says"):
            ask()
    write_to_store(engine, key, old)
    assert other.state(run).status == "running"


def test_a_worker_leaves_a_run_alone_until_what_was_changed_is_put_right(
    opened: Open,
) -> None:
    """The step is claimed meanwhile, perhaps more than once: its run does not fail for it, and goes on afterwards."""
    engine = opened()
    run = waiting(engine, BIG)
    key, old = swapped(engine, run)
    engine.signal(run, "go")  # by one who knows the plan, and so schedules what is next
    opened(workers=2, lease_ms=600)
    wait_for(lambda: any(e.type == "StepStarted" for e in engine.history(run)))
    wait_for(lambda: not _leased(engine, run))
    assert [e.type for e in engine.history(run)][-1] == "StepStarted"
    write_to_store(engine, key, old)
    assert engine.wait(run, timeout=60).output == f"alice {len(BIG)}"


def _leased(engine: Engine, run: str) -> bool:
    """Tell whether a worker holds a step whose lease has not run out."""
    [head] = engine.core.store.heads([run])
    now = engine.core.store.now_ms()
    return head is not None and any(
        x.fence and x.expiry_ms > now for x in head.steps.values()
    )


def test_a_payload_that_was_replaced_is_not_used(opened: Open, tmp_path: Any) -> None:
    engine = opened()
    run = waiting(engine, BIG)
    key = blob_key(engine, run)
    old = engine.core.connection.command(b"GET", key)
    write_to_store(engine, key, codec.encode("y" * 40_001))
    other = opened()
    for ask in (
        lambda: other.state(run),
        lambda: other.signal(run, "go"),
        lambda: pack(other.core, run, actor="me"),
    ):
        with pytest.raises(BlobChanged, match="not what its hash says"):
            ask()
    engine.signal(run, "go")
    opened(workers=2, lease_ms=600)
    wait_for(lambda: any(e.type == "StepStarted" for e in engine.history(run)))
    wait_for(lambda: not _leased(engine, run))
    write_to_store(engine, key, old)
    assert engine.wait(run, timeout=60).output == f"alice {len(BIG)}"
    write_to_store(engine, key, b'"gone"')
    with pytest.raises(BlobChanged):
        engine.archive.leave(run, Departure(str(tmp_path)))
    write_to_store(engine, key, old)


LONG_ONE: dict[str, Any] = {
    "id": "long",
    "steps": [
        {
            "id": "each",
            "component": "look",
            "foreach": "{{input.xs}}",
            "inputs": {"x": "{{item}}"},
        },
        {"id": "pay", "wait_for": {"signal": "go"}},
        {"id": "end", "component": "pay", "inputs": {"to": "{{input.to}}"}},
    ],
    "output": "{{end.output}}",
}


def long_run(engine: Engine) -> str:
    run = engine.start(LONG_ONE, {"xs": list(range(LONG // 3 + 20)), "to": "alice"})
    while not any(step.id == "pay" for step in engine.state(run).steps):
        engine.watch(run, after=engine.state(run).version, block_ms=200)
    return run


@pytest.mark.parametrize("keyed", [False, True])
def test_a_snapshot_that_somebody_made_up_is_not_believed(
    opened: Open, keyed: bool
) -> None:
    plain = opened(workers=2)
    run = long_run(plain)  # not encrypted, whoever reads it later
    options: dict[str, Any] = {"encryption_keys": [KEY]} if keyed else {}
    opened(**options).state(run)
    forge(plain, run)
    for _ in range(2):
        assert opened(**options).state(run).inputs["to"] == "alice"
    opened(**options).signal(run, "go")
    assert plain.wait(run, timeout=60).output == "alice 0"


FEW = 10
"""More events than are read behind a snapshot, and fewer than without one."""


def reads(engine: Engine, run: str) -> int:
    """Count the events that are read to load a run, beside the first ones."""
    read, counted = engine.core.store.read, list[int]()

    def counting(partitions: Any) -> Any:
        entries = read(partitions)
        counted.append(sum(map(len, entries)))
        return entries

    engine.core.store.read = counting  # type: ignore[method-assign, assignment]
    engine.core.sessions.drop(run)
    engine.core.sessions.load(run)
    return sum(counted)


def test_snapshots_are_of_use_to_those_who_share_a_key_and_to_the_process_itself(
    opened: Open,
) -> None:
    run = long_run(opened(workers=2))
    keyed, other, alone = (
        opened(encryption_keys=[KEY]),
        opened(encryption_keys=[KEY]),
        opened(),
    )
    assert (
        reads(keyed, run) > FEW
    )  # what the first process has kept is derived again, and kept anew
    assert reads(other, run) < FEW
    assert other.state(run) == keyed.state(run)
    assert reads(alone, run) > FEW
    keyed.core.connection.command(b"DEL", keyed.core.store.keys.snapshot(run))
    alone.core.sessions.drop(run)
    alone.core.sessions.load(run)
    assert reads(alone, run) < FEW
    assert json.dumps(alone.state(run).output) == "null"


def test_a_snapshot_of_another_run_is_not_believed(opened: Open) -> None:
    engine = opened(workers=2)
    one, other = long_run(engine), long_run(engine)
    reader = opened(encryption_keys=[KEY])
    for run in (one, other):
        engine.core.connection.command(b"DEL", engine.core.store.keys.snapshot(run))
        reader.core.sessions.load(run)
    raw = reader.core.connection.command(b"GET", reader.core.store.keys.snapshot(one))
    write_to_store(engine, engine.core.store.keys.snapshot(other), raw)
    assert reads(opened(encryption_keys=[KEY]), other) > FEW
    assert opened(encryption_keys=[KEY]).state(other).id == other


def named(engine: Engine, run: str) -> set[tuple[str, str]]:
    """Return what the audit of the store finds, which that of the run finds too."""
    findings = {(x.kind, x.run) for x in engine.audit.verify().findings}
    assert {(x.kind, x.run) for x in engine.audit.verify_run(run).findings} == {
        x for x in findings if x[1] == run
    }
    return findings


def told(engine: Engine, *, deep: bool = True) -> list[tuple[str, str]]:
    return [(x.level, x.code) for x in changed_beside(engine.core, deep=deep)]


def ended(engine: Engine, signer: Any) -> str:
    run = waiting(engine, BIG)
    engine.signal(run, "go")
    engine.wait(run, timeout=60)
    engine.audit.seal(signer)
    return run


def test_an_audit_and_the_doctor_name_a_definition_that_was_swapped(
    opened: Open,
) -> None:
    engine = opened(workers=2)
    run = ended(engine, new_signer())
    assert (named(engine, run), told(engine)) == (set(), [])
    key, old = swapped(engine, run)
    assert (named(engine, run), told(engine, deep=False)) == (
        {("definition", run)},
        [("error", "definition")],
    )
    engine.core.connection.command(b"DEL", key)
    assert named(engine, run) == {("definition", run)}
    assert any("is gone" in x.what for x in engine.audit.verify().findings)
    write_to_store(engine, key, old)
    assert (named(engine, run), told(engine)) == (set(), [])


def test_an_audit_and_the_doctor_name_a_payload_that_was_replaced(opened: Open) -> None:
    engine = opened(workers=2)
    run = ended(engine, new_signer())
    key = blob_key(engine, run)
    old = engine.core.connection.command(b"GET", key)
    write_to_store(engine, key, b'"other"')
    assert (named(engine, run), told(engine)) == (
        {("changed", run)},
        [("error", "payload")],
    )
    write_to_store(engine, key, old)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("st", "failed"),
        ("st", "running"),
        ("v", "3"),
        ("v", "300"),
        ("lc", "other"),
        ("def", "0" * 64),
        ("v", "many"),
    ],
)
def test_an_audit_and_the_doctor_name_a_head_that_was_changed(
    opened: Open, field: str, value: str
) -> None:
    engine = opened(workers=2)
    run, other = ended(engine, new_signer()), waiting(engine)
    key = engine.core.store.keys.head(run)
    old = engine.core.connection.command(b"HGET", key, field)
    engine.core.connection.command(b"HSET", key, field, value)
    assert (named(engine, run), told(engine)) == ({("head", run)}, [("error", "head")])
    engine.core.connection.command(b"HSET", key, field, old)
    assert (named(engine, run), named(engine, other)) == (set(), set())
    engine.core.connection.command(
        b"HSET", engine.core.store.keys.head(other), "st", "completed"
    )
    assert named(engine, other) == {("head", other)}
    engine.core.connection.command(
        b"HSET", engine.core.store.keys.head(other), "st", "running"
    )


def test_the_doctor_names_a_snapshot_that_says_something_else(opened: Open) -> None:
    engine = opened(workers=2)
    run = long_run(engine)
    opened(encryption_keys=[KEY]).state(run)
    assert told(engine) == []
    raw = forge(engine, run)
    assert (told(engine), told(engine, deep=False)) == ([("warning", "snapshot")], [])
    write_to_store(engine, engine.core.store.keys.snapshot(run), raw)
    assert told(engine) == []


def test_the_doctor_names_the_snapshot_of_an_encrypted_run_that_cannot_be_read(
    opened: Open,
) -> None:
    """What was not encrypted with the run's key cannot be decrypted: that is said of the snapshot, too."""
    engine = opened(workers=2, encryption_keys=[KEY])
    run = long_run(engine)
    opened(encryption_keys=[KEY]).state(run)
    key = engine.core.store.keys.snapshot(run)
    raw = engine.core.connection.command(b"GET", key)
    assert told(engine) == []
    write_to_store(engine, key, raw[:-40] + bytes(40))
    assert told(engine) == [("warning", "snapshot")]
    write_to_store(engine, key, raw)
    assert told(engine) == []


def test_what_moves_on_while_it_is_looked_at_is_no_fault(opened: Open) -> None:
    """Runs that end, are opened again, forked and imported all the while."""
    engine, signer = opened(workers=2), new_signer()
    runs = [ended(engine, signer)]
    over = threading.Event()

    def busy() -> None:
        while not over.is_set():
            runs.append(
                engine.run(DOCUMENT | {"steps": STEPS[1:]}, {"what": ""}, timeout=60).id
            )
            engine.retry(runs[0], step="pay")
            engine.wait(runs[0], timeout=60)
            engine.wait(engine.replay.fork(runs[-1], 2), timeout=60)

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        for _ in range(5):
            assert engine.audit.verify().findings == ()
            assert told(engine) == []
    finally:
        over.set()
        thread.join()
    assert len(runs) > 1
