"""Random runs are done again: replayed, forked, and only as far as something has changed."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as s

from openagents_json.catalog.registry import Registry
from openagents_json.simulation.stubs import Stubs
from openagents_json.simulation.world import World
from openagents_json.testing.replay import replay
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.event_types import (
    from_data,
    to_data,
    type_name,
)
from openagents_json.workflow.core.evolve import evolve_all
from tests.examples import examples
from tests.property.runs.test_language import (
    CHILD,
    act,
    check_attempts,
    documents,
    let_it_end,
)
from tests.simulation import plan_of


@settings(max_examples=examples(60), deadline=None)
@given(documents(), s.data())
def test_an_undisturbed_run_replays_without_a_divergence(
    document: dict[str, Any], data: s.DataObject
) -> None:
    world = World(
        Stubs({"c": 1, "undo": None}, Registry()), {"child": plan_of(CHILD)}, 0
    )
    life = world.start("0-r", plan_of(document), {})
    let_it_end(world, life)
    history = [{"type": type_name(e), "data": to_data(e)} for _, e in life.events]
    assert replay(document, history) is None


@settings(max_examples=examples(60), deadline=None)
@given(documents(), s.data())
def test_a_fork_at_any_event_keeps_that_past_and_comes_to_an_end(
    document: dict[str, Any], data: s.DataObject
) -> None:
    world = World(
        Stubs({"c": 1, "undo": None}, Registry()), {"child": plan_of(CHILD)}, 0
    )
    life = world.start("0-r", plan_of(document), {})
    for _ in range(data.draw(s.integers(0, 30))):
        if not life.state.closed:
            act(world, life, data)
    at = data.draw(s.integers(1, len(life.events)))
    with suppress(cmd.Rejected):
        new = world.fork(life, at, "0-new")
        assert [e for _, e in new.events[1:at]] == [e for _, e in life.events[1:at]]
        kept = {
            path: step
            for path, step in new.state.steps.items()
            if step.status == st.COMPLETED
        }
        let_it_end(world, life, new)
        assert not new.state.open_steps
        check_attempts(new)
        assert {path: new.state.steps[path].output for path in kept} == {
            p: step.output for p, step in kept.items()
        }
        stored = [from_data(type_name(e), to_data(e), at) for at, e in new.events]
        assert evolve_all(st.initial(), stored) == new.state
    let_it_end(world, life)


@settings(max_examples=examples(50), deadline=None)
@given(documents(), s.data())
def test_a_run_that_is_done_again_unchanged_comes_to_the_same_and_runs_nothing_that_completed(
    document: dict[str, Any], data: s.DataObject
) -> None:
    world = World(
        Stubs({"c": 1, "undo": None}, Registry()), {"child": plan_of(CHILD)}, 0
    )
    life = world.start("0-r", plan_of(document), {})
    for _ in range(data.draw(s.integers(0, 20))):
        if not life.state.closed:
            act(world, life, data)
    let_it_end(world, life)
    before, at = life.state, len(life.events)
    world.give(life, cmd.ReopenRun("", replay=True))
    [again] = [
        event for _, event in life.events[at:] if isinstance(event, ev.RunReopened)
    ]
    let_it_end(world, life)
    later = [event for _, event in life.events[at:]]
    begun = {
        event.step
        for event in later
        if isinstance(event, ev.StepScheduled) and not event.kind
    }
    assert not begun & set(again.kept), "a result that could stand was not used"
    for path in again.kept:
        if path in life.state.steps and life.state.steps[path].status == st.COMPLETED:
            assert life.state.steps[path].output == before.steps[path].output
    stored = [from_data(type_name(e), to_data(e), at) for at, e in life.events]
    assert evolve_all(st.initial(), stored) == life.state
