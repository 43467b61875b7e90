"""What attempts use, and budgets: sums are exact, and nothing more begins in a run that has used too much."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from openagents_json.components.errors import InvalidUsage
from openagents_json.components.usage import (
    MOST_MODELS,
    UsageMeter,
    reported,
)
from openagents_json.testing import Play, play
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.decide.decider import decide
from openagents_json.workflow.core.decide.limits.spending import EXCEEDED
from openagents_json.workflow.core.evolve import evolve_all
from openagents_json.workflow.core.snapshot import dump, load
from openagents_json.workflow.core.state import RunState, initial
from openagents_json.workflow.core.usage import (
    NANOS,
    OTHERS,
    Used,
    budget_of,
    money,
    nanos_of,
    total,
)
from openagents_json.workflow.language.validate import validate
from tests.simulation import plan_of, steps

Json = Any


def spend(cost: Json, context: Any = None, fails: bool = False) -> Json:
    """Use what costs so much."""
    context.usage(model="m", input_tokens=10, output_tokens=5, cost=cost)
    if fails:
        raise ValueError("paid, and failed")
    return cost


def step(name: str, cost: Json = "1", **more: Any) -> dict[str, Any]:
    return {"id": name, "component": "spend", "inputs": {"cost": cost}, **more}


def run(*specs: Mapping[str, Any], workflows: Any = (), **document: Any) -> Play:
    return play(
        {"id": "w", "steps": [*specs], **document},
        {},
        components={"spend": spend},
        workflows=workflows,
    )


@pytest.mark.parametrize(
    ("amount", "nanos"),
    [
        (0, 0),
        ("2.50", 2_500_000_000),
        (0.1, 100_000_000),
        (Decimal("0.000000001"), 1),
        ("0.0000000005", 0),
        (1e-9, 1),
        (1_000_000, 10**15),
    ],
)
def test_money_is_kept_in_billionths(amount: Json, nanos: int) -> None:
    assert nanos_of(amount) == nanos


@pytest.mark.parametrize(
    "amount", [-1, "x", float("nan"), "Infinity", True, None, "1e7", []]
)
def test_what_is_no_money_is_refused(amount: Json) -> None:
    with pytest.raises(ValueError):
        nanos_of(amount)
    with pytest.raises(InvalidUsage, match="the cost"):
        reported("m", 0, 0, amount)


def test_sums_of_money_are_exact() -> None:
    meter = UsageMeter()
    for _ in range(10):
        meter.add(*reported("m", 1, 0, 0.1))
    used = total(meter.take() or {})
    assert (used, money(used.cost_nanos)) == (Used(10, 0, NANOS), "1")
    assert [money(n) for n in (0, 1, 1_500_000_000)] == ["0", "0.000000001", "1.5"]


@pytest.mark.parametrize("tokens", [-1, 1.5, "3", True, 10**10])
def test_what_is_no_number_of_tokens_is_refused(tokens: Json) -> None:
    with pytest.raises(InvalidUsage, match="input_tokens"):
        reported("m", tokens, 0, 0)
    with pytest.raises(InvalidUsage, match="the model"):
        reported(tokens if isinstance(tokens, int) else 1, 0, 0, 0)  # type: ignore[arg-type]


def test_what_one_attempt_reports_is_bounded_and_taken_once() -> None:
    meter = UsageMeter()
    for number in range(3 * MOST_MODELS):
        meter.add(*reported(f"m{number}", 10**9, 0, 10**6))
    meter.add(*reported("m0", 10**9, 0, 10**6))
    taken = meter.take() or {}
    assert len(taken) == MOST_MODELS + 1
    assert OTHERS in taken
    assert max(row["input_tokens"] for row in taken.values()) == 10**9
    assert meter.take() is None


def test_usage_stands_with_each_attempt_and_is_summed_up() -> None:
    retry = {"max_retries": 1, "delay_seconds": 1}
    failing = step("b", "0.25", retry=retry, on_error=[{"then": "continue"}])
    failing["inputs"] = {"cost": "0.25", "fails": True}
    done = run(step("a", "0.1"), failing).finish()
    done.assert_completed()
    used = {"m": {"input_tokens": 10, "output_tokens": 5, "cost_nanos": 250_000_000}}
    failures = done.of_type("StepFailed")
    assert [failure.usage for failure in failures] == [used, used]  # type: ignore[union-attr]
    assert done.state.used == Used(30, 15, 600_000_000)


def test_a_run_over_its_budget_fails_before_anything_more_begins() -> None:
    done = run(
        step("a"), step("b", 1.5), step("c"), budget={"cost": "2", "tokens": 1000}
    ).finish()
    done.assert_failed(EXCEEDED)
    assert "cost 2.5 of 2" in str((done.error or {})["message"])
    assert done.statuses() == {"a": "completed", "b": "completed"}


@pytest.mark.parametrize(
    ("budget", "ends"),
    [
        ({"cost": 3}, "completed"),
        ({"tokens": 45}, "completed"),
        ({"tokens": 29}, "failed"),
        ({"input_tokens": 19}, "failed"),
        ({"output_tokens": 9}, "failed"),
        ({"cost": 0}, "failed"),
        ({"on_exceeded": "fail"}, "completed"),
    ],
)
def test_a_budget_may_be_used_up(budget: Json, ends: str) -> None:
    assert run(step("a"), step("b"), step("c"), budget=budget).finish().status == ends


def test_what_the_last_step_went_over_is_not_lost() -> None:
    done = run(step("a", "0.5"), step("b", 9), budget={"cost": 1}).finish()
    done.assert_completed()


def test_steps_in_parallel_go_over_by_what_was_under_way() -> None:
    fan = [step(f"p{n}") for n in range(3)]
    late = step("last", depends_on=["p0", "p1", "p2"])
    done = run(*fan, late, execution="graph", budget={"cost": 1}).finish()
    done.assert_failed(EXCEEDED)
    assert "last" not in done.statuses()
    each = {
        "id": "e",
        "component": "spend",
        "foreach": [1, 1, 1, 1],
        "max_concurrency": 1,
    }
    items = {**each, "inputs": {"cost": "{{item}}"}}
    done = run(items, budget={"cost": 1}).finish()
    done.assert_failed(EXCEEDED)
    assert [call.inputs["cost"] for call in done.calls("spend")] == [1, 1]


def test_a_retry_that_cannot_be_paid_for_is_not_made() -> None:
    failing = step("a", 2, retry={"max_retries": 5, "delay_seconds": 1})
    failing["inputs"]["fails"] = True
    done = run(failing, step("b"), budget={"cost": 3}).finish()
    done.assert_failed(EXCEEDED)
    assert len(done.calls("spend")) == 2


def test_a_run_that_pauses_goes_on_with_as_much_again() -> None:
    budget = {"cost": 1, "on_exceeded": "pause"}
    done = run(*(step(f"s{n}") for n in range(5)), budget=budget)
    assert (done.status, len(done.calls("spend"))) == ("paused", 2)
    assert "over its budget: cost 2 of 1" in done.state.reason
    done.resume()
    assert (done.status, len(done.calls("spend"))) == ("paused", 4)
    done.resume()
    done.assert_completed()
    assert done.state.used.cost_nanos == 5 * NANOS


def test_a_run_that_asks_is_answered_by_a_signal() -> None:
    budget = {"cost": 1, "on_exceeded": "ask"}
    done = run(*(step(f"s{n}") for n in range(5)), budget=budget)
    assert done.status == "paused"
    assert "signal 'budget'" in done.state.reason
    for wrong in (None, {}, {"approve": "yes"}, True):
        with pytest.raises(cmd.Rejected, match="approve"):
            done.signal("budget", wrong)
    done.signal("budget", {"approve": True})
    assert (done.status, len(done.calls("spend"))) == ("paused", 4)
    done.signal("budget", {"approve": False})
    done.assert_failed(EXCEEDED)
    assert done.state.signals == ()


def test_an_answer_nobody_asked_for_is_refused() -> None:
    budget = {"cost": 1, "on_exceeded": "pause"}
    done = run(*(step(f"s{n}") for n in range(3)), budget=budget)
    with pytest.raises(cmd.Rejected, match="waits for signal 'budget'"):
        done.signal("budget", {"approve": True})


def test_what_is_paid_is_undone_when_the_budget_ends_the_run() -> None:
    undone = step("a", compensate={"component": "spend", "inputs": {"cost": "0.1"}})
    done = run(undone, step("b"), step("c"), budget={"cost": 1}).finish()
    done.assert_failed(EXCEEDED)
    assert done.state.used.cost_nanos == 2_100_000_000


def test_a_retried_run_may_use_as_much_again() -> None:
    done = run(step("a"), step("b"), step("c"), budget={"cost": 1}).finish()
    done.assert_failed(EXCEEDED)
    done.retry()
    done.assert_completed()
    assert done.state.used.cost_nanos == 3 * NANOS


def test_what_a_child_uses_counts_at_its_parent() -> None:
    child = {"id": "child", "steps": [step("x"), step("y")]}
    calls = [{"id": "kid", "workflow": "child"}, step("after")]
    done = run(*calls, workflows=[child]).finish()
    assert done.state.used == Used(30, 15, 3 * NANOS)
    over = run(*calls, workflows=[child], budget={"cost": 1}).finish()
    over.assert_failed(EXCEEDED)
    bounded = {**child, "budget": {"cost": "0.5"}}
    failed = run(*calls, workflows=[bounded]).finish()
    failed.assert_failed(EXCEEDED)
    assert failed.state.used.cost_nanos == NANOS


PLAN = plan_of(steps({"id": "a"}, {"id": "b"}, budget={"cost": 5, "tokens": 7}))
USAGE = {"m": {"input_tokens": 3, "output_tokens": 3, "cost_nanos": 2 * NANOS}}


def begun(budget: Json) -> RunState:
    command = cmd.StartRun("0-r", {}, budget=budget and budget_of(budget))
    state = evolve_all(initial(), decide(PLAN, initial(), command))
    return evolve_all(state, [ev.StepStarted("a", 1, "1", "w")])


@pytest.mark.parametrize(
    ("budget", "then"),
    [
        (None, "StepScheduled"),
        ({"cost": 1}, "RunFailed"),
        ({"cost": "2.0", "on_exceeded": "pause"}, "StepScheduled"),
        ({"tokens": 5, "on_exceeded": "pause"}, "RunPaused"),
    ],
)
def test_what_the_start_says_goes_before_the_document(budget: Json, then: str) -> None:
    command = cmd.RecordOutcomes((cmd.Completed("a", 1, None, USAGE),))
    last = decide(PLAN, begun(budget), command)[-1]
    assert type(last).__name__ == then


def test_facts_that_were_stored_alone_are_acted_on_by_whoever_comes_next() -> None:
    fact = ev.StepCompleted("a", 1, None, usage=USAGE)
    state = evolve_all(begun({"cost": 1, "on_exceeded": "pause"}), [fact])
    paused = decide(PLAN, state, cmd.Advance())
    assert [type(event) for event in paused] == [ev.RunPaused]
    state = evolve_all(state, paused)
    assert decide(PLAN, state, cmd.Advance()) == []
    resumed = decide(PLAN, state, cmd.ResumeRun())
    assert [type(event) for event in resumed] == [ev.RunResumed, ev.StepScheduled]


@pytest.mark.parametrize(
    "outcome",
    [
        cmd.Completed("a", 1, None, USAGE),
        cmd.Failed("a", 1, {"type": "X", "message": "x"}, USAGE),
        cmd.Expired("a", 1, "heartbeat", 100, USAGE),
        cmd.Released("a", 1, "the worker stops", USAGE),
    ],
)
def test_an_attempt_costs_what_it_cost_however_it_ends(outcome: cmd.Outcome) -> None:
    state = begun({})
    state = evolve_all(state, decide(PLAN, state, cmd.RecordOutcomes((outcome,))))
    assert state.used == Used(3, 3, 2 * NANOS)


def test_a_late_outcome_costs_what_it_cost() -> None:
    note = cmd.NoteIgnored("a", 1, "w", "Completed", USAGE)
    state = begun({"cost": 1})
    state = evolve_all(state, decide(PLAN, state, note))
    assert state.used.cost_nanos == 2 * NANOS
    ended = decide(PLAN, state, cmd.RecordOutcomes((cmd.Completed("a", 1, None),)))
    assert type(ended[-1]) is ev.RunFailed


def test_a_fork_begins_with_nothing_used() -> None:
    state = begun({"cost": 1})
    state = evolve_all(state, [ev.StepCompleted("a", 1, None, usage=USAGE)])
    forked = evolve_all(state, [ev.RunForked("0-other", 4, ["a"])])
    assert (forked.used, forked.budget) == (Used(), {"cost_nanos": NANOS})
    reopened = evolve_all(
        evolve_all(state, [ev.RunFailed({"type": "X"})]), [ev.RunReopened(["a"])]
    )
    assert reopened.used == reopened.granted_at == Used(3, 3, 2 * NANOS)


def test_a_snapshot_keeps_what_was_used() -> None:
    import json

    state = begun({"cost": 1, "on_exceeded": "ask"})
    state = evolve_all(state, [ev.StepCompleted("a", 1, None, usage=USAGE)])
    assert load(json.loads(json.dumps(dump(state)))) == state


@pytest.mark.parametrize(
    ("budget", "pointer"),
    [
        ({"cost": "much"}, "/budget/cost"),
        ({"cost": -1}, "/budget/cost"),
        ({"tokens": 1.5}, "/budget/tokens"),
        ({"tokens": 10**30}, "/budget/tokens"),
        ({"on_exceeded": "stop"}, "/budget/on_exceeded"),
        ({"costs": 1}, "/budget/costs"),
    ],
)
def test_a_budget_that_cannot_be_is_a_problem(budget: Json, pointer: str) -> None:
    document = {"id": "w", "steps": [{"id": "a", "component": "c"}], "budget": budget}
    problems = validate(document, None).problems
    assert pointer in [problem.pointer for problem in problems]


@pytest.mark.parametrize(
    "budget",
    [
        {"cost": "x"},
        {"tokens": -1},
        {"tokens": float("inf")},
        {"tokens": float("nan")},
        {"tokens": 10**30},
        {"on_exceeded": "stop"},
        {"euro": 1},
    ],
)
def test_a_budget_of_a_start_is_checked(budget: Json) -> None:
    with pytest.raises(ValueError):
        budget_of(budget)
