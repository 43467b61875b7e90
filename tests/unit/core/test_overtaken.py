"""A worker's commit that others overtook leaves facts and no decision: whoever decides next decides on those first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.decide.decider import child_id
from openagents_json.workflow.core.decide.decision import DecisionBuilder
from openagents_json.workflow.core.decide.unwind import end_completed
from tests.simulation import Simulation, plan_of, steps

BOOM: dict[str, Any] = {"type": "Boom", "message": "it failed", "retryable": True}
FAN: list[dict[str, Any]] = [
    {"id": "b0"},
    {"id": "bad"},
    {"id": "b2"},
    {"id": "join", "depends_on": ["b0", "bad", "b2"]},
]
INNER = [{"component": "c", **step} for step in FAN]


def leave(run: Simulation, *outcomes: tuple[str, bool]) -> None:
    """Store outcomes as facts alone: the worker dies before it decides again."""
    for path, well in outcomes:
        attempt = run.claim(path).attempt
        outcome = (
            cmd.Completed(path, attempt, 1)
            if well
            else cmd.Failed(path, attempt, {**BOOM, "message": path})
        )
        run.give_facts(cmd.RecordOutcomes((outcome,)))


def begun(*specs: dict[str, Any], **document: Any) -> Simulation:
    run = Simulation(plan_of(steps(*specs, execution="graph", **document)))
    run.start()
    return run


def names(events: list[ev.Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def test_the_failure_of_a_plain_graph_is_decided_by_the_next_outcome_and_nothing_begins() -> (
    None
):
    run = begun(*FAN)
    run.complete("b0")
    leave(run, ("bad", False))
    assert names(run.complete("b2")) == ["StepCompleted", "RunFailed"]
    assert (run.state.status, run.state.failed_step) == (st.FAILED, "bad")


@pytest.mark.parametrize(
    "repeat", [{}, {"foreach": [1]}, {"loop": {"max_iterations": 1}}]
)
def test_the_failure_inside_of_a_block_an_item_or_an_iteration_fails_what_holds_it(
    repeat: dict[str, Any],
) -> None:
    held = (
        {"loop": {"max_iterations": 1, "steps": INNER}}
        if "loop" in repeat
        else {"steps": INNER, **repeat}
    )
    run = Simulation(
        plan_of({"id": "w", "steps": [{"id": "each", **held}], "execution": "graph"})
    )
    run.start()
    frame = "each[0]" if repeat else "each"
    run.complete(f"{frame}.b0")
    leave(run, (f"{frame}.bad", False))
    run.complete(f"{frame}.b2")
    assert (run.state.status, run.state.failed_step) == (st.FAILED, "each")
    assert run.state.error is not None
    assert run.state.error["at"] == f"{frame}.bad"
    assert f"{frame}.join" not in run.state.steps


def test_a_failed_item_fails_its_foreach_before_another_step_begins() -> None:
    run = begun(
        {"id": "each", "foreach": [1, 2]}, {"id": "a"}, {"id": "b", "depends_on": ["a"]}
    )
    leave(run, ("each[1]", False))
    run.complete("a")
    assert (run.state.status, run.state.failed_step, run.state.steps.get("b")) == (
        st.FAILED,
        "each",
        None,
    )


def test_a_tolerated_item_does_not_and_its_foreach_goes_on_with_the_next() -> None:
    each = {
        "id": "each",
        "foreach": [1, 2, 3],
        "tolerated_failures": 1,
        "max_concurrency": 1,
    }
    run = begun(each, {"id": "a"})
    leave(run, ("each[0]", False))
    run.complete("a")
    assert list(run.claimable) == ["each[1]"]
    run.complete("each[1]")
    run.complete("each[2]")
    assert (run.state.status, run.state.output) == (
        st.COMPLETED,
        {"each": [None, None, None], "a": None},
    )


def test_the_first_of_two_failures_is_the_one_that_the_run_fails_with() -> None:
    run = begun({"id": "a"}, {"id": "b"}, {"id": "c"})
    leave(run, ("b", False), ("a", False))
    run.complete("c")
    assert run.state.failed_step == "b"
    assert run.state.error is not None
    assert run.state.error["message"] == "b"


def test_a_lost_worker_elsewhere_decides_on_the_failure_too() -> None:
    run = begun({"id": "a"}, {"id": "b"}, {"id": "j", "depends_on": ["a", "b"]})
    leave(run, ("a", False))
    run.give(cmd.LoseLease("b", run.claim("b").fence))
    assert (run.state.status, run.state.failed_step) == (st.FAILED, "a")


OTHERS: dict[str, tuple[dict[str, Any], Callable[[Simulation], cmd.Command]]] = {
    "timer": ({"component": None, "sleep": 9}, lambda run: cmd.FireTimer("x", 1)),
    "signal": (
        {"component": None, "wait_for": {"signal": "go"}},
        lambda run: cmd.SendSignal("go", 1, None, "s1"),
    ),
    "child": (
        {"component": None, "workflow": "child"},
        lambda run: cmd.CloseChild("x", run.state.steps["x"].child, st.COMPLETED, 1),
    ),
    "gate": ({"mutex": "k"}, lambda run: cmd.Admit("x", {"k": 1})),
    "limit": ({"timeouts": {"total": 5}}, lambda run: cmd.TimeOutStep("x", "total")),
    "run limit": ({}, lambda run: cmd.TimeOutRun()),
    "override": ({}, lambda run: cmd.OverrideStep("x", "completed", 1)),
    "pause": ({}, lambda run: cmd.PauseRun()),
    "advance": ({}, lambda run: cmd.Advance()),
}


@pytest.mark.parametrize("other", OTHERS)
def test_whoever_decides_next_decides_on_the_failure_first(other: str) -> None:
    spec, command = OTHERS[other]
    x = {
        key: value
        for key, value in {"component": "c", "id": "x", **spec}.items()
        if value is not None
    }
    join = {"id": "j", "component": "c", "depends_on": ["x", "bad"]}
    document = {
        "id": "w",
        "steps": [{"id": "bad", "component": "c"}, x, join],
        "execution": "graph",
    }
    run = Simulation(plan_of({**document, "timeout": 60}))
    run.start()
    leave(run, ("bad", False))
    if other in (
        "signal",
        "override",
        "pause",
    ):  # there is nothing left to do it to; that is stored by itself
        with pytest.raises(cmd.Rejected, match="the run is failed"):
            run.give(command(run))
        run.give(cmd.Advance())
    else:
        run.give(command(run))
    assert (run.state.status, run.state.failed_step) == (st.FAILED, "bad")
    assert "j" not in run.state.steps


def test_a_step_to_be_tried_again_and_one_that_completed_are_decided_on_by_the_next_outcome() -> (
    None
):
    retry = {"max_retries": 1, "delay_seconds": 0}
    run = begun(
        {"id": "again", "retry": retry},
        {"id": "a"},
        {"id": "b", "depends_on": ["a"]},
        {"id": "c"},
    )
    leave(run, ("again", False), ("a", True))
    assert sorted(names(run.complete("c"))) == [
        "StepCompleted",
        "StepRetryScheduled",
        "StepScheduled",
    ]
    assert set(run.claimable) == {"again", "b"}


def test_a_block_that_was_done_before_the_failure_is_completed_and_so_undone() -> None:
    inner = {"steps": [{"id": "i", "component": "c"}], "compensate": "undo"}
    block = {
        key: value
        for key, value in {"id": "block", **inner}.items()
        if key != "component"
    }
    document = {
        "id": "w",
        "steps": [block, {"id": "a", "component": "c"}, {"id": "b", "component": "c"}],
    }
    run = Simulation(plan_of({**document, "execution": "graph"}))
    run.start()
    leave(run, ("block.i", True), ("a", False))
    run.complete("b")
    assert run.statuses()["block~compensate"] == st.SCHEDULED
    run.complete("block~compensate")
    assert (run.state.status, run.state.failed_step) == (st.FAILED, "a")


def test_the_failure_of_a_compensation_and_of_a_step_on_failure_is_told_with_the_error() -> (
    None
):
    undo = {"component": "undo", "retry": {"max_retries": 0}}
    on_failure = {
        "steps": [{"id": "x", "component": "c"}, {"id": "y", "component": "c"}],
        "execution": "graph",
    }
    run = begun({"id": "a", "compensate": undo}, {"id": "b"}, on_failure=on_failure)
    run.complete("a")
    run.fail("b")
    leave(run, ("a~compensate", False))
    run.give(cmd.Advance())
    leave(run, ("~on_failure.x", False))
    run.complete("~on_failure.y")
    assert run.state.status == st.FAILED
    assert run.state.error is not None
    assert run.state.error["not_compensated"] == ["a", "~on_failure"]


def test_an_outcome_that_lost_its_decision_while_the_run_is_cancelled_does_not_fail_it() -> (
    None
):
    run = begun({"id": "a"}, {"id": "b"})
    run.claim("a")
    run.claim("b")
    run.give(cmd.CancelRun("enough"))
    run.give_facts(cmd.RecordOutcomes((cmd.Failed("a", 1, BOOM),)))
    run.complete("b")
    assert (run.state.status, run.state.reason) == (st.CANCELLED, "enough")


def test_what_failed_while_the_run_was_paused_is_decided_on_when_it_goes_on() -> None:
    run = begun({"id": "a"}, {"id": "b"}, {"id": "c"})
    run.claim("a")
    run.claim("b")
    run.give(cmd.PauseRun())
    run.give_facts(cmd.RecordOutcomes((cmd.Failed("b", 1, BOOM),)))
    run.fail("a")
    assert run.state.status == st.PAUSED
    run.give(cmd.ResumeRun())
    assert (run.state.status, run.state.failed_step) == (st.FAILED, "b")


def test_a_run_cannot_be_ended_as_completed_with_a_step_that_failed_for_good() -> None:
    run = begun({"id": "a"}, {"id": "b"})
    run.complete("b")
    leave(run, ("a", False))
    turn = DecisionBuilder(run.plan, run.state, {}, child_id)
    end_completed(turn, lambda: "all is well")
    assert (turn.state.status, turn.state.failed_step) == (st.FAILED, "a")


def test_a_terminate_step_cannot_complete_a_run_whose_failure_nobody_has_decided_on() -> (
    None
):
    end = {"id": "end", "terminate": {"status": "success"}, "depends_on": ["a"]}
    specs = [{"id": "a", "component": "c"}, {"id": "bad", "component": "c"}, end]
    run = Simulation(plan_of({"id": "w", "steps": specs, "execution": "graph"}))
    run.start()
    leave(run, ("bad", False))
    run.complete("a")
    assert (run.state.status, run.state.failed_step) == (st.FAILED, "bad")


def test_a_terminate_step_in_what_is_done_on_failure_ends_that_and_the_run_fails_with_its_own_error() -> (
    None
):
    run = begun(
        {"id": "a"},
        on_failure={"steps": [{"id": "t", "terminate": {"status": "success"}}]},
    )
    run.fail("a")
    assert (run.state.status, run.state.failed_step) == (st.FAILED, "a")
