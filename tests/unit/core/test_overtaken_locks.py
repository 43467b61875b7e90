"""A lock is given back by the end of its step, also where the decision on that end is somebody else's."""

from __future__ import annotations

from typing import Any

from openagents_json.catalog.registry import Registry
from openagents_json.simulation.stubs import Stubs
from openagents_json.simulation.world import World
from openagents_json.workflow.core import commands as cmd
from tests.simulation import plan_of

LOCKED: dict[str, Any] = {
    "id": "w",
    "steps": [{"id": "a", "component": "c", "mutex": "k"}],
}


def test_a_lock_is_free_for_the_next_run_when_the_outcome_of_its_step_was_overtaken() -> (
    None
):
    world = World(Stubs({"c": 1}, Registry()), {}, 0)
    plan = plan_of(LOCKED)
    first = world.start("0-first", plan, {})
    world._look(0)  # it is let in
    step = world.claim(first, "a")
    world.give_facts(first, cmd.RecordOutcomes((cmd.Completed("a", step.attempt, 1),)))
    world.give(first, cmd.Advance())
    assert first.state.status == "completed"
    second = world.start("0-second", plan, {})
    world.go_on(0)
    assert second.state.status == "completed"
