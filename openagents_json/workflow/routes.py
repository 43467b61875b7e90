"""Which way a run can go: when a step may begin, and which steps nobody needs any more."""

from __future__ import annotations

from enum import Enum

from openagents_json.workflow import state as st
from openagents_json.workflow.evaluate import edge_alive
from openagents_json.workflow.plan import Edge, Plan, StepPlan
from openagents_json.workflow.scope import Scope


class Readiness(Enum):
    """Whether a step may begin: not yet, now, or never."""

    WAIT = "wait"
    READY = "ready"
    DEAD = "dead"


class Passage(Enum):
    """What an edge says: nothing yet, go, or this way is closed; ORDER edges of a skipped step let pass."""

    OPEN = "open"
    ALIVE = "alive"
    DEAD = "dead"
    PASSED = "passed"


def passage(edge: Edge, state: st.RunState, scope: Scope) -> Passage:
    """Tell what an edge says.

    Raises ExpressionFailed.
    """
    source = state.steps.get(edge.source)
    if source is None or source.status in st.OPEN_STEP:
        return Passage.OPEN
    if source.status in (st.SKIPPED, st.CANCELLED):
        return Passage.PASSED if edge.order_only else Passage.DEAD
    if source.status == st.FAILED:
        taken = source.then == "goto" and source.goto == edge.target if edge.goto else source.then == "continue"
        return Passage.ALIVE if taken and edge_alive(edge, scope) else Passage.DEAD
    if edge.goto:
        return Passage.DEAD
    return Passage.ALIVE if edge_alive(edge, scope) else Passage.DEAD


def readiness(step: StepPlan, state: st.RunState, scope: Scope) -> Readiness:
    """Tell whether a step may begin.

    Raises ExpressionFailed.
    """
    if not step.incoming:
        return Readiness.READY
    wanted = 1 if step.join == "any" else step.join
    alive = passed = waiting = 0
    for edge in step.incoming:
        match passage(edge, state, scope):
            case Passage.OPEN:
                if wanted == "all":
                    return Readiness.WAIT
                waiting += 1
            case Passage.ALIVE:
                alive += 1
            case Passage.PASSED:
                passed += 1
            case Passage.DEAD:
                pass
    if isinstance(wanted, int):
        if alive >= wanted:
            return Readiness.READY
        return Readiness.WAIT if waiting else Readiness.DEAD
    only_order = passed > 0 and passed == sum(1 for edge in step.incoming if edge.order_only) and not any(
        not edge.order_only and not edge.goto for edge in step.incoming
    )
    return Readiness.READY if alive or only_order else Readiness.DEAD


def withdrawable(plan: Plan, joined: StepPlan, state: st.RunState) -> list[str]:
    """Give the steps that only led to a join which has what it wants, in document order."""
    gone: set[str] = set()
    grown = True
    while grown:
        grown = False
        for name in reversed(plan.order):
            known = state.steps.get(name)
            if name in gone or name == joined.id or (known is not None and known.status not in st.OPEN_STEP):
                continue
            targets = plan.steps[name].targets
            if targets and all(target == joined.id or target in gone for target in targets):
                gone.add(name)
                grown = True
    return [name for name in plan.order if name in gone]
