"""Encrypted runs whose key is destroyed: null for everybody, and the rest of the history as it was."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from executor.coordination.children import Children
from executor.errors import RunExists
from executor.histories.forking import Fork, fork
from executor.histories.shredding import adopt_key
from openagents_json import Context
from openagents_json.engine.inspection.version_check import check_version
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.errors import Rejected
from tests.conftest import Server, wait_for
from tests.integration.secrecy.encrypted import (
    MANY,
    MARK,
    OLD,
    SIMPLE,
    UNDONE,
    Open,
    batched,
    has_key,
    opening,
    places_of,
    registry,
)


@pytest.fixture
def opened(server: Server) -> Iterator[Open]:
    yield from opening(server)


# -- forks -------------------------------------------------------------------------------------------------


def test_a_fork_has_a_key_of_its_own(opened: Open) -> None:
    engine = opened(OLD)
    large = [MARK] * 5000
    run = engine.run(SIMPLE, {"x": large}, timeout=120).id
    new = engine.replay.fork(run, 2, idempotency_key="k")
    assert engine.replay.fork(run, 2, idempotency_key="k") == new
    assert engine.wait(new, timeout=120).output == large
    assert engine.core.keyring.export_key(new) != engine.core.keyring.export_key(run)
    assert places_of(engine) == set()
    assert engine.shred(run)
    fresh = opened(OLD, workers=0)
    assert fresh.state(run).inputs == {"x": None}
    assert fresh.state(new).output == large
    with pytest.raises(Rejected, match="erased"):
        fork(fresh.core.handler, Fork(run, 2, f"{run[:2]}other"), actor="t")
    with pytest.raises(RunExists):
        fork(fresh.core.handler, Fork(new, 2, new), actor="t")
    assert (
        opened(OLD, workers=0).state(new).output == large
    )  # what lost the commit has not touched the key


def test_a_fork_of_a_plain_run_is_encrypted_where_there_are_keys(opened: Open) -> None:
    run = opened().run(SIMPLE, {"x": [MARK] * 5000}, timeout=120).id
    engine = opened(OLD)
    before = places_of(engine)
    new = engine.replay.fork(run, 2)
    assert engine.wait(new, timeout=120).ok
    assert places_of(engine) == before
    assert has_key(engine, new)
    with pytest.raises(Rejected, match="no key to destroy"):
        engine.shred(run)


# -- shredding ---------------------------------------------------------------------------------------------


def test_what_is_shredded_is_null_for_everybody_and_the_rest_of_the_history_stays(
    opened: Open,
) -> None:
    engine, other = opened(OLD), opened(OLD, workers=0)
    run = engine.run(UNDONE, {"x": MARK}, timeout=120).id
    good = engine.run(UNDONE, {"x": "mended"}, timeout=120).id
    before = [
        (e.version, e.type, e.step, e.actor, e.commit) for e in engine.history(run)
    ]
    assert other.state(run).inputs == {"x": MARK}
    stored = engine.core.connection.command(
        b"XRANGE", engine.core.store.keys.stream(run), b"-", b"+"
    )
    assert engine.shred(run, "the customer asked for it")
    assert not engine.shred(run)
    assert not other.shred(run)
    after = engine.core.connection.command(
        b"XRANGE", engine.core.store.keys.stream(run), b"-", b"+"
    )
    assert after[: len(stored)] == stored  # what was proved stays as it was
    for look in (engine, other, opened(OLD, workers=0), opened(workers=0)):
        shown = look.state(run)
        assert (shown.erased, shown.inputs, shown.status) == (
            True,
            {"x": None},
            "failed",
        )
        assert shown.error is not None
        assert MARK not in repr(
            [
                shown,
                look.history(run),
                look.explain(run) if look.core.keyring.ids else "",
            ]
        )
        assert MARK not in repr(
            [look.replay.state_at(run, version=4), look.replay.shown(run)]
        )
        assert look.replay.state_at(run, version=4).erased
        history = look.history(run)
        assert [(e.version, e.type, e.step, e.actor, e.commit) for e in history][
            :-1
        ] == before
        assert (history[-1].type, history[-1].data["reason"]) == (
            "RunRedacted",
            "the customer asked for it",
        )
        assert history[0].data["erased"] == [["inputs", "x"]]
        assert look.history(run, after=1)[0].data["erased"] == [["inputs", "x"]]
    assert not engine.replay.diff(run, good).same
    checked = check_version(engine, UNDONE)
    assert (checked.looked_at, checked.differing) == (1, ())
    assert [row.redacted for row in engine.views.runs().items] == [False, True]
    refused: list[Callable[[], object]] = [
        lambda: engine.retry(run),
        lambda: engine.retry(run, inputs={"x": 1}),
        lambda: engine.replay.replay(run),
        lambda: engine.replay.skip(run, "b"),
        lambda: engine.replay.fork(run, 1),
        lambda: engine.replay.fork(run, 1, inputs={"x": 1}),
    ]
    for again in refused:
        with pytest.raises(Rejected, match="erased"):
            again()


def test_every_kind_of_run_can_be_looked_at_when_it_is_shredded(opened: Open) -> None:
    engine = opened(OLD)
    engine.publish(SIMPLE)
    many = engine.start(MANY, {"xs": [MARK, {MARK: MARK}]})
    wait_for(lambda: any(step.id == "ok" for step in engine.state(many).steps))
    engine.signal(many, "go", [MARK] * 5000)
    runs = [
        many,
        *(
            engine.run(batched(mode), {"x": [MARK] * 5000}, timeout=20).id
            for mode in ("checkpoint", "outcome")
        ),
    ]
    assert engine.wait(many, timeout=120).ok
    kid = engine.state(many).children["kid"]
    engine.replay.replay(many)
    assert engine.wait(many, timeout=120).ok
    for run in runs:
        last = len(engine.history(run))
        assert engine.shred(run)
        for look in (engine, opened(workers=0)):
            assert MARK not in repr(
                [look.replay.state_at(run, version=at) for at in range(1, last + 2)]
            )
            assert look.replay.replayed(run) is None or run == many
    assert engine.state(kid).inputs["x"]  # a child run is a run of its own
    assert engine.shred(kid)
    assert engine.replay.diff(*runs[1:]).status == ("completed", "completed")


def test_only_closed_runs_that_are_not_held_are_shredded(opened: Open) -> None:
    engine = opened(OLD)
    waiting = engine.start({"id": "w", "steps": [{"id": "ok", "wait_for": "go"}]})
    with pytest.raises(Rejected, match="the run is running"):
        engine.shred(waiting)
    engine.cancel(waiting)
    assert engine.wait(waiting, timeout=120).status == "cancelled"
    run = engine.run(SIMPLE, {"x": MARK}, timeout=120).id
    engine.core.handler.handle(run, cmd.HoldRun(True, "a case"), actor="t")
    with pytest.raises(Rejected, match="the run is held"):
        engine.shred(run)
    assert engine.state(run).inputs == {"x": MARK}
    engine.core.handler.handle(run, cmd.HoldRun(False), actor="t")
    assert engine.shred(run)
    engine.core.handler.handle(run, cmd.HoldRun(True, "late"), actor="t")
    assert engine.state(run).inputs == {"x": None}
    assert engine.shred(waiting)


def test_a_result_that_a_parent_waits_for_is_not_shredded(opened: Open) -> None:
    idle = opened(OLD, workers=0)
    idle.publish(
        {
            "id": "child",
            "steps": [{"id": "s", "wait_for": "go"}],
            "output": "{{s.output}}",
        }
    )
    parent = {
        "id": "parent",
        "steps": [{"id": "kid", "workflow": "child"}],
        "output": "{{kid.output}}",
    }
    run = idle.start(parent)
    child = idle.state(run).children["kid"]
    Children(idle.core.handler, idle.core.starter, idle.core.workflows).look_after(
        run, "kid", actor="t"
    )
    idle.signal(child, "go", MARK)
    assert idle.wait(child, timeout=120).output == MARK
    with pytest.raises(Rejected, match=f"step kid of run {run} waits for the result"):
        idle.shred(child)
    assert opened(OLD).wait(run, timeout=120).output == MARK
    assert idle.shred(child)
    assert (idle.state(run).output, idle.state(child).output) == (MARK, None)


def test_two_who_shred_at_once_leave_one_record(opened: Open) -> None:
    engines = [opened(OLD), opened(OLD, workers=0), opened(OLD, workers=0)]
    for _ in range(5):
        run = engines[0].run(SIMPLE, {"x": MARK}, timeout=120).id
        threads = [
            threading.Thread(target=engine.shred, args=(run,)) for engine in engines
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [e.type for e in engines[0].history(run)].count("RunRedacted") == 1
        assert not has_key(engines[0], run)


def test_what_components_showed_goes_with_the_key(opened: Open) -> None:
    engine = opened(OLD)
    components = registry()

    def tells(context: Context) -> int:
        context.emit(MARK)
        return 1

    components.tool("tells")(tells)
    telling = opened(OLD, components=components)
    run = telling.run(
        {"id": "t", "steps": [{"id": "a", "component": "tells"}]}, timeout=20
    ).id
    keys = engine.core.store.keys
    shown = {
        keys.output(run).decode()
    }  # the one place that is documented to be readable; a thread writes it
    wait_for(lambda: places_of(engine) == shown, 20)
    assert engine.shred(run)
    assert places_of(engine) == set()


def test_a_key_that_was_destroyed_does_not_come_back(opened: Open) -> None:
    engine = opened(OLD)
    run = engine.run(SIMPLE, {"x": MARK}, timeout=120).id
    key = engine.core.keyring.export_key(run)
    assert key is not None
    adopt_key(engine.core.handler, run, key)
    engine.shred(run)
    with pytest.raises(Rejected, match="was destroyed here"):
        adopt_key(engine.core.handler, run, key)
    assert not has_key(engine, run)
    engine.core.keyring.adopt_key(run, key)  # as somebody may who was under way with it
    assert not engine.shred(run)
    assert not has_key(engine, run)
