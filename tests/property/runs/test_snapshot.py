"""fold(snapshot + tail) = fold(all), for any history and any place in it."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as s

from eventstore import codec
from openagents_json.catalog.registry import Registry
from openagents_json.simulation.stubs import Stubs
from openagents_json.simulation.world import World
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.evolve import evolve_all
from openagents_json.workflow.core.snapshot import dump, load
from tests.examples import examples
from tests.property.runs.test_language import CHILD, act, documents, let_it_end
from tests.simulation import plan_of


@settings(max_examples=examples(60), deadline=None)
@given(documents(), s.data())
def test_a_snapshot_and_what_follows_fold_to_what_all_events_fold_to(
    document: dict[str, Any], data: s.DataObject
) -> None:
    world = World(
        Stubs({"c": {"n": [1, None]}, "undo": None}, Registry()),
        {"child": plan_of(CHILD)},
        0,
    )
    life = world.start("0-r", plan_of(document), {})
    for _ in range(data.draw(s.integers(0, 30))):
        if not life.state.closed:
            act(world, life, data)
    let_it_end(world, life)
    events = [event for _, event in life.events]
    at = data.draw(s.integers(1, len(events)))
    before = evolve_all(st.initial(), events[:at])
    thawed = load(codec.decode(codec.encode(dump(before))))
    assert thawed == before
    assert evolve_all(thawed, events[at:]) == life.state
