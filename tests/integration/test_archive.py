"""Runs that leave the store and come back: nothing is lost on the way, and what is left is consistent."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from eventstore.event import Checkpoint, Event, Position, Recorded
from eventstore.log_reader import LogReader
from eventstore.store import next_cursor
from executor.handle import RunExists
from executor.sessions import RunNotFound
from openagents_json.engine import Engine, RunFilter
from openagents_json.engine.archive_files import ArchiveUnreachable, read, write
from openagents_json.engine.archiving import CannotLeave, Departure, NotArchived
from openagents_json.engine.capsule_file import CapsuleUnreadable, unpack
from openagents_json.engine.retention import PolicyUnreadable, apply, read_policy
from projections.ledger.proofs import check_proof, read_proof
from tests.conftest import Server, wait_for
from tests.integration.ledgers import DOCUMENT, Hand, key_file, shout, signer

Open = Callable[..., Engine]


@pytest.fixture
def opened(server: Server) -> Iterator[Open]:
    prefix, engines = server.prefix(), list[Engine]()

    def begin(**options: Any) -> Engine:
        defaults = {"components": [shout], "workers": 2, "partitions": 2}
        engines.append(Engine.connect(server.url, prefix=prefix, **{**defaults, **options}))
        return engines[-1]

    yield begin
    look = begin(workers=0)
    assert look.doctor() == []
    assert [drift for name in look.views.views.names() for drift in look.views.verify(name)] == []
    for engine in engines:
        engine.close()


def ran(engine: Engine, *texts: str, **labels: str) -> list[str]:
    return [engine.run(DOCUMENT, {"text": text}, timeout=20, labels=labels).id for text in texts]


def test_an_archived_run_is_found_and_comes_back_as_it_was(opened: Open, tmp_path: Path) -> None:
    engine, to = opened(), str(tmp_path)
    run, failed, other = ran(engine, "a", "fail", "b", tenant="x")
    history = [(e.version, e.type, e.time_ms, e.actor, e.commit, e.data) for e in engine.history(failed)]
    statistics = engine.views.components()
    for each in (run, failed):
        gone = engine.archive.leave(each, Departure(to, "old"))
        assert gone.before > 1000
        assert 0 < gone.left < 1000
        assert Path(gone.url).stat().st_size == gone.archived
        with pytest.raises(RunNotFound, match="restore"):
            engine.state(each)
    assert [row.id for row in engine.views.runs().items] == [other]
    for chosen in (
        RunFilter(status=("failed",)),
        RunFilter(workflow=("shouting",), error=("ValueError",)),
        RunFilter(labels={"tenant": "x"}, status=("failed",)),
        RunFilter(started_from=0, ended_from=1, fingerprint=(engine.views.failures()[0].fingerprint,)),
        RunFilter(started_from=0, status=("failed",)),
    ):
        assert [item.run.id for item in engine.views.archived(chosen).items] == [failed]
    assert engine.views.archived(RunFilter(started_to=1)).items == ()
    assert {item.run.id for item in engine.views.archived().items} == {run, failed}
    assert engine.archive.restore(failed) == "failed"
    assert engine.archive.restore(failed) == "failed"
    assert [(e.version, e.type, e.time_ms, e.actor, e.commit, e.data) for e in engine.history(failed)] == history
    assert engine.views.components() == statistics
    assert [item.run.id for item in engine.views.archived().items] == [run]
    engine.retry(failed, inputs={"text": "now"})
    assert engine.wait(failed, timeout=20).output == {"text": "NOW!"}
    assert engine.archive.restore(failed) == "completed"
    with pytest.raises(NotArchived):
        engine.archive.restore("0-nobody")
    engine.archive.leave(failed, Departure(to))
    engine.archive.restore(failed)
    assert engine.state(failed).output == {"text": "NOW!"}


def test_the_memory_is_really_freed(opened: Open, server: Server, tmp_path: Path) -> None:
    engine = opened(workers=4)
    runs = engine.start_many([(DOCUMENT, {"text": f"{i}" * 200}) for i in range(400)])
    for run in runs:
        engine.wait(run, timeout=60)
    engine.views.count()
    hand = Hand(server, engine)

    def used() -> int:
        return sum(
            hand.redis.execute_command(b"MEMORY", b"USAGE", name, b"SAMPLES", 0) or 0
            for name in hand.redis.scan_iter(match=f"{engine.core.store.keys.prefix}:*", count=1000)
            if b":view:" not in name
        )

    before = used()
    said = sum(engine.archive.leave(run, Departure(str(tmp_path))).before for run in runs)
    assert said > 0.8 * before
    assert used() < 0.25 * before


def test_payloads_that_another_run_needs_stay(opened: Open, tmp_path: Path) -> None:
    engine = opened()
    [run] = ran(engine, "x" * 50_000)
    at = next(e.version for e in engine.history(run) if e.type == "StepCompleted")
    fork = engine.replay.fork(run, at)
    engine.wait(fork, timeout=20)
    engine.archive.leave(run, Departure(str(tmp_path)))
    assert len(engine.state(fork).output["text"]) == 50_001
    engine.archive.leave(fork, Departure(str(tmp_path)))
    blobs = list(engine.core.connection.client.scan_iter(match=f"{engine.core.store.keys.prefix}:*:blob:*"))
    assert blobs == []
    for each in (run, fork):
        engine.archive.restore(each)
        assert len(engine.state(each).output["text"]) == 50_001


def test_what_somebody_still_needs_stays(opened: Open, tmp_path: Path) -> None:
    engine, to = opened(), Departure(str(tmp_path))
    waiting = {**DOCUMENT, "id": "waiting", "steps": [{"id": "ok", "wait_for": {"signal": "go"}}]}
    waiting.pop("output")
    open_run = engine.start(waiting)
    with pytest.raises(CannotLeave, match="only closed"):
        engine.archive.leave(open_run, to)
    engine.cancel(open_run)
    engine.wait(open_run, timeout=20)
    engine.archive.hold(open_run, "case 7")
    with pytest.raises(CannotLeave, match="held"):
        engine.archive.leave(open_run, to)
    engine.archive.release(open_run)
    partition = engine.core.store.keys.partition_of(open_run)
    engine.events.save_checkpoint(Checkpoint("slow-reader", Position(partition, 1)))
    with pytest.raises(CannotLeave, match="slow-reader"):
        engine.archive.leave(open_run, to)
    assert not list(tmp_path.rglob("*.oac"))
    assert engine.archive.leave(open_run, Departure(str(tmp_path), without=("slow-reader",))).left
    with pytest.raises(RunNotFound):
        engine.archive.leave(open_run, to)


def test_a_run_whose_family_has_not_ended_stays(opened: Open, tmp_path: Path) -> None:
    engine = opened()
    engine.publish(DOCUMENT)
    parent = {
        "id": "parent",
        "steps": [
            {"id": "child", "workflow": "shouting", "inputs": {"text": "c"}},
            {"id": "ok", "wait_for": {"signal": "go"}},
        ],
    }
    run = engine.start(parent)
    wait_for(lambda: any(step.id == "ok" for step in engine.state(run).steps), 20)
    child = engine.state(run).children["child"]
    with pytest.raises(CannotLeave, match=run):
        engine.archive.leave(child, Departure(str(tmp_path)))
    engine.signal(run, "go")
    engine.wait(run, timeout=20)
    for each in (child, run):
        engine.archive.leave(each, Departure(str(tmp_path)))


def test_an_object_store_is_a_place_like_others(opened: Open) -> None:
    engine = opened()
    [run] = ran(engine, "a")
    gone = engine.archive.leave(run, Departure("memory://bucket/runs/"))
    assert gone.url.startswith("memory://bucket/runs/shouting/")
    assert engine.archive.restore(run) == "completed"
    with pytest.raises(ArchiveUnreachable, match="s3fs"):
        engine.archive.leave(run, Departure("s3://bucket/runs"))


def test_the_key_of_an_archived_run_begins_no_other_one(opened: Open, tmp_path: Path) -> None:
    engine = opened()
    run = engine.run(DOCUMENT, {"text": "a"}, idempotency_key="k", timeout=20).id
    engine.archive.leave(run, Departure(str(tmp_path)))
    with pytest.raises(RunExists, match="archive"):
        engine.start(DOCUMENT, {"text": "a"}, idempotency_key="k")
    engine.archive.restore(run)
    assert engine.start(DOCUMENT, {"text": "a"}, idempotency_key="k") == run
    engine.archive.leave(run, Departure(""))
    again = engine.run(DOCUMENT, {"text": "b"}, idempotency_key="k", timeout=20)
    assert (again.id, again.output) == (run, {"text": "B!"})  # one that is deleted has never been


def test_two_who_archive_at_once_leave_one_good_copy(opened: Open, tmp_path: Path) -> None:
    engine = opened()
    runs = ran(engine, *"abcdefgh")
    others = [opened(workers=0) for _ in range(3)]
    said: list[str] = []

    def work(who: Engine) -> None:
        for run in runs:
            try:
                said.append(who.archive.leave(run, Departure(str(tmp_path))).run)
            except (RunNotFound, CannotLeave):
                continue

    threads = [threading.Thread(target=work, args=(who,)) for who in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said) == sorted(runs)
    for run in runs:
        assert engine.archive.restore(run) == "completed"


def test_a_damaged_file_is_refused_and_nothing_changes(opened: Open, tmp_path: Path) -> None:
    engine = opened()
    [run] = ran(engine, "a")
    gone = engine.archive.leave(run, Departure(str(tmp_path)))
    raw = read(gone.url)
    write(gone.url, raw[:-1] + b"x")
    with pytest.raises(CapsuleUnreadable):
        engine.archive.restore(run)
    with pytest.raises(RunNotFound):
        engine.state(run)
    write(gone.url, raw)
    assert engine.archive.restore(run) == "completed"
    with pytest.raises(ArchiveUnreachable):
        engine.archive.leave(run, Departure("nosuchplace://bucket"))
    (tmp_path / "file").write_text("")
    with pytest.raises(ArchiveUnreachable):
        engine.archive.leave(run, Departure(str(tmp_path / "file")))
    assert engine.state(run).status == "completed"


def test_archived_runs_stay_proved(opened: Open, tmp_path: Path) -> None:
    engine = opened()
    key = signer(key_file(tmp_path))
    [run] = ran(engine, "a")
    engine.audit.seal(key)
    gone = engine.archive.leave(run, Departure(str(tmp_path)))
    audit = engine.audit.verify()
    assert (audit.intact, audit.archived) == (True, 8)
    engine.audit.seal(key)
    capsule = unpack(read(gone.url))
    assert capsule.proofs is not None
    proof = read_proof(json.loads(capsule.proofs), "here")
    partition = engine.core.store.keys.partition_of(run)
    stored = [event.stored(run) for event in capsule.events]
    assert check_proof(run, partition, stored, proof, {key.id: key.public}).verified == 8
    assert engine.archive.restore(run) == "completed"


# -- the log with gaps -----------------------------------------------------------------------------------

DEEDS = some.lists(some.tuples(some.sampled_from(["run", "note", "leave"]), some.integers(0, 30)), max_size=25)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(DEEDS, some.integers(1, 7))
def test_readers_see_each_event_that_is_left_once_and_in_order(
    server: Server, tmp_path: Path, deeds: list[tuple[str, int]], page: int
) -> None:
    with Engine.connect(server.url, prefix=server.prefix(), components=[shout], workers=1, partitions=2) as engine:
        there: list[str] = []
        for kind, number in deeds:
            if kind == "run":
                there += ran(engine, str(number))
            elif kind == "note":
                engine.events.append(
                    f"{number % 2}-facts", [Event("Noted", {"i": i}) for i in range(number)] or [Event("No")]
                )
            elif there:
                engine.archive.leave(there.pop(number % len(there)), Departure(str(tmp_path)))
        whole = engine.events.read_all()
        wanted = sorted((x.stream, x.version) for x in whole)
        assert len(set(wanted)) == len(wanted)
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
        while found := engine.events.tail(after=cursor, block_ms=0, limit=page):
            cursor, tailed = next_cursor(cursor, found), tailed + found
        assert sorted((x.stream, x.version) for x in tailed) == wanted
        assert engine.doctor() == []
        assert [drift for name in engine.views.views.names() for drift in engine.views.verify(name)] == []


def test_a_reader_that_stands_where_a_run_was_goes_on_behind_it(server: Server, tmp_path: Path) -> None:
    with Engine.connect(server.url, prefix=server.prefix(), components=[shout], workers=1, partitions=1) as engine:
        first, second = ran(engine, "a", "b")
        cursor = next_cursor({}, engine.events.read_all(limit=4))
        engine.archive.leave(first, Departure(str(tmp_path)))
        seen = engine.events.read_all(after=cursor)
        assert [x.stream for x in seen] == [second] * 8 + ["0-archive"]


def test_events_that_are_missing_without_a_note_are_found(server: Server, tmp_path: Path) -> None:
    with Engine.connect(server.url, prefix=server.prefix(), components=[shout], workers=1, partitions=1) as engine:
        _, run, _ = ran(engine, "a", "b", "c")
        hand = Hand(server, engine)
        for identity, fields in hand.redis.execute_command(b"XRANGE", hand.keys.log(0), "-", "+"):
            if fields[1] == run.encode():
                hand.redis.execute_command(b"XDEL", hand.keys.log(0), identity)
        hand.redis.execute_command(b"DEL", hand.keys.stream(run), hand.keys.head(run))
        assert [violation.number for violation in engine.doctor()] == [2]


def test_a_view_that_is_built_anew_has_what_the_store_still_holds(opened: Open, tmp_path: Path) -> None:
    engine = opened()
    run, other = ran(engine, "a", "b")
    engine.archive.leave(run, Departure(str(tmp_path)))
    for name in ("runs", "archive", "steps"):
        engine.views.views.rebuild(name)
        assert engine.views.views.finish_rebuild(name)
    assert [row.id for row in engine.views.runs().items] == [other]
    assert [item.run.id for item in engine.views.archived().items] == [run]
    assert engine.views.components()[0].completed == 2  # what it holds, and not what it once held
    assert engine.views.views.left() != []


# -- retention -------------------------------------------------------------------------------------------


def policy(tmp_path: Path, *rules: dict[str, Any], **more: Any) -> Any:
    path = tmp_path / "policy.json"
    path.write_text(json.dumps({"rules": rules, **more}))
    return read_policy(path)


def test_the_first_rule_that_fits_decides(opened: Open, tmp_path: Path) -> None:
    engine = opened()
    kept, gone = ran(engine, "a", tenant="vip")[0], ran(engine, "b", "c")
    failed, held = ran(engine, "fail", "d")
    engine.archive.hold(held)
    rules = policy(
        tmp_path,
        {"name": "vip", "labels": {"tenant": "vip"}, "then": "keep"},
        {"name": "failures", "status": "failed", "older_than": "0s", "then": "delete"},
        {"name": "young", "workflow": "shouting", "older_than": "1d", "then": "delete"},
        {"name": "rest", "then": "archive"},
        to=str(tmp_path / "archive"),
    )
    now = engine.core.clock.now_ms() + 1000
    dry = apply(rules, engine.archive, engine.views, now, dry_run=True)
    assert [(x.rule, x.fits, x.held, len(x.gone)) for x in dry] == [
        ("vip", 1, 0, 0),
        ("failures", 1, 0, 0),
        ("young", 0, 0, 0),
        ("rest", 3, 1, 0),
    ]
    done = apply(rules, engine.archive, engine.views, now)
    assert [{x.run for x in item.gone} for item in done] == [set(), {failed}, set(), set(gone)]
    assert all(item.before > 3 * item.left for item in done if item.gone)
    assert {row.id for row in engine.views.runs().items} == {kept, held}
    again = apply(rules, engine.archive, engine.views, now)
    assert [len(item.gone) for item in again] == [0, 0, 0, 0]
    with pytest.raises(NotArchived):
        engine.archive.restore(failed)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "[]",
        "{}",
        '{"rules": []}',
        '{"rules": [{"name": "x", "then": "burn"}]}',
        '{"rules": [{"name": "x", "then": "archive"}]}',
        '{"rules": [{"name": "x", "then": "delete", "older_than": "soon"}]}',
        '{"rules": [{"name": "x", "then": "delete", "colour": "red"}]}',
        '{"rules": [{"name": "x", "then": "delete", "to": "/tmp"}]}',
        "[" * 100_000,
    ],
)
def test_a_wrong_policy_is_refused_with_the_reason(tmp_path: Path, wrong: str) -> None:
    path = tmp_path / "policy.json"
    path.write_text(wrong)
    with pytest.raises(PolicyUnreadable):
        read_policy(path)
