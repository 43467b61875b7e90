"""How large a run may grow: generous bounds that keep a mistake in a document from filling the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.paths import container_of, frames_of, is_item
from openagents_json.workflow.expressions.budget import MAX_TOGETHER

EVENT_LIMIT = "EventLimit"
CHILD_LIMIT = "ChildLimit"
ITEM_LIMIT = "ItemLimit"
LIMITS = frozenset({EVENT_LIMIT, CHILD_LIMIT, ITEM_LIMIT})
"""Types of the errors of what was not done because of a bound."""

DECISION_LIMIT = "decision"
"""The `limit` of an error of an expression that would have been evaluated, had others in the decision cost less."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most events and child runs that a run may have, and items of a foreach with those around it.

    `operations` are those of all expressions that one decision evaluates.
    """

    events: int = 1_000_000
    children: int = 100_000
    items: int = 250_000
    operations: int = MAX_TOGETHER


DEFAULT = Bounds()
NONE = Bounds(events=2**63, children=2**63, items=2**63, operations=2**63)
"""For who asks what a document leads to, wherever it was decided: what a bound did is on record."""


def is_of_a_bound(error: object) -> bool:
    """Tell whether an error on record says that a bound was reached."""
    if not isinstance(error, Mapping):
        return False
    return error.get("type") in LIMITS or error.get("limit") == DECISION_LIMIT


def event_limit(bounds: Bounds) -> str:
    """Say that a run has as many events as it may have."""
    return (
        f"the run has reached its limit of {bounds.events:,} events; split it into child runs, or raise "
        "OPENAGENTS_MAX_EVENTS"
    )


def child_limit(bounds: Bounds) -> str:
    """Say that a run has started as many runs as it may."""
    return f"the run has started {bounds.children:,} child runs, its limit; OPENAGENTS_MAX_CHILDREN raises it"


def nested_items(state: st.RunState, path: str, count: int) -> int:
    """Return how many items a foreach over `count` leads to, with those of the foreach steps around it."""
    for item in filter(is_item, frames_of(path)):
        name, _ = container_of(item)
        container = state.steps.get(name, st.NO_STEP)
        if container.kind == st.FOREACH and container.group is not None:
            count *= container.group.total
    return count
