"""What happens to a run, decision by decision."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from eventstore.run_model import Lease
from executor.attempts.jobs import job_of
from executor.runs.repository import Session
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import state as st
from tests.simulation import Simulation, plan_of, steps


def names(events: Sequence[object]) -> list[str]:
    return [type(event).__name__ for event in events]


def test_steps_run_in_array_order_and_the_last_output_is_the_result() -> None:
    run = Simulation(
        plan_of(steps({"id": "a"}, {"id": "b", "inputs": {"x": "{{a.output}}"}}))
    )
    assert names(run.start()) == ["RunStarted", "StepScheduled"]
    assert names(run.complete("a", 5)) == ["StepCompleted", "StepScheduled"]
    assert run.state.steps["b"].inputs == {"x": 5}
    run.complete("b", 6)
    assert (run.state.status, run.state.output) == (st.COMPLETED, {"b": 6})


def test_a_graph_runs_what_is_independent_in_parallel_and_joins() -> None:
    graph = steps(
        {"id": "a"},
        {"id": "b"},
        {"id": "c", "depends_on": ["a", "b"]},
        execution="graph",
    )
    run = Simulation(plan_of(graph))
    run.start()
    assert set(run.claimable) == {"a", "b"}
    run.complete("b")
    assert "c" not in run.state.steps
    run.complete("a")
    assert set(run.claimable) == {"c"}


def test_a_false_condition_skips_one_step_of_a_sequence_and_its_output_is_null() -> (
    None
):
    run = Simulation(
        plan_of(
            steps(
                {"id": "a"},
                {"id": "b", "condition": "{{a.output > 3}}"},
                {"id": "c", "inputs": {"x": "{{b.output}}"}},
            )
        )
    )
    run.start()
    run.complete("a", 1)
    assert run.statuses() == {"a": "completed", "b": "skipped", "c": "scheduled"}
    assert run.state.steps["c"].inputs == {"x": None}


def test_a_dead_path_is_skipped_through_to_the_join() -> None:
    graph = steps(
        {"id": "a"},
        {"id": "b", "condition": "{{a.output == 1}}"},
        {"id": "c", "depends_on": ["b"]},
        {"id": "d", "depends_on": ["a", "c"]},
        execution="graph",
    )
    run = Simulation(plan_of(graph))
    run.start()
    run.complete("a", 2)
    assert run.statuses() == {
        "a": "completed",
        "b": "skipped",
        "c": "skipped",
        "d": "scheduled",
    }


def test_a_failure_is_retried_with_growing_waits_and_then_fails_the_run() -> None:
    retry = {"max_retries": 2, "delay_seconds": 1, "backoff_multiplier": 3}
    run = Simulation(plan_of(steps({"id": "a", "retry": retry})))
    run.start()
    waits = [
        [e.delay_ms for e in run.fail("a") if hasattr(e, "delay_ms")] for _ in range(3)
    ]
    assert waits == [[1000], [3000], []]
    assert (run.state.status, run.state.failed_step) == (st.FAILED, "a")


def test_an_error_that_is_not_retryable_is_not_retried() -> None:
    run = Simulation(plan_of(steps({"id": "a", "retry": {"max_retries": 5}})))
    run.start()
    run.fail("a", retryable=False)
    assert run.state.status == st.FAILED


@pytest.mark.parametrize(
    ("policy", "kind", "retried"),
    [
        ({"retry_on": ["A"]}, "A", True),
        ({"retry_on": ["A"]}, "B", False),
        ({"no_retry_on": ["A"]}, "A", False),
    ],
)
def test_error_types_choose_what_is_retried(
    policy: dict[str, object], kind: str, retried: bool
) -> None:
    run = Simulation(plan_of(steps({"id": "a", "retry": {"max_retries": 1, **policy}})))
    run.start()
    run.fail("a", kind)
    assert (run.state.status == st.RUNNING) is retried


def test_on_error_continue_gives_an_output_and_goes_on() -> None:
    handler = {
        "errors": ["Boom"],
        "then": "continue",
        "output": {"why": "{{error.type}}"},
    }
    run = Simulation(
        plan_of(
            steps(
                {"id": "a", "on_error": [handler]},
                {"id": "b", "inputs": {"x": "{{a.output}}", "ok": "{{a.success}}"}},
            )
        )
    )
    run.start()
    run.fail("a")
    assert run.state.steps["b"].inputs == {"x": {"why": "Boom"}, "ok": False}


def test_on_error_goto_jumps_over_what_lies_between() -> None:
    run = Simulation(
        plan_of(
            steps(
                {"id": "a", "on_error": [{"then": {"goto": "d"}}]},
                {"id": "b"},
                {"id": "c"},
                {"id": "d"},
            )
        )
    )
    run.start()
    run.fail("a")
    assert run.statuses() == {
        "a": "failed",
        "b": "skipped",
        "c": "skipped",
        "d": "scheduled",
    }


def test_a_failure_without_a_handler_withdraws_what_runs_beside_it() -> None:
    run = Simulation(
        plan_of(steps({"id": "a"}, {"id": "b"}, {"id": "c"}, execution="graph"))
    )
    run.start()
    run.claim("b")
    run.fail("a")
    assert run.statuses() == {"a": "failed", "b": "cancelled", "c": "cancelled"}
    assert run.give(cmd.RecordOutcomes((cmd.Completed("b", 1, None),))) == []


def test_join_any_starts_with_the_first_and_cancels_the_rest_when_asked() -> None:
    graph = steps(
        {"id": "a"},
        {"id": "b"},
        {"id": "j", "depends_on": ["a", "b"], "join": {"n": 1, "cancel_rest": True}},
    )
    run = Simulation(plan_of(graph))
    run.start()
    run.claim("a")
    run.complete("b")
    assert run.statuses() == {"a": "cancelled", "b": "completed", "j": "scheduled"}


def test_terminate_ends_the_run_with_its_output() -> None:
    graph = {
        "id": "w",
        "steps": [
            {"id": "a", "component": "c"},
            {"id": "t", "terminate": {"status": "failure", "output": "{{a.output}}"}},
            {"id": "z", "component": "c"},
        ],
    }
    run = Simulation(plan_of(graph))
    run.start()
    run.complete("a", "no")
    assert (run.state.status, run.state.error and run.state.error["message"]) == (
        st.FAILED,
        "no",
    )


def test_pause_starts_nothing_and_resume_goes_on() -> None:
    run = Simulation(plan_of(steps({"id": "a"}, {"id": "b"})))
    run.start()
    run.claim("a")
    run.give(cmd.PauseRun())
    run.complete("a")
    assert (run.state.status, run.claimable) == (st.PAUSED, {})
    run.give(cmd.ResumeRun())
    assert list(run.claimable) == ["b"]


def test_cancel_waits_for_what_runs_unless_forced() -> None:
    run = Simulation(plan_of(steps({"id": "a"}, {"id": "b"}, execution="graph")))
    run.start()
    run.claim("a")
    run.give(cmd.CancelRun("enough"))
    assert (run.state.status, run.statuses()) == (
        st.CANCELLING,
        {"a": "started", "b": "cancelled"},
    )
    run.give(cmd.CancelRun(force=True))
    assert (run.state.status, run.state.reason) == (st.CANCELLED, "enough")


def test_a_lost_worker_costs_an_attempt_but_no_retry_up_to_the_limit() -> None:
    run = Simulation(plan_of(steps({"id": "a"})))
    run.start()
    for _ in range(3):
        run.give(cmd.LoseLease("a", run.claim("a").fence))
        assert run.state.status == st.RUNNING
    run.give(cmd.LoseLease("a", run.claim("a").fence))
    assert run.state.error is not None
    assert run.state.error["type"] == "WorkerLost"


def test_at_most_once_is_never_started_twice() -> None:
    run = Simulation(
        plan_of(
            steps({"id": "a", "effect": "at_most_once", "retry": {"max_retries": 9}})
        )
    )
    run.start()
    run.give(cmd.LoseLease("a", run.claim("a").fence))
    assert run.state.error is not None
    assert run.state.error["type"] == "UnknownOutcome"


def test_at_most_once_is_claimed_again_by_others_when_it_has_never_begun() -> None:
    run = Simulation(plan_of(steps({"id": "a", "effect": "at_most_once"})))
    run.start()
    for _ in range(
        40
    ):  # a worker that begins nothing counts against no limit of the step
        run.give(cmd.LoseLease("a", run.claim("a").fence, begun=False))
    step = run.state.steps["a"]
    assert (run.claimable, step.attempt - step.unbegun) == ({"a": None}, 0)
    run.complete("a")
    assert run.state.status == st.COMPLETED


def test_commands_on_a_closed_run_are_refused_with_the_reason() -> None:
    run = Simulation(plan_of(steps({"id": "a"})))
    run.start()
    run.complete("a")
    for command in (cmd.PauseRun(), cmd.ResumeRun(), cmd.CancelRun()):
        with pytest.raises(cmd.Rejected, match="completed"):
            run.give(command)


def test_a_template_that_fails_at_run_time_fails_its_step_and_names_the_expression() -> (
    None
):
    run = Simulation(
        plan_of(
            steps({"id": "a"}, {"id": "b", "inputs": {"x": "{{a.output.missing}}"}})
        )
    )
    run.start()
    run.complete("a", {"there": 1})
    assert run.state.error is not None
    assert run.state.error["type"] == "ExpressionError"
    assert "a.output.missing" in run.state.error["message"]


def test_connections_carry_values_with_transforms_and_conditions() -> None:
    connections = [
        {"source": "a.text", "target": "b.t", "transform": "value | upper"},
        {"source": "a", "target": "c", "condition": "value.n > 5"},
    ]
    run = Simulation(
        plan_of(steps({"id": "a"}, {"id": "b"}, {"id": "c"}, connections=connections))
    )
    run.start()
    run.complete("a", {"text": "hi", "n": 3})
    assert run.state.steps["b"].inputs == {"t": "HI"}
    assert run.statuses()["c"] == "skipped"


def test_named_outputs_and_workflow_outputs() -> None:
    outputs = {"n": "{{result.count + 1}}", "total": "workflow.total"}
    run = Simulation(
        plan_of(
            steps(
                {"id": "a", "outputs": outputs},
                {"id": "b", "inputs": {"x": "{{a.n}}"}},
                outputs={"total": {"type": "any"}},
            )
        )
    )
    run.start()
    run.complete("a", {"count": 1, "total": 9})
    assert run.state.steps["b"].inputs == {"x": 2}
    run.complete("b")
    assert run.state.output == {"total": 9}


def test_the_run_limit_closes_the_run() -> None:
    run = Simulation(plan_of(steps({"id": "a"}, timeout=5)))
    run.start()
    run.claim("a")
    run.give(cmd.TimeOutRun())
    assert run.state.error is not None
    assert run.state.error["kind"] == "run"


def test_a_component_counts_executions_and_the_history_counts_claims() -> None:
    run = Simulation(
        plan_of(steps({"id": "a", "retry": {"max_retries": 3, "delay_seconds": 0}}))
    )
    run.start()
    for reason in ("the worker is busy", "the worker stops", "the drain ends"):
        attempt = run.claim("a").attempt
        run.give(cmd.RecordOutcomes((cmd.Released("a", attempt, reason),)))
    run.fail("a")
    begun = run.claim("a")
    session = Session("0-r", 9, "c", run.state, run.plan)
    job = job_of(session, Lease("0-r", "a", begun.fence, begun.attempt, 0))
    assert job is not None
    assert (begun.attempt, job.execution) == (5, 3)


@pytest.mark.parametrize(
    ("document", "mode"),
    [
        ({}, "step"),
        ({"persistence": "outcome"}, "outcome"),
        ({"persistence": {"mode": "checkpoint", "every_steps": 3}}, "checkpoint"),
        ({"state_dependencies": {"persistence": "none"}}, "outcome"),
        ({"state_dependencies": {"persistence": "memory"}}, "checkpoint"),
        ({"state_dependencies": {"persistence": "disk"}}, "step"),
        ({"state_dependencies": {"persistence": "database"}}, "step"),
        (
            {"persistence": "step", "state_dependencies": {"persistence": "none"}},
            "step",
        ),
    ],
)
def test_persistence_and_what_it_was_called_in_0_1_4(
    document: dict[str, object], mode: str
) -> None:
    assert plan_of(steps({"id": "a"}, **document)).persistence.mode == mode
