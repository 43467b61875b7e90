"""Secrets get to the component, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest

from executor.secrets import SecretMissing, put_in, take_out
from openagents_json.workflow.validation import validate
from tests.simulation import Simulation, plan_of, steps

VALUES = {"TOKEN": "abcd1234", "USER": "bob"}


def test_the_log_holds_the_name_and_the_component_gets_the_value() -> None:
    inputs = {"auth": ["Bearer {{secrets.TOKEN}}", {"u": "{{ secrets.USER }}"}], "plain": "{{input.x}}"}
    plan = plan_of(steps({"id": "a", "inputs": inputs}))
    run = Simulation(plan)
    run.start(x="{{secrets.USER}}")
    recorded = run.state.steps["a"].inputs
    assert recorded == {
        "auth": ["Bearer {{secrets.TOKEN}}", {"u": "{{secrets.USER}}"}],
        "plain": "{{secrets.USER}}",
    }
    filled, used = put_in("a", recorded, plan.steps["a"].secrets, VALUES.get)
    assert filled == {"auth": ["Bearer abcd1234", {"u": "bob"}], "plain": "{{secrets.USER}}"}
    assert take_out({"k abcd1234": ["abcd1234bob"]}, used) == {"k ***": ["***bob"]}


def test_a_secret_that_is_not_there_is_named() -> None:
    with pytest.raises(SecretMissing, match="OPENAGENTS_SECRET_OTHER"):
        put_in("a", {"k": "{{secrets.OTHER}}"}, {"k": ("OTHER",)}, VALUES.get)


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
    ],
)
def test_anywhere_else_it_is_refused(document: dict[str, Any]) -> None:
    assert [problem.code for problem in validate(document).errors] == ["misplaced_secret"]
