"""Secrets get to the component, at the places that the document names, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from executor.attempts.secrets import put_in
from executor.errors import SecretMissing
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.event_types import to_data
from openagents_json.workflow.core.evolve import evolve_all
from openagents_json.workflow.core.plan import Plan
from openagents_json.workflow.core.snapshot import dump, load
from openagents_json.workflow.core.state import StepState, initial
from openagents_json.workflow.errors import SecretsUnclear
from openagents_json.workflow.expressions.secret_places import places_before
from openagents_json.workflow.history.conformance import first_difference
from openagents_json.workflow.language.validate import validate
from tests.simulation import Simulation, plan_of, steps

VALUES = {"TOKEN": "abcd1234", "USER": "bob", "OTHER": "not-for-you"}


def filled(step: StepState) -> Any:
    assert step.secrets is not None
    return put_in(step.inputs, step.secrets, VALUES.get)[0]


def begun(plan: Plan, **inputs: Any) -> Simulation:
    run = Simulation(plan)
    run.start(**inputs)
    return run


def test_the_log_holds_the_name_and_the_component_gets_the_value() -> None:
    inputs = {
        "auth": ["Bearer {{secrets.TOKEN}}", {"u": "{{ secrets.USER }}"}],
        "plain": "{{input.x}}",
    }
    recorded = begun(
        plan_of(steps({"id": "a", "inputs": inputs})), x="{{secrets.USER}}"
    ).state.steps["a"]
    assert recorded.inputs == {
        "auth": ["Bearer {{secrets.TOKEN}}", {"u": "{{secrets.USER}}"}],
        "plain": "{{secrets.USER}}",
    }
    assert recorded.secrets == [
        [["auth", 0], 7, "TOKEN"],
        [["auth", 1, "u"], 0, "USER"],
    ]
    assert filled(recorded) == {
        "auth": ["Bearer abcd1234", {"u": "bob"}],
        "plain": "{{secrets.USER}}",
    }


HOSTILE = [
    "{{secrets.OTHER}}",
    "{{secrets.TOKEN}}",
    "{{secrets.TOKEN}} {{secrets.OTHER}}",
    "😀{{secrets.TOKEN}}",
    "",
    7,
]


@pytest.mark.parametrize("x", HOSTILE)
@pytest.mark.parametrize("y", HOSTILE)
def test_data_in_the_same_text_is_never_given_a_secret(x: Any, y: Any) -> None:
    text = "{{input.x}}Bearer {{secrets.TOKEN}} {{input.y}}{{secrets.OTHER}}|\\{{secrets.TOKEN}}"
    plan = plan_of(steps({"id": "a", "inputs": {"auth": text, "data": "{{input.x}}"}}))
    assert filled(begun(plan, x=x, y=y).state.steps["a"]) == {
        "auth": f"{x}Bearer abcd1234 {y}not-for-you|{{{{secrets.TOKEN}}}}",
        "data": x,
    }


def test_items_compensations_and_retried_runs_know_their_places_too() -> None:
    call = {"k": "{{item}} {{secrets.TOKEN}}"}
    undo = {"component": "c", "inputs": {"k": "{{result}}{{secrets.USER}}"}}
    first = {"id": "a", "foreach": "{{input.xs}}", "inputs": call, "compensate": undo}
    run = begun(
        plan_of(
            steps(first, {"id": "b", "inputs": {"k": "{{input.x}}{{secrets.USER}}"}})
        ),
        xs=HOSTILE[:2],
        x="-",
    )
    assert filled(run.state.steps["a[1]"]) == {"k": "{{secrets.TOKEN}} abcd1234"}
    run.complete("a[0]", "{{secrets.USER}}")
    run.complete("a[1]", "1")
    run.fail("b")
    assert filled(run.state.steps["a[1]~compensate"]) == {"k": "1bob"}
    run.complete("a[1]~compensate")
    assert filled(run.state.steps["a[0]~compensate"]) == {"k": "{{secrets.USER}}bob"}
    run.complete("a[0]~compensate")
    run.give(cmd.ReopenRun("b", {"x": "{{secrets.USER}}"}))
    assert filled(run.state.steps["b"]) == {"k": "{{secrets.USER}}bob"}
    assert load(dump(run.state)).steps == run.state.steps


def test_what_a_connection_carries_in_is_data() -> None:
    document = steps(
        {"id": "a"},
        {"id": "b", "inputs": {"k": "{{secrets.TOKEN}}", "other": "{{secrets.USER}}"}},
        connections=[{"source": "a.output", "target": "b.k"}],
    )
    run = begun(plan_of(document))
    run.complete("a", "{{secrets.TOKEN}}")
    assert filled(run.state.steps["b"]) == {"k": "{{secrets.TOKEN}}", "other": "bob"}


def test_an_unchanged_text_is_another_input_when_another_part_of_it_is_the_secret() -> (
    None
):
    plan = plan_of(
        steps(
            {"id": "a", "inputs": {"k": "{{input.x}}{{secrets.TOKEN}}{{input.y}}"}},
            {"id": "b"},
        )
    )
    run = begun(plan, x="{{secrets.TOKEN}}", y="")
    run.complete("a")
    run.complete("b")
    run.give(cmd.ReopenRun("", {"x": "", "y": "{{secrets.TOKEN}}"}, replay=True))
    assert filled(run.state.steps["a"]) == {"k": "abcd1234{{secrets.TOKEN}}"}
    assert run.state.steps["a"].status == "scheduled"


def old(plan: Plan, **inputs: Any) -> StepState:
    """Return a step as a version left it that did not note where secrets stand."""
    history = [
        replace(event, secrets=None) if isinstance(event, ev.StepScheduled) else event
        for event in begun(plan, **inputs).history
    ]
    assert all("secrets" not in to_data(event) for event in history)
    return evolve_all(initial(), history).steps["a"]


def test_a_step_that_an_older_version_left_open_gets_its_secrets() -> None:
    plan = plan_of(
        steps(
            {
                "id": "a",
                "inputs": {
                    "k": ["{{input.x}} {{secrets.TOKEN}}", "{{secrets.USER}}"],
                    "d": "{{input.x}}",
                },
            }
        )
    )
    scheduled = old(plan, x="{{secrets.USER}}")
    positions = places_before(plan.steps["a"].secrets, scheduled.inputs)
    assert put_in(scheduled.inputs, positions, VALUES.get)[0] == {
        "k": ["{{secrets.USER}} abcd1234", "bob"],
        "d": "{{secrets.USER}}",
    }
    with pytest.raises(SecretsUnclear, match=r"k\[0\].*retry the step"):
        places_before(plan.steps["a"].secrets, old(plan, x="{{secrets.TOKEN}}").inputs)


def test_a_history_of_an_older_version_is_still_what_its_document_leads_to() -> None:
    plan = plan_of(steps({"id": "a", "inputs": {"k": "{{input.x}}{{secrets.USER}}"}}))
    [started, scheduled] = begun(plan, x="-").history
    assert isinstance(scheduled, ev.StepScheduled)
    assert first_difference(plan, [started, scheduled]) is None
    assert first_difference(plan, [started, replace(scheduled, secrets=None)]) is None
    difference = first_difference(
        plan, [started, replace(scheduled, secrets=[[["k"], 0, "USER"]])]
    )
    assert difference is not None
    assert "other secrets" in difference.reason


def test_a_secret_that_is_not_there_is_named() -> None:
    with pytest.raises(SecretMissing, match="OPENAGENTS_SECRET_NONE"):
        put_in({"k": "{{secrets.NONE}}"}, [[["k"], 0, "NONE"]], VALUES.get)
    with pytest.raises(SecretMissing, match="input k on the log has no place"):
        put_in({"k": "erased"}, [[["k"], 0, "TOKEN"]], VALUES.get)


BLOCK = {"steps": [{"id": "b", "component": "c"}]}


@pytest.mark.parametrize(
    "document",
    [
        steps({"id": "a", "condition": "{{secrets.TOKEN == 'x'}}"}),
        steps({"id": "a", "condition": "secrets.TOKEN"}),
        steps({"id": "a", "inputs": {"k": "{{secrets.TOKEN | upper}}"}}),
        steps({"id": "a", "inputs": {"k": "{{secrets['TOKEN']}}"}}),
        steps({"id": "a", "inputs": {"k": "{{secrets}}"}}),
        steps({"id": "a", "inputs": {"k": "{{secrets.TOKEN.x}}"}}),
        steps({"id": "a", "outputs": {"k": "{{secrets.TOKEN}}"}}),
        steps({"id": "a"}, output="{{secrets.TOKEN}}"),
        {
            "id": "w",
            "steps": [
                {"id": "a", "workflow": "other", "inputs": {"k": "{{secrets.TOKEN}}"}}
            ],
        },
        {
            "id": "w",
            "steps": [{"id": "a", "inputs": {"k": "{{secrets.TOKEN}}"}, **BLOCK}],
        },
        {
            "id": "w",
            "steps": [
                {
                    "id": "a",
                    "inputs": {"k": "{{secrets.TOKEN}}"},
                    "loop": {"max_iterations": 2, **BLOCK},
                }
            ],
        },
        {
            "id": "w",
            "steps": [{"id": "a", "inputs": {"k": "{{secrets.TOKEN}}"}, "sleep": 1}],
        },
        {
            "id": "w",
            "steps": [
                {
                    "id": "a",
                    "workflow": "o",
                    "foreach": [1],
                    "inputs": {"k": ["${secrets.TOKEN}"]},
                }
            ],
        },
        steps({"id": "a", "inputs": {"k": [{"{{secrets.TOKEN}}": 1}]}}),
        steps({"id": "a", "inputs": {"Bearer ${secrets.TOKEN}": 1}}),
        steps(
            {
                "id": "a",
                "compensate": {
                    "component": "c",
                    "inputs": {"k": {"{{ secrets.TOKEN }}": 1}},
                },
            }
        ),
        steps({"id": "a"}, inputs={"k": {"default": "Bearer {{secrets.TOKEN}}"}}),
        steps({"id": "a"}, inputs={"k": {"default": [{"{{secrets.TOKEN}}": 1}]}}),
    ],
)
def test_a_secret_where_it_cannot_work_is_refused(document: dict[str, Any]) -> None:
    assert [problem.code for problem in validate(document).errors] == [
        "misplaced_secret"
    ]


def test_what_only_looks_like_a_secret_is_data() -> None:
    names = {"secrets.TOKEN": 1, "\\{{secrets.TOKEN}}": 1, "{{x}}": 1}
    document = steps(
        {"id": "a", "inputs": {"k": names}},
        inputs={"k": {"default": ["secrets.TOKEN", names]}},
    )
    assert validate(document).errors == ()
