"""The folds of what happens to a run as a whole: it begins, pauses, goes on, ends, is held."""

from __future__ import annotations

from typing import Any

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
    )


def close(
    state: RunState, event: ev.RunCompleted | ev.RunFailed | ev.RunCancelled
) -> RunState:
    """Fold the end of a run; while steps are open, it has not ended."""
    if state.open_steps:
        return state
    match event:
        case ev.RunCompleted(output) if state.status in (RUNNING, PAUSED):
            return replace(state, status=COMPLETED, output=output, **_OVER)
        case ev.RunFailed(error, step):
            return replace(state, status=FAILED, error=error, failed_step=step, **_OVER)
        case ev.RunCancelled(reason) if state.status == CANCELLING:
            return replace(state, status=CANCELLED, reason=reason, **_OVER)
        case _:
            return state


def change_mode(state: RunState, event: ev.Event) -> RunState:
    """Fold what a run may do from here on: go on, pause, end."""
    match event:
        case ev.RunPaused(reason) if state.status == RUNNING:
            return replace(state, status=PAUSED, reason=reason)
        case ev.RunResumed() if state.status == PAUSED:
            return replace(state, status=RUNNING, reason="")
        case ev.RunCancelRequested(reason, compensate) if state.status not in (
            CANCELLING,
            FAILING,
        ):
            return replace(
                state,
                status=CANCELLING,
                reason=reason,
                compensate=compensate,
                unsettled=Map(),
            )
        case ev.RunFailing(error, step) if (
            state.status in (RUNNING, PAUSED, QUEUED) and not state.open_steps
        ):
            return replace(
                state, status=FAILING, error=error, failed_step=step, unsettled=Map()
            )
        case ev.RunQueued(gates) if state.status == RUNNING and not state.steps:
            return replace(state, status=QUEUED, queue=tuple(gates))
        case ev.RunAdmitted() if state.status == QUEUED:
            return replace(state, status=RUNNING)
        case _:
            return state


def redact(state: RunState, event: ev.RunRedacted) -> RunState:
    """Fold that payloads of a closed run are gone."""
    return (
        replace(state, erased=True, labels=None if event.labels else state.labels)
        if state.closed
        else state
    )


def hold(state: RunState, event: ev.RunHeld | ev.RunHoldReleased) -> RunState:
    """Fold that a run is held, or no more."""
    held = isinstance(event, ev.RunHeld)
    return state if state.held == held else replace(state, held=held)
