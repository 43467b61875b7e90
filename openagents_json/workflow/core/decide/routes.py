"""Which way a run can go: when a step may begin, and which steps nobody needs any more."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.evaluate import edge_alive
from openagents_json.workflow.core.paths import inside
from openagents_json.workflow.core.plan import Edge, Plan, StepPlan
from openagents_json.workflow.expressions.scope import Scope

NOTHING: Final = range(0)


class Readiness(Enum):
    """Whether a step may begin: not yet, now, or never."""

    WAIT = "wait"
    READY = "ready"
    DEAD = "dead"


class EdgeState(Enum):
    """What an edge says: nothing yet, go, or this way is closed."""

    OPEN = "open"
    ALIVE = "alive"
    DEAD = "dead"


def passage(
    edge: Edge, frame: str, state: st.RunState, scope: Scope, hidden: range = NOTHING
) -> EdgeState:
    """Tell what an edge says.

    A completed source lets pass where the edge's condition holds, a failed one where its handler says continue, or
    goto for a goto edge. A skipped source closes its edges, but for one that somebody skipped by hand, and but for the
    array order of a sequential document behind a step whose own condition was false. What is `hidden`, by its place
    among the outcomes, has not happened yet. Raises ExpressionFailed.
    """
    source = state.steps.get(inside(frame, edge.source))
    if source is None or source.status in st.OPEN_STEP or source.sequence in hidden:
        return EdgeState.OPEN
    if source.failed_for_good:
        # Whatever holds the step fails with it: nothing goes on from here.
        return EdgeState.OPEN
    if _lets_pass(edge, source, scope):
        return EdgeState.ALIVE
    return EdgeState.DEAD


def _lets_pass(edge: Edge, source: st.StepState, scope: Scope) -> bool:
    match source.status:
        case st.COMPLETED:
            if edge.goto:
                return False
        case st.SKIPPED:
            if source.then != "continue":  # else somebody skipped it by hand
                return edge.order and source.reason == "condition"
        case st.FAILED:
            if edge.goto:
                return source.then == "goto" and source.goto == edge.target
            if source.then != "continue":
                return False
        case _:
            return False
    return edge_alive(edge, scope)


def readiness(
    step: StepPlan,
    frame: str,
    state: st.RunState,
    scope: Scope,
    hidden: range = NOTHING,
) -> Readiness:
    """Tell whether a step of a frame may begin: each edge resolved and one alive, or as many alive as its join wants.

    Raises ExpressionFailed.
    """
    if not step.incoming:
        return Readiness.READY
    # Of a wide join, nearly all sources are open, or over: one of the open ones is met at once.
    if not frame and not step.sources.isdisjoint(state.open_steps):
        return Readiness.WAIT
    alive = waiting = 0
    for edge in step.incoming:
        edge_state = passage(edge, frame, state, scope, hidden)
        if edge_state is EdgeState.OPEN and step.join == "all":
            return Readiness.WAIT
        alive += edge_state is EdgeState.ALIVE
        waiting += edge_state is EdgeState.OPEN
    needed = step.join if isinstance(step.join, int) else 1
    if alive >= needed:
        return Readiness.READY
    if waiting:
        return Readiness.WAIT
    return Readiness.DEAD


def withdrawable(
    plan: Plan,
    joined: StepPlan,
    frame: str,
    state: st.RunState,
    statuses: frozenset[str] = st.OPEN_STEP,
) -> list[str]:
    """Return the steps of a frame, by id, that only led to a join which has what it wants, in document order.

    They are those that have not begun or have one of the `statuses`.
    """
    order = order_of(plan, frame)
    candidates: dict[str, StepPlan] = {}
    for name in reversed(order):  # from the join back, nearly all are seen at once
        path = inside(frame, name)
        step = state.steps.get(path)
        if step is None or step.status in statuses:
            candidates[name] = plan.of(path)
    candidates.pop(joined.id, None)
    needless = _leading_only_to(joined.id, candidates)
    return [name for name in order if name in needless]


def _leading_only_to(joined: str, candidates: Mapping[str, StepPlan]) -> set[str]:
    """Return the candidates that lead to a step or to each other, and to nothing else."""
    ends = {joined}
    count = 0
    while count != len(ends):
        count = len(ends)
        for name, step in candidates.items():
            if step.targets and ends.issuperset(step.targets):
                ends.add(name)
    return ends - {joined}


def order_of(plan: Plan, frame: str) -> tuple[str, ...]:
    """Return the ids of the steps of a frame, in document order."""
    if frame:
        return plan.of(frame).inner
    return plan.order
