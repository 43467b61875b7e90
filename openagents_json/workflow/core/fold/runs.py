"""The folds of what happens to a run as a whole: it begins, pauses, goes on, ends, is held."""

from __future__ import annotations

from typing import Any, Final

from immutables import Map
from msgspec.structs import replace

from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.state import (
    CANCELLED,
    CANCELLING,
    COMPLETED,
    FAILED,
    FAILING,
    PAUSED,
    QUEUED,
    RUNNING,
    RunState,
)

_MAY_COMPLETE: Final = frozenset({RUNNING, PAUSED})
_MAY_FAIL: Final = frozenset({RUNNING, PAUSED, QUEUED})
_UNWINDS: Final = frozenset({CANCELLING, FAILING})

_OVER: dict[str, Any] = {
    "signals": (),
    "memo": Map(),
    "unsettled": Map(),
    "pending": (),
}
"""What a run that has ended has no use for."""


def start(state: RunState, event: ev.RunStarted) -> RunState:
    """Fold the first event."""
    return replace(
        state,
        status=RUNNING,
        run=event.run,
        workflow=event.workflow,
        version=event.version,
        definition=event.definition,
        inputs=event.inputs,
        labels=event.labels,
        parent=event.parent,
        budget=event.budget,
    )


def close(
    state: RunState, event: ev.RunCompleted | ev.RunFailed | ev.RunCancelled
) -> RunState:
    """Fold the end of a run; while steps are open, it has not ended."""
    if state.open_steps:
        return state
    match event:
        case ev.RunCompleted(output) if state.status in _MAY_COMPLETE:
            return replace(state, status=COMPLETED, output=output, **_OVER)
        case ev.RunFailed(error, step):
            return replace(state, status=FAILED, error=error, failed_step=step, **_OVER)
        case ev.RunCancelled(reason) if state.status == CANCELLING:
            return replace(state, status=CANCELLED, reason=reason, **_OVER)
        case _:
            return state


def pause(state: RunState, event: ev.RunPaused) -> RunState:
    """Fold that nothing more begins until the run is resumed."""
    if state.status != RUNNING:
        return state
    return replace(state, status=PAUSED, reason=event.reason, over_budget=event.budget)


def resume(state: RunState, _: ev.RunResumed) -> RunState:
    """Fold that a paused run goes on."""
    if state.status != PAUSED:
        return state
    # Who lets a run go on that was over its budget lets it use as much again.
    granted_at = state.used if state.over_budget else state.granted_at
    return replace(
        state, status=RUNNING, reason="", over_budget="", granted_at=granted_at
    )


def request_cancel(state: RunState, event: ev.RunCancelRequested) -> RunState:
    """Fold that somebody wants the run to end."""
    if state.status in _UNWINDS:
        return state
    return replace(
        state,
        status=CANCELLING,
        reason=event.reason,
        compensate=event.compensate,
        unsettled=Map(),
    )


def begin_failing(state: RunState, event: ev.RunFailing) -> RunState:
    """Fold that the run fails, and undoes first what it did."""
    if state.status not in _MAY_FAIL or state.open_steps:
        return state
    return replace(
        state,
        status=FAILING,
        error=event.error,
        failed_step=event.step,
        unsettled=Map(),
    )


def queue(state: RunState, event: ev.RunQueued) -> RunState:
    """Fold that a run waits for its turn before it does anything."""
    if state.status != RUNNING or state.steps:
        return state
    return replace(state, status=QUEUED, queue=tuple(event.gates))


def admit(state: RunState, _: ev.RunAdmitted) -> RunState:
    """Fold that it is the turn of a run which waited for it."""
    if state.status != QUEUED:
        return state
    return replace(state, status=RUNNING)


def redact(state: RunState, event: ev.RunRedacted) -> RunState:
    """Fold that payloads of a closed run are gone."""
    if not state.closed:
        return state
    labels = None if event.labels else state.labels
    return replace(state, erased=True, labels=labels)


def hold(state: RunState, event: ev.RunHeld | ev.RunHoldReleased) -> RunState:
    """Fold that a run is held, or no more."""
    held = type(event) is ev.RunHeld
    if state.held == held:
        return state
    return replace(state, held=held)
