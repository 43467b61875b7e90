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
    container_of,
    frame_of,
    is_item,
)
from openagents_json.workflow.core.state import (
    FAILED,
    OPEN_STEP,
    RETRYING,
    Group,
    RunState,
    StepState,
)

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
    name = container_of(path)[0] if is_item(path) else path
    if not state.pending:
        return ((name, sequence),)
    others = [entry for entry in state.pending if entry[0] != name]
    return (*others[1 - LATEST :], (name, sequence))


def _counted(
    steps: Map[str, StepState],
    path: str,
    step: StepState,
    is_open: bool,
    was_open: bool,
) -> Map[str, StepState]:
    """Keep the counts of the container of an item; a failure that a handler took counts as completed."""
    name, index = container_of(path)
    container = steps.get(name)
    if container is None or container.group is None:
        return steps
    group, missing = container.group, container.group.missing
    if index < group.opened and index in missing:
        missing = tuple(number for number in missing if number != index)
    has_failed = step.failed_for_good
    is_first = has_failed and group.first_failed < 0
    counted = Group(
        total=group.total,
        opened=max(group.opened, index + 1),
        active=group.active + is_open - was_open,
        completed=group.completed + step.counts_as_completed,
        failed=group.failed + has_failed,
        first_failed=index if is_first else group.first_failed,
        missing=missing,
    )
    return steps.set(name, replace(container, group=counted))


def _unsettled(state: RunState, path: str, step: StepState) -> Map[str, bool]:
    """Keep the steps that something has to follow for: those to be tried again, and failures of what still goes on.

    What holds such a step fails with it. So as long as it is open, nobody has decided on the failure; that is how a
    failure cannot be overlooked whose own decision was lost to others.
    """
    unsettled = state.unsettled
    if step.status not in OPEN_STEP:  # what was inside of it is settled
        for other in unsettled:
            if frame_of(other) == path:
                unsettled = unsettled.delete(other)
    if asks(state.steps, path, step):
        return unsettled.set(path, True)
    return unsettled.delete(path) if path in unsettled else unsettled


def asks(steps: Mapping[str, StepState], path: str, step: StepState) -> bool:
    """Tell whether something has to follow for a step that nothing on the log shows yet."""
    if not step.failed_for_good:
        return step.status == RETRYING
    # What holds items counts them; what undoes others is looked at by itself.
    if is_item(path) or path == ON_FAILURE or path.endswith(COMPENSATE):
        return False
    frame = frame_of(path)
    return not frame or (frame in steps and steps[frame].status in OPEN_STEP)


def dated(state: RunState, happened: Iterable[ev.Event], time_ms: int) -> RunState:
    """Return a state that was folded from events before they were stored, with when that was."""
    for event in happened:
        if not isinstance(event, ev.ChildStarted):
            continue
        step = state.steps.get(event.step)
        if step is not None and step.child == event.child:
            child_step = replace(
                step, since_ms=step.since_ms or time_ms, begun_ms=time_ms
            )
            state = replace(state, steps=state.steps.set(event.step, child_step))
    return state
