"""Runs that leave the store and come back: nothing is lost on the way, and what is left is consistent."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventstore.errors import InvalidRequest, StoreRefused
from eventstore.event import Checkpoint, Position
from executor.errors import RunExists, RunNotFound
from openagents_json.engine import Engine, RunFilter
from openagents_json.engine.archive.archive import Departure
from openagents_json.engine.archive.capsule_file import unpack
from openagents_json.engine.archive.files import write
from openagents_json.engine.archive.retention import Policy, Rule, apply
from openagents_json.engine.errors import (
    ArchiveUnreachable,
    CannotLeave,
    CapsuleUnreadable,
    NotArchived,
)
from projections.ledger.proofs.check import check_proof
from projections.ledger.proofs.encoding import read_proof
from projections.projection import Projection
from tests.conftest import Server, wait_for
from tests.integration.ledger.ledgers import (
    DOCUMENT,
    Hand,
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


def test_a_run_that_came_back_is_found_by_the_time_it_began(
    opened: Open, tmp_path: Path
) -> None:
    engine = opened()
    old, *_ = ran(engine, "a", "b", "c", "d", "e")
    engine.archive.leave(old, Departure(str(tmp_path), "old"))
    engine.archive.restore(old)
    began = {row.id: row.started_ms for row in engine.views.runs().items}
    for low in began.values():
        for high in began.values():
            chosen = RunFilter(started_from=low, started_to=high)
            expected = {run for run, at in began.items() if low <= at < high}
            assert {row.id for row in engine.views.runs(chosen).items} == expected
            assert engine.views.count(chosen) == len(expected)
        assert {row.id for row in engine.views.as_of(low).items} == {
            run for run, at in began.items() if at <= low
        }
    assert engine.views.verify("runs") == []


def test_an_archived_run_is_found_and_comes_back_as_it_was(
    opened: Open, tmp_path: Path
) -> None:
    engine, to = opened(), str(tmp_path)
    run, failed, other = ran(engine, "a", "fail", "b", tenant="x")
    history = [
        (e.version, e.type, e.time_ms, e.actor, e.commit, e.data)
        for e in engine.history(failed)
    ]
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
        RunFilter(
            started_from=0,
            ended_from=1,
            fingerprint=(engine.views.failures()[0].fingerprint,),
        ),
        RunFilter(started_from=0, status=("failed",)),
    ):
        assert [item.run.id for item in engine.views.archived(chosen).items] == [failed]
    assert engine.views.archived(RunFilter(started_to=1)).items == ()
    assert {item.run.id for item in engine.views.archived().items} == {run, failed}
    assert engine.archive.restore(failed) == "failed"
    assert engine.archive.restore(failed) == "failed"
    assert [
        (e.version, e.type, e.time_ms, e.actor, e.commit, e.data)
        for e in engine.history(failed)
    ] == history
    assert engine.views.components() == statistics
    assert [item.run.id for item in engine.views.archived().items] == [run]
    engine.retry(failed, inputs={"text": "now"})
    assert engine.wait(failed, timeout=120).output == {"text": "NOW!"}
    assert engine.archive.restore(failed) == "completed"
    with pytest.raises(NotArchived):
        engine.archive.restore("0-nobody")
    engine.archive.leave(failed, Departure(to))
    engine.archive.restore(failed)
    assert engine.state(failed).output == {"text": "NOW!"}


def test_the_memory_is_really_freed(
    opened: Open, server: Server, tmp_path: Path
) -> None:
    engine = opened(workers=4)
    runs = engine.start_many([(DOCUMENT, {"text": f"{i}" * 200}) for i in range(400)])
    for run in runs:
        engine.wait(run, timeout=60)
    engine.views.count()
    hand = Hand(server, engine)

    def used() -> int:
        return sum(
            hand.redis.execute_command(b"MEMORY", b"USAGE", name, b"SAMPLES", 0) or 0
            for name in hand.redis.scan_iter(
                match=f"{engine.core.store.keys.prefix}:*", count=1000
            )
            if b":view:" not in name
        )

    before = used()
    freed = sum(
        engine.archive.leave(run, Departure(str(tmp_path))).before for run in runs
    )
    assert freed > 0.8 * before
    assert used() < 0.25 * before


def test_payloads_that_another_run_needs_stay(opened: Open, tmp_path: Path) -> None:
    engine = opened()
    [run] = ran(engine, "x" * 50_000)
    at = next(e.version for e in engine.history(run) if e.type == "StepCompleted")
    fork = engine.replay.fork(run, at)
    engine.wait(fork, timeout=120)
    engine.archive.leave(run, Departure(str(tmp_path)))
    assert len(engine.state(fork).output["text"]) == 50_001
    engine.archive.leave(fork, Departure(str(tmp_path)))
    blobs = list(
        engine.core.connection.client.scan_iter(
            match=f"{engine.core.store.keys.prefix}:*:blob:*"
        )
    )
    assert blobs == []
    for each in (run, fork):
        engine.archive.restore(each)
        assert len(engine.state(each).output["text"]) == 50_001


def test_what_somebody_still_needs_stays(opened: Open, tmp_path: Path) -> None:
    engine, to = opened(), Departure(str(tmp_path))
    waiting = {
        **DOCUMENT,
        "id": "waiting",
        "steps": [{"id": "ok", "wait_for": {"signal": "go"}}],
    }
    waiting.pop("output")
    open_run = engine.start(waiting)
    with pytest.raises(CannotLeave, match="only closed"):
        engine.archive.leave(open_run, to)
    engine.cancel(open_run)
    engine.wait(open_run, timeout=120)
    engine.archive.hold(open_run, "case 7")
    with pytest.raises(CannotLeave, match="held"):
        engine.archive.leave(open_run, to)
    engine.archive.release(open_run)
    partition = engine.core.store.keys.partition_of(open_run)
    engine.events.save_checkpoint(Checkpoint("slow-reader", Position(partition, 1)))
    with pytest.raises(CannotLeave, match="slow-reader"):
        engine.archive.leave(open_run, to)
    assert not list(tmp_path.rglob("*.oac"))
    assert engine.archive.leave(
        open_run, Departure(str(tmp_path), without=("slow-reader",))
    ).left
    with pytest.raises(RunNotFound):
        engine.archive.leave(open_run, to)


def test_a_projection_that_has_read_nothing_yet_gets_to_read_what_leaves(
    opened: Open, tmp_path: Path
) -> None:
    engine = opened()
    [run] = ran(engine, "a")
    counts = Projection(
        "counts", lambda document, _: (document or 0) + 1, key=lambda event: event.type
    )
    other = opened(workers=0, projections=[counts])
    other.views.views.rebuild("counts")
    with pytest.raises(CannotLeave, match="counts"):
        engine.archive.leave(run, Departure(str(tmp_path)))
    other.views.views.finish_rebuild("counts")
    engine.archive.leave(run, Departure(str(tmp_path)))
    assert other.views.views.get("counts", "RunCompleted") == [1]


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
    engine.wait(run, timeout=120)
    for each in (child, run):
        engine.archive.leave(each, Departure(str(tmp_path)))


def test_runs_leave_when_memory_is_full(private_server: Server, tmp_path: Path) -> None:
    admin = private_server.connect().client
    with Engine.connect(
        private_server.url, components=[shout], workers=2, partitions=2
    ) as engine:
        runs = ran(engine, *(f"{i}" * 40_000 for i in range(6)))
        for name in engine.views.views.names():
            engine.views.views.current(name)
    with Engine.connect(private_server.url) as engine:
        # Connections give back 190 kB in their first seconds, and the runs 750 kB when they leave.
        admin.config_set("maxmemory", admin.info("memory")["used_memory"] - 350_000)
        with pytest.raises(StoreRefused, match="archive and delete old runs"):
            engine.start(DOCUMENT, {"text": "z"})
        for run in runs:
            engine.archive.leave(run, Departure(str(tmp_path)))
        assert engine.start(DOCUMENT, {"text": "z"})
        assert {item.run.id for item in engine.views.archived().items} == set(runs)
        admin.config_set("maxmemory", 0)
        assert engine.doctor() == []


def test_a_url_is_a_place_like_others(opened: Open, tmp_path: Path) -> None:
    engine = opened()
    [run] = ran(engine, "a")
    gone = engine.archive.leave(run, Departure(f"file://{tmp_path}/runs/"))
    assert gone.url.startswith(f"file://{tmp_path}/runs/shouting/")
    assert engine.archive.restore(run) == "completed"
    with pytest.raises(ArchiveUnreachable, match="s3fs"):
        engine.archive.leave(run, Departure("s3://bucket/runs"))


@pytest.mark.parametrize(
    "location", ["memory://", "memory://bucket/runs", "simplecache::memory://x"]
)
def test_a_place_that_ends_with_the_process_is_refused_before_anything_leaves(
    opened: Open, location: str
) -> None:
    engine = opened()
    runs = ran(engine, "a", "b")
    with pytest.raises(
        InvalidRequest, match=r"ends with this process.*name a folder or a server"
    ):
        engine.archive.leave(runs[0], Departure(location))
    delete, archive = (
        Rule(name="d", then="delete", limit=1),
        Rule(name="a", then="archive", to=location),
    )
    policy, now = Policy(rules=(delete, archive)), engine.core.store.now_ms()
    for dry_run in (True, False):
        with pytest.raises(InvalidRequest, match="ends with this process"):
            apply(policy, engine.archive, engine.views, now, dry_run=dry_run)
    assert {row.id for row in engine.views.runs().items} == set(runs)


def test_the_key_of_an_archived_run_begins_no_other_one(
    opened: Open, tmp_path: Path
) -> None:
    engine = opened()
    run = engine.run(DOCUMENT, {"text": "a"}, idempotency_key="k", timeout=120).id
    engine.archive.leave(run, Departure(str(tmp_path)))
    with pytest.raises(RunExists, match="archive"):
        engine.start(DOCUMENT, {"text": "a"}, idempotency_key="k")
    engine.archive.restore(run)
    assert engine.start(DOCUMENT, {"text": "a"}, idempotency_key="k") == run
    engine.archive.leave(run, Departure(""))
    again = engine.run(DOCUMENT, {"text": "b"}, idempotency_key="k", timeout=120)
    assert (again.id, again.output) == (
        run,
        {"text": "B!"},
    )  # one that is deleted has never been


def test_two_who_archive_at_once_leave_one_good_copy(
    opened: Open, tmp_path: Path
) -> None:
    engine = opened()
    runs = ran(engine, *"abcdefgh")
    others = [opened(workers=0) for _ in range(3)]
    messages: list[str] = []

    def work(who: Engine) -> None:
        for run in runs:
            try:
                messages.append(who.archive.leave(run, Departure(str(tmp_path))).run)
            except (RunNotFound, CannotLeave):
                continue

    threads = [threading.Thread(target=work, args=(who,)) for who in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(messages) == sorted(runs)
    for run in runs:
        assert engine.archive.restore(run) == "completed"


def test_a_damaged_file_is_refused_and_nothing_changes(
    opened: Open, tmp_path: Path
) -> None:
    engine = opened()
    [run] = ran(engine, "a")
    gone = engine.archive.leave(run, Departure(str(tmp_path)))
    raw = Path(gone.url).read_bytes()
    write(gone.url, io.BytesIO(raw[:-1] + b"x"))
    with pytest.raises(CapsuleUnreadable):
        engine.archive.restore(run)
    with pytest.raises(RunNotFound):
        engine.state(run)
    write(gone.url, io.BytesIO(raw))
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
    capsule = unpack(Path(gone.url))
    assert capsule.proofs is not None
    proof = read_proof(json.loads(capsule.proofs), "here")
    partition = engine.core.store.keys.partition_of(run)
    stored = [event.stored(run) for event in capsule.events]
    assert (
        check_proof(
            run, partition, stored, proof, {key.id: key.public}, capsule.blobs.get
        ).verified
        == 8
    )
    assert engine.archive.restore(run) == "completed"
