"""How a step's new state enters that of its run, with all that the run keeps about its steps beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from immutables import Map
from msgspec.structs import replace

from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.paths import (
    COMPENSATE,
    ON_FAILURE,
    container_name,
    container_of,
    frame_of,
    is_item,
)
from openagents_json.workflow.core.state import (
    FAILED,
    NO_STEP,
    OPEN_STEP,
    RETRYING,
    Group,
    RunState,
    StepState,
)
from openagents_json.workflow.core.usage import ByModel, total
from openagents_json.workflow.types import Json

LATEST: Final = 8
"""How many of the latest outcomes are kept in mind: one that is forgotten is acted on by `Advance`, which is due."""

_ASKS: Final = frozenset({FAILED, RETRYING})


def put(state: RunState, path: str, step: StepState, **more: Any) -> RunState:
    """Return the run with a step as it is now."""
    steps = state.steps.set(path, step)
    is_open = step.status in OPEN_STEP
    was_open = path in state.open_steps
    if is_item(path) and not (is_open and was_open):
        steps = _counted(steps, path, step, is_open, was_open)
    if state.unsettled or step.status in _ASKS:
        more["unsettled"] = _unsettled(state, path, step)
    if is_open == was_open:
        return replace(state, steps=steps, **more)
    open_steps = state.open_steps
    open_steps = open_steps.set(path, True) if is_open else open_steps.delete(path)
    return replace(state, steps=steps, open_steps=open_steps, **more)


def with_sets(state: RunState, sets: Mapping[str, Json] | None) -> Mapping[str, Json]:
    """Return the outputs of the workflow that are set so far, with those that a step sets."""
    if sets:
        return {**state.sets, **sets}
    return state.sets


def with_usage(state: RunState, usage: ByModel | None) -> dict[str, Any]:
    """Return what changes in a run by what an attempt has used: nothing for one that reports nothing, as most do."""
    return {"used": state.used.plus(total(usage))} if usage else {}


def with_outcome(
    state: RunState,
    event: ev.StepCompleted | ev.StepFailed | ev.StepTimedOut,
    sequence: int,
) -> tuple[tuple[str, int], ...]:
    """Return the latest outcomes with one more; of items, it is their container that has to be looked at.

    What has no attempt was carried out by the engine itself: its decision comes with it.
    """
    if not event.attempt:
        return state.pending
    path = event.step
    name = container_name(path) if is_item(path) else path
    outcome = (name, sequence)
    if not state.pending:
        return (outcome,)
    others = [entry for entry in state.pending if entry[0] != name]
    return (*others[1 - LATEST :], outcome)


def _counted(
    steps: Map[str, StepState],
    path: str,
    step: StepState,
    is_open: bool,
    was_open: bool,
) -> Map[str, StepState]:
    """Keep the counts of the container of an item; a failure that a handler took counts as completed."""
    name, index = container_of(path)
    container = steps.get(name, NO_STEP)
    group = container.group
    if group is None:
        return steps
    has_failed = step.failed_for_good
    first_failed = group.first_failed
    if has_failed and first_failed < 0:
        first_failed = index
    counted = Group(
        total=group.total,
        opened=max(group.opened, index + 1),
        active=group.active + is_open - was_open,
        completed=group.completed + step.counts_as_completed,
        failed=group.failed + has_failed,
        first_failed=first_failed,
        missing=_missing_without(group, index),
    )
    return steps.set(name, replace(container, group=counted))


def _missing_without(group: Group, index: int) -> tuple[int, ...]:
    """Return which of the items so far are still to be done again, when one of them is there."""
    missing = group.missing
    if index not in missing:
        return missing
    return tuple(number for number in missing if number != index)


def _unsettled(state: RunState, path: str, step: StepState) -> Map[str, bool]:
    """Keep the steps that something has to follow for: those to be tried again, and failures of what still goes on.

    What holds such a step fails with it. So as long as it is open, nobody has decided on the failure; that is how a
    failure cannot be overlooked whose own decision was lost to others.
    """
    unsettled = state.unsettled
    if step.status not in OPEN_STEP:
        unsettled = _settled_inside(unsettled, path)
    if asks(state.steps, path, step):
        return unsettled.set(path, True)
    if path in unsettled:
        return unsettled.delete(path)
    return unsettled


def _settled_inside(unsettled: Map[str, bool], frame: str) -> Map[str, bool]:
    """Strike out what is inside of a step: once that is resolved, nothing follows for its parts any more."""
    inside = [path for path in unsettled if frame_of(path) == frame]
    for path in inside:
        unsettled = unsettled.delete(path)
    return unsettled


def asks(steps: Mapping[str, StepState], path: str, step: StepState) -> bool:
    """Tell whether something has to follow for a step that nothing on the log shows yet."""
    if not step.failed_for_good:
        return step.status == RETRYING
    # What holds items counts them; what undoes others is looked at by itself.
    if is_item(path) or path == ON_FAILURE or path.endswith(COMPENSATE):
        return False
    frame = frame_of(path)
    if not frame:
        return True
    return steps.get(frame, NO_STEP).status in OPEN_STEP


def dated(state: RunState, happened: Iterable[ev.Event], time_ms: int) -> RunState:
    """Return a state that was folded from events before they were stored, with when that was."""
    started = [event for event in happened if isinstance(event, ev.ChildStarted)]
    for event in started:
        step = state.steps.get(event.step)
        if step is None or step.child != event.child:
            continue
        since_ms = step.since_ms or time_ms
        child_step = replace(step, since_ms=since_ms, begun_ms=time_ms)
        state = replace(state, steps=state.steps.set(event.step, child_step))
    return state
