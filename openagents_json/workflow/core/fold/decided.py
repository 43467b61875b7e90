"""The folds of what is decided on a step: it begins, is let in, skipped, reused, overridden or withdrawn."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from openagents_json.statuses import StepStatus
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.fold.steps import put, with_sets, with_usage
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
    NO_PAST,
    NO_STEP,
    SCHEDULED,
    SKIPPED,
    Group,
    RunState,
    StepState,
    gather,
)

_UNBEGUN: Final = StepState(CANCELLED, {})
"""A step that is withdrawn before it begins."""


def schedule(state: RunState, event: ev.StepScheduled) -> RunState:
    """Fold the beginning of a step."""
    if event.step in state.steps:
        return state
    status: StepStatus = GATED if event.gates else SCHEDULED
    if event.kind:
        status = ACTIVE
    attempt, children, _ = state.past.get(event.step, NO_PAST)
    step = StepState(
        status=status,
        inputs=event.inputs,
        kind=event.kind,
        attempt=attempt,
        group=_group_of(event),
        children=children,
        waits=tuple(event.gates),
        secrets=event.secrets,
        fairness=event.fairness,
    )
    # Nothing is pending behind it; said here already, that is one copy of the run for each step, not two.
    return put(state, event.step, step, pending=())


def _group_of(event: ev.StepScheduled) -> Group | None:
    if event.kind not in GROUPS:
        return None
    items = event.inputs.get("items")
    if event.kind == FOREACH and isinstance(items, list | dict):
        return Group(total=len(items))
    return Group()


def schedule_compensation(state: RunState, event: ev.CompensationScheduled) -> RunState:
    """Fold the beginning of what undoes a step."""
    path = event.compensation
    if path in state.steps or state.status not in (FAILING, CANCELLING):
        return state
    attempt, _, _ = state.past.get(path, NO_PAST)
    undone = state.steps.get(event.step, NO_STEP)
    step = StepState(
        status=SCHEDULED,
        inputs=event.inputs,
        attempt=attempt,
        secrets=event.secrets,
        fairness=undone.fairness,
    )
    return put(state, path, step)


def admit(state: RunState, event: ev.StepAdmitted) -> RunState:
    """Fold that a step which waited at gates may begin."""
    step = state.steps.get(event.step, NO_STEP)
    if step.status != GATED:
        return state
    held = {**(step.gates or {}), **(event.fences or {})}
    admitted = replace(step, status=SCHEDULED, gates=held or None)
    return put(state, event.step, admitted)


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
    again = replace(memorised, sequence=sequence)
    sets = with_sets(state, memorised.sets)
    return put(state, event.step, again, sets=sets, sequence=sequence)


def override(state: RunState, event: ev.StepOverridden) -> RunState:
    """Fold how somebody said that a step ended."""
    if state.is_resolved(event.step):
        return state
    attempt, _, _ = state.past.get(event.step, NO_PAST)
    unbegun = StepState(SCHEDULED, {}, attempt=attempt)
    before = state.steps.get(event.step, unbegun)
    # An item cannot be skipped: its container counts it as completed, or as failed.
    is_skipped = event.status == SKIPPED and not is_item(event.step)
    status: StepStatus = SKIPPED if is_skipped else COMPLETED
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
    if state.is_resolved(event.step):
        return state
    before = state.steps.get(event.step, _UNBEGUN)
    # What there is of the items can still be used.
    output = gather(state, event.step) if before.kind == FOREACH else None
    cancelled = replace(before, status=CANCELLED, timer=0, output=output)
    return put(state, event.step, cancelled)


def note_ignored(state: RunState, event: ev.StepOutcomeIgnored) -> RunState:
    """Fold that a late outcome was refused: it changes nothing, but what it cost has been spent."""
    if event.step not in state.steps:
        return state
    return replace(state, **with_usage(state, event.usage))
