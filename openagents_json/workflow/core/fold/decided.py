"""The folds of what is decided on a step: it begins, is let in, skipped, reused, overridden or withdrawn."""

from __future__ import annotations

from msgspec.structs import replace

from openagents_json.statuses import StepStatus
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.fold.steps import put
from openagents_json.workflow.core.paths import is_item
from openagents_json.workflow.core.state import (
    ACTIVE,
    CANCELLED,
    CANCELLING,
    COMPLETED,
    FAILING,
    FOREACH,
    GATED,
    GROUPS,
    OPEN_STEP,
    SCHEDULED,
    SKIPPED,
    Group,
    RunState,
    StepState,
    gather,
)


def schedule(state: RunState, event: ev.StepScheduled) -> RunState:
    """Fold the beginning of a step."""
    if event.step in state.steps:
        return state
    status: StepStatus = GATED if event.gates else SCHEDULED
    if event.kind:
        status = ACTIVE
    group = _group_of(event) if event.kind in GROUPS else None
    attempt, children, _ = state.past.get(event.step, (0, 0, ()))
    step = StepState(
        status,
        event.inputs,
        event.kind,
        attempt,
        group=group,
        children=children,
        waits=tuple(event.gates),
        secrets=event.secrets,
    )
    # Nothing is pending behind it; said here already, that is one copy of the run for each step, not two.
    return put(state, event.step, step, pending=())


def _group_of(event: ev.StepScheduled) -> Group:
    items = event.inputs.get("items")
    if event.kind == FOREACH and isinstance(items, list | dict):
        return Group(total=len(items))
    return Group()


def schedule_compensation(state: RunState, event: ev.CompensationScheduled) -> RunState:
    """Fold the beginning of what undoes a step."""
    if event.compensation in state.steps or state.status not in (FAILING, CANCELLING):
        return state
    attempt = state.past.get(event.compensation, (0, 0, ()))[0]
    step = StepState(SCHEDULED, event.inputs, attempt=attempt, secrets=event.secrets)
    return put(state, event.compensation, step)


def admit(state: RunState, event: ev.StepAdmitted) -> RunState:
    """Fold that a step which waited at gates may begin."""
    step = state.steps.get(event.step)
    if step is None or step.status != GATED:
        return state
    held = {**(step.gates or {}), **(event.fences or {})}
    return put(state, event.step, replace(step, status=SCHEDULED, gates=held or None))


def skip(state: RunState, event: ev.StepSkipped) -> RunState:
    """Fold that a step does not run."""
    if event.step in state.steps:
        return state
    return put(state, event.step, StepState(SKIPPED, {}, reason=event.reason))


def reuse(state: RunState, event: ev.StepResultReused) -> RunState:
    """Fold that the result of a step stands, though it is done again."""
    memorised = state.memo.get(event.step)
    if memorised is None or event.step in state.steps:
        return state
    sequence = state.sequence + 1
    sets = {**state.sets, **memorised.sets} if memorised.sets else state.sets
    return put(
        state,
        event.step,
        replace(memorised, sequence=sequence),
        sets=sets,
        sequence=sequence,
    )


def override(state: RunState, event: ev.StepOverridden) -> RunState:
    """Fold how somebody said that a step ended."""
    step = state.steps.get(event.step)
    if step is not None and step.status not in OPEN_STEP:
        return state
    before = step or StepState(
        SCHEDULED, {}, attempt=state.past.get(event.step, (0, 0, ()))[0]
    )
    status: StepStatus = (
        SKIPPED if event.status == SKIPPED and not is_item(event.step) else COMPLETED
    )
    sequence = state.sequence + 1
    ended = replace(
        before,
        status=status,
        output=event.output,
        error=None,
        then="continue",
        sequence=sequence,
        timer=0,
        reason=event.reason or "by hand",
    )
    return put(state, event.step, ended, sequence=sequence)


def cancel(state: RunState, event: ev.StepCancelled) -> RunState:
    """Fold that a step was withdrawn."""
    step = state.steps.get(event.step)
    if step is not None and step.status not in OPEN_STEP:
        return state
    before = step or StepState(CANCELLED, {})
    # What there is of the items can still be used.
    output = gather(state, event.step) if before.kind == FOREACH else None
    cancelled = replace(before, status=CANCELLED, timer=0, output=output)
    return put(state, event.step, cancelled)


def note_ignored(state: RunState, event: ev.StepOutcomeIgnored) -> RunState:
    """Fold that a late outcome was refused, which changes nothing but the history."""
    return replace(state) if event.step in state.steps else state
