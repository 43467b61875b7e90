"""Runs again: forks, other versions, steps by hand, states of the past, differences, explanations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from executor.errors import NoSuchVersion, RunNotFound
from openagents_json import tool
from openagents_json.engine import Engine, RunFilter
from openagents_json.workflow.errors import InvalidInputs, Rejected
from tests.conftest import Server, wait_for
from tests.integration.again.notes import calls, document, note, picky, waiting

Open = Callable[..., Engine]


@pytest.fixture
def opened(server: Server) -> Iterator[Open]:
    prefix, engines = server.prefix(), list[Engine]()
    calls.clear()

    def begin(**options: Any) -> Engine:
        defaults = {"components": [note, picky], "workers": 2, "partitions": 4}
        engines.append(
            Engine.connect(server.url, prefix=prefix, **{**defaults, **options})
        )
        return engines[-1]

    yield begin
    look = begin(workers=0)
    assert look.doctor() == []
    assert [
        drift
        for name in ("runs", "steps", "workers")
        for drift in look.views.verify(name)
    ] == []
    for engine in engines:
        engine.close()


def event(engine: Engine, run: str, kind: str, step: str | None = None) -> int:
    """Return the version of the first event of a kind."""
    return next(
        e.version
        for e in engine.history(run)
        if e.type == kind and step in (None, e.step)
    )


def test_a_fork_has_the_same_past_and_goes_its_own_way(opened: Open) -> None:
    engine = opened()
    run = engine.run(document(), {"x": 3}, labels={"tenant": "a"}, timeout=20)
    assert run.output == {"result": 30}
    at = event(engine, run.id, "StepCompleted", "first")
    calls.clear()
    new = engine.replay.fork(run.id, at, reason="look again")
    assert engine.wait(new, timeout=120).output == {"result": 30}
    assert [name for name, _ in calls] == ["picky", "third"]
    past, here = engine.history(run.id)[:at], engine.history(new)
    assert [e.type for e in here[:at]] == [e.type for e in past]
    [forked] = [e for e in here if e.type == "RunForked"]
    assert (forked.version, forked.data["source"], forked.data["at"]) == (
        at + 1,
        run.id,
        at,
    )
    assert forked.data["reason"] == "look again"
    assert engine.state(new).labels == {"tenant": "a"}
    assert engine.views.runs(RunFilter(source=(run.id,))).items[0].id == new
    assert engine.state(run.id).status == "completed"


def test_steps_behind_gates_are_done_again(opened: Open) -> None:
    engine = opened()
    gates: dict[str, Any] = {
        "mutex": "k",
        "rate_limit": {"key": "r", "limit": 100, "per_seconds": 1},
    }
    gated = document(steps=[{**step, **gates} for step in document()["steps"]])
    run = engine.run(gated, {"x": -1}, timeout=120).id
    engine.retry(run)
    assert engine.wait(run, timeout=120).status == "failed"
    engine.retry(run, step="first", inputs={"x": 2})
    assert engine.wait(run, timeout=120).output == {"result": 20}
    fork = engine.replay.fork(run, event(engine, run, "StepStarted", "second"))
    assert (
        engine.wait(fork, timeout=120).status == "failed"
    )  # its past has the first inputs
    engine.replay.replay(fork, inputs={"x": 3})
    assert engine.wait(fork, timeout=120).output == {"result": 30}


def test_every_event_of_a_run_can_be_the_last_one_of_a_forks_past(opened: Open) -> None:
    engine = opened()
    run = engine.run(document(), {"x": 3}, timeout=20)
    last = len(engine.history(run.id))
    new = [engine.replay.fork(run.id, at) for at in range(1, last)]
    assert [engine.wait(fork, timeout=120).output for fork in new] == [
        {"result": 30}
    ] * (last - 1)
    with pytest.raises(Rejected, match="fork it at an earlier one"):
        engine.replay.fork(run.id, last)
    for wrong in (0, last + 1):
        with pytest.raises(NoSuchVersion, match=f"events 1 to {last}"):
            engine.replay.fork(run.id, wrong)
    with pytest.raises(RunNotFound):
        engine.replay.fork("0-none", 1)


def test_a_fork_of_a_run_that_was_being_undone_undoes_it_anew(opened: Open) -> None:
    engine = opened()
    steps = document()["steps"]
    steps[0]["compensate"] = {"component": "note", "inputs": {"name": "undo"}}
    run = engine.run(document(steps=steps), {"x": -1}, timeout=20)
    engine.retry(run.id)
    assert engine.wait(run.id, timeout=120).status == "failed"
    last = len(engine.history(run.id))
    new = [engine.replay.fork(run.id, last - back) for back in range(1, 6)]
    assert {engine.wait(fork, timeout=120).status for fork in new} == {"failed"}
    undone = [
        e.data["attempt"]
        for e in engine.history(run.id)
        if e.type == "StepStarted" and "~" in str(e.step)
    ]
    assert undone == [1, 2]


def test_a_fork_of_a_run_under_way_waits_for_its_own_signal(opened: Open) -> None:
    engine = opened()
    run = engine.start(waiting(), {"x": 1})
    wait_for(lambda: any(s.id == "ok" for s in engine.state(run).steps))
    new = engine.replay.fork(run, len(engine.history(run)), inputs={"x": 2})
    engine.signal(new, "go")
    assert engine.wait(new, timeout=120).status == "completed"
    assert engine.state(run).status == "running"
    engine.cancel(run)
    engine.wait(run, timeout=120)


def test_a_fork_goes_on_with_another_input_and_is_made_once_for_a_key(
    opened: Open,
) -> None:
    engine = opened()
    run = engine.run(document(), {"x": -1}, timeout=20)
    assert run.status == "failed"
    forks = {
        engine.replay.fork(run.id, 1, inputs={"x": 4}, idempotency_key="k")
        for _ in range(3)
    }
    [new] = forks
    assert engine.wait(new, timeout=120).output == {"result": 40}
    assert len([e for e in engine.history(new) if e.type == "RunForked"]) == 1


def test_a_failed_run_goes_on_by_another_version_of_its_workflow(opened: Open) -> None:
    engine = opened()
    run = engine.run(document(), {"x": -1}, timeout=20)
    mended = document(version="1.1.0")
    mended["steps"][1] = {
        "id": "second",
        "component": "note",
        "inputs": {"x": "{{first.output}}", "name": "mended"},
    }
    mended["steps"].append(
        {
            "id": "last",
            "component": "note",
            "inputs": {"x": "{{third.output}}", "name": "last"},
        }
    )
    engine.publish(mended)
    calls.clear()
    engine.retry(run.id, workflow="order@1.1.0")
    assert engine.wait(run.id, timeout=120).output == {"result": -1}
    assert [name for name, _ in calls] == ["mended", "third", "last"]
    for other in (engine, opened(workers=0)):
        assert [step.id for step in other.state(run.id).steps] == [
            "first",
            "second",
            "third",
            "last",
        ]
    [row] = engine.views.runs(RunFilter(version=("1.1.0",))).items
    assert (row.id, row.reopened) == (run.id, 1)
    [reopened] = [e for e in engine.history(run.id) if e.type == "RunReopened"]
    assert reopened.data["version"] == "1.1.0"


def test_a_version_without_a_place_for_what_is_kept_is_refused(opened: Open) -> None:
    engine = opened()
    run = engine.run(document(), {"x": -1}, timeout=20)
    smaller = document(version="2.0.0", steps=document()["steps"][1:], output={})
    smaller["steps"][0]["inputs"] = {"x": 1}
    smaller["steps"][1]["inputs"] = {"x": 1}
    with pytest.raises(Rejected, match="first is not in it"):
        engine.retry(run.id, workflow=smaller)
    with pytest.raises(Rejected, match="is one of workflow order, not of other"):
        engine.retry(run.id, workflow=document(id="other"))
    assert engine.state(run.id).status == "failed"


def test_a_step_is_skipped_or_completed_by_hand(opened: Open) -> None:
    engine = opened()
    skipped, completed = (
        engine.run(document(), {"x": -1}, timeout=20).id for _ in range(2)
    )
    engine.replay.skip(skipped, "second", "not needed")
    engine.replay.complete(completed, "second", 99, "computed by hand")
    assert engine.wait(skipped, timeout=120).output == {"result": None}
    assert engine.wait(completed, timeout=120).output == {"result": 99}
    [by_hand] = [e for e in engine.history(completed) if e.type == "StepOverridden"]
    assert (by_hand.step, by_hand.data["reason"], by_hand.actor) == (
        "second",
        "computed by hand",
        "program",
    )


def test_a_step_that_a_worker_runs_is_completed_by_hand_and_its_own_outcome_is_refused(
    opened: Open,
) -> None:
    gate: list[bool] = []

    @tool("slow")
    def slow() -> str:
        wait_for(lambda: bool(gate))
        return "too late"

    engine = opened(components=[note, slow])
    run = engine.start(
        {
            "id": "w",
            "steps": [{"id": "s", "component": "slow"}],
            "output": {"r": "{{s.output}}"},
        }
    )
    wait_for(lambda: any(step.status == "started" for step in engine.state(run).steps))
    engine.replay.complete(run, "s", "by hand")
    assert engine.wait(run, timeout=120).output == {"r": "by hand"}
    gate.append(True)
    wait_for(lambda: not engine._worker.runtime.keeper.jobs())  # type: ignore[union-attr]
    assert engine.state(run).output == {"r": "by hand"}


def test_a_run_is_done_again_and_only_what_has_changed_runs(opened: Open) -> None:
    engine = opened()
    run = engine.run(document(), {"x": 3}, timeout=20).id
    assert engine.replay.replayed(run) is None
    calls.clear()
    engine.replay.replay(run, reason="look again")
    assert engine.wait(run, timeout=120).output == {"result": 30}
    assert calls == []
    replayed = engine.replay.replayed(run)
    assert replayed is not None
    assert [(step.step, step.reused) for step in replayed.steps] == [
        ("first", True),
        ("second", True),
        ("third", True),
    ]
    mended = document(version="1.1.0")
    mended["steps"][1]["component"] = "note"
    engine.replay.replay(run, plan=engine.plan(mended))
    assert engine.wait(run, timeout=120).output == {"result": 3}
    assert [name for name, _ in calls] == ["note", "third"]
    replayed = engine.explain(run).replayed
    assert replayed is not None
    assert {step.step: step.why for step in replayed.steps if not step.reused} == {
        "second": "its definition or its component has changed",
        "third": "its inputs have changed: x",
    }
    assert replayed.saved_ms >= 0
    with pytest.raises(InvalidInputs):
        engine.replay.replay(run, inputs={"x": "no number"})


def test_a_replay_goes_on_where_a_killed_engine_left_it(opened: Open) -> None:
    engine = opened()
    run = engine.run(document(), {"x": 3}, timeout=20).id
    idle = opened(workers=0)
    engine.close(grace_seconds=0)
    idle.replay.replay(run, inputs={"x": 4})
    assert idle.state(run).status == "running"
    assert opened().wait(run, timeout=120).output == {"result": 40}


def test_what_a_fork_has_copied_is_not_counted_again_and_steps_of_opened_runs_are_listed(
    opened: Open,
) -> None:
    engine = opened()
    run = engine.run(document(), {"x": 3}, timeout=20).id
    engine.wait(
        engine.replay.fork(run, event(engine, run, "StepScheduled", "third")),
        timeout=20,
    )
    by_component = {x.component: x.completed for x in engine.views.components()}
    assert by_component == {"note": 3, "picky": 1}
    [worker] = engine.views.workers()
    assert worker.counts["completed"] == 4
    waits = engine.start(waiting(), {"x": 1})
    wait_for(lambda: [step.step for step in engine.views.steps()] == ["ok"])
    engine.cancel(waits)
    engine.wait(waits, timeout=120)
    assert list(engine.views.steps()) == []
    engine.retry(waits)
    wait_for(
        lambda: (
            [(step.step, step.workflow) for step in engine.views.steps()]
            == [("ok", "waiting")]
        )
    )
    forked = engine.replay.fork(waits, event(engine, waits, "StepScheduled", "ok"))
    wait_for(lambda: {step.run for step in engine.views.steps()} == {waits, forked})
    for one in (waits, forked):
        engine.signal(one, "go")
        engine.wait(one, timeout=120)
    assert list(engine.views.steps()) == []


def test_a_run_is_shown_as_it_was(opened: Open) -> None:
    engine = opened()
    run = engine.run(document(), {"x": 3}, timeout=20).id
    history = engine.history(run)
    at = event(engine, run, "StepStarted", "second")
    then = engine.replay.state_at(run, version=at)
    assert (then.status, [s.status for s in then.steps]) == (
        "running",
        ["completed", "started"],
    )
    assert (
        engine.replay.state_at(run, time_ms=history[-1].time_ms).status == "completed"
    )
    assert engine.replay.state_at(run, version=1).steps == ()
    with pytest.raises(NoSuchVersion):
        engine.replay.state_at(run, time_ms=history[0].time_ms - 1)
    with pytest.raises(NoSuchVersion):
        engine.replay.state_at(run, version=len(history) + 1)


def test_what_differs_between_two_runs_is_named_from_the_first_event_on(
    opened: Open,
) -> None:
    engine = opened()
    one, same, other = (
        engine.run(document(), {"x": x}, timeout=20).id for x in (3, 3, -1)
    )
    assert engine.replay.diff(one, same).same
    differences = engine.replay.diff(one, other)
    assert differences.first is not None
    assert (differences.first.step, differences.first.one_version) == ("", 1)
    assert [(c.path, c.one, c.other) for c in differences.inputs] == [("x", 3, -1)]
    steps = {step.step: step for step in differences.steps}
    assert (steps["second"].one, steps["second"].other) == ("completed", "failed")
    assert (steps["third"].one, steps["third"].other) == ("completed", "")
    assert [(c.one, c.other) for c in steps["first"].output] == [(3, -1)]


def test_an_explanation_names_the_failure_and_the_nearest_run_that_completed(
    opened: Open,
) -> None:
    engine = opened()
    near = engine.run(document(), {"x": 1}, timeout=20).id
    failed = engine.run(document(), {"x": -1}, timeout=20).id
    explanation = engine.explain(failed)
    assert (
        explanation.status,
        explanation.step,
        explanation.reference,
        explanation.inputs,
    ) == (
        "failed",
        "second",
        near,
        {"x": -1},
    )
    assert [(a.number, a.end) for a in explanation.attempts] == [(1, "failed")]
    text = "\n".join(explanation.lines())
    assert "step second failed: ValueError: -1 is too small" in text
    assert "input x: -1 here, 1 there" in text
    waits = engine.start(waiting(), {"x": 1})
    wait_for(lambda: engine.explain(waits).waits == {"ok": "waits for signal go"})
    engine.signal(waits, "go")
    engine.wait(waits, timeout=120)
