"""What one outcome costs does not grow with how many steps there are: counted in calls, not in time."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.decide.decider import decision
from openagents_json.workflow.core.evolve import evolve
from openagents_json.workflow.core.indexes.changes import changes
from openagents_json.workflow.core.plan import Plan
from tests.simulation import plan_of


def calls_of(function: Callable[[], Any]) -> int:
    """Count the calls that a function makes, of Python's functions and of those in C."""
    count = 0

    def counted(_frame: Any, what: str, _arg: Any) -> None:
        nonlocal count
        count += what in ("call", "c_call")

    before = sys.getprofile()
    gc.disable()  # a collection calls whatever listens to it
    sys.setprofile(counted)
    try:
        function()
    finally:
        sys.setprofile(before)
        gc.enable()
    return count


def costs_of_outcomes(plan: Plan) -> list[int]:
    """Run all steps one after the other; return how many calls each outcome took."""
    state = decision(plan, st.initial(), cmd.StartRun("0-r", {})).state
    costs: list[int] = []
    while not state.closed:
        step = min(claimable(state), key=lambda name: (len(name), name))
        state = evolve(state, ev.StepStarted(step, 1, str(len(costs) + 1), "w"))
        costs.append(calls_of(partial(decided, plan, state, step)))
        state = decided(plan, state, step)
    return costs


def claimable(state: st.RunState) -> set[str]:
    return {
        name
        for name in state.open_steps
        if state.steps[name].status == st.SCHEDULED and not state.steps[name].kind
    }


def decided(plan: Plan, state: st.RunState, step: str) -> st.RunState:
    outcome = decision(plan, state, cmd.RecordOutcomes((cmd.Completed(step, 1, 1),)))
    changes(plan, state, outcome.events, outcome.state)
    return outcome.state


def chain(count: int) -> dict[str, Any]:
    return {
        "id": "w",
        "steps": [{"id": f"s{i}", "component": "c"} for i in range(count)],
    }


def fan(count: int) -> dict[str, Any]:
    names = [f"s{i}" for i in range(count)]
    join = {"id": "join", "component": "c", "depends_on": names}
    steps = [*({"id": name, "component": "c"} for name in names), join]
    return {"id": "w", "execution": "graph", "steps": steps}


def foreach(count: int) -> dict[str, Any]:
    each = {"id": "e", "component": "c", "foreach": list(range(count))}
    return {"id": "w", "steps": [each]}


@pytest.mark.parametrize("document", [chain, fan, foreach])
def test_an_outcome_among_many_steps_costs_what_one_among_few_does(
    document: Callable[[int], dict[str, Any]],
) -> None:
    few = max(costs_of_outcomes(plan_of(document(20)))[:-2])
    assert max(costs_of_outcomes(plan_of(document(300)))[:-2]) <= few
