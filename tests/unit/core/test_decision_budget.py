"""What the expressions of one decision cost is counted together: each of many may be within its own bound."""

from __future__ import annotations

from typing import Any

import pytest

from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.bounds import DEFAULT, NONE, Bounds
from openagents_json.workflow.core.decide.decider import Decision, decision
from openagents_json.workflow.core.decide.decider import child_id as child
from openagents_json.workflow.core.evolve import evolve
from openagents_json.workflow.core.plan import Plan
from openagents_json.workflow.history.conformance import first_difference
from tests.simulation import plan_of, steps

DEAR = "{{ input.items | map('upper') | join(',') | length }}"
SMALL = Bounds(operations=1_000_000)


def each(template: str, **options: Any) -> Plan:
    step = {
        "id": "each",
        "foreach": "{{input.items}}",
        "inputs": {"x": template},
        "max_concurrency": 10_000,
        **options,
    }
    return plan_of(steps(step, execution="graph"))


def started(
    plan: Plan, count: int, bounds: Bounds = DEFAULT, state: st.RunState | None = None
) -> Decision:
    inputs = {"items": [f"item {number}" for number in range(count)], "name": "x" * 100}
    return decision(
        plan, state or st.initial(), cmd.StartRun("0-r", inputs), None, child, bounds
    )


@pytest.mark.parametrize(
    "template",
    [
        "{{item}}",
        "{{item}} of {{input.name}}: {{index}}",
        "{{ {'n': index, 'of': input.name | upper} }}",
    ],
)
def test_ten_thousand_items_with_ordinary_templates_are_no_matter(
    template: str,
) -> None:
    outcome = started(
        each(template), 10_000, Bounds(operations=DEFAULT.operations // 20)
    )
    assert (
        len([event for event in outcome.events if isinstance(event, ev.StepScheduled)])
        == 10_001
    )
    assert outcome.state.status == st.RUNNING


def test_items_that_are_too_much_together_fail_and_name_the_expression() -> None:
    plan = each(DEAR, tolerated_failures=10_000)
    outcome = started(plan, 1000, SMALL)
    failed = [event for event in outcome.events if isinstance(event, ev.StepFailed)]
    scheduled = [path for path in outcome.state.open_steps if path.startswith("each[")]
    assert len(scheduled) + len(failed) == 1000
    assert 100 < len(scheduled) < 900
    error = failed[0].error
    assert (error["type"], error["retryable"]) == ("ExpressionError", False)
    assert error["expression"] in DEAR
    assert (
        "evaluated before it in the same decision, it needs more than 1,000,000"
        in str(error["message"])
    )
    assert "do such work in a component" in str(error["message"])
    assert outcome == started(plan, 1000, SMALL)


def test_the_next_decision_has_a_budget_of_its_own() -> None:
    plan = each(DEAR, max_concurrency=10)
    state = started(plan, 500, SMALL).state
    for number in range(500):
        path = f"each[{number}]"
        assert state.steps[path].status == st.SCHEDULED
        state = decision(
            plan, started_step(state, path), done(path), None, child, SMALL
        ).state
    assert state.status == st.COMPLETED


def started_step(state: st.RunState, path: str) -> st.RunState:
    return evolve(
        state, ev.StepStarted(path, state.steps[path].attempt + 1, "worker", "1")
    )


def done(path: str) -> cmd.RecordOutcomes:
    return cmd.RecordOutcomes((cmd.Completed(path, 1, 1),))


def test_many_conditions_are_counted_together() -> None:
    many = [
        {
            "id": f"s{n}",
            "condition": "{{ (input.items | map('upper') | join | length) > 0 }}",
        }
        for n in range(500)
    ]
    outcome = started(plan_of(steps(*many, execution="graph")), 1000, SMALL)
    assert outcome.state.status == st.FAILED
    assert (outcome.state.error or {})["type"] == "ExpressionError"


def test_what_undoes_the_work_does_not_fail_for_what_came_before() -> None:
    dear = [{"id": f"s{n}", "inputs": {"x": DEAR}} for n in range(500)]
    note = [
        {
            "id": "note",
            "component": "c",
            "inputs": {"said": "{{error.type}}", "x": DEAR},
        }
    ]
    outcome = started(
        plan_of({**steps(*dear, execution="graph"), "on_failure": note}), 1000, SMALL
    )
    assert outcome.state.status == st.FAILING
    [undoing] = [
        outcome.state.steps[path] for path in outcome.state.open_steps if "note" in path
    ]
    assert undoing.inputs["said"] == "ExpressionError"


def test_a_history_that_a_bound_has_cut_is_no_other_history() -> None:
    plan = each(DEAR, tolerated_failures=1000)
    for bounds in (Bounds(operations=100_000), NONE):
        outcome = started(plan, 200, bounds)
        assert bounds is NONE or any(
            isinstance(event, ev.StepFailed) for event in outcome.events
        )
        assert first_difference(plan, outcome.events) is None
