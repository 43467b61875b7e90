"""A run's state: a value folded from its events by `evolve`, which is total and refuses nothing loudly.

An event that cannot apply (a late outcome, a second start) leaves the state as it is, the very same object;
so `evolve(s, e) is s` tells that `e` did not belong there, and `decide` never emits such an event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from immutables import Map

from openagents_json.workflow import events as ev
from openagents_json.workflow.types import Json

SCHEDULED: Final = "scheduled"
STARTED: Final = "started"
RETRYING: Final = "retrying"
WAITING: Final = "waiting"
COMPLETED: Final = "completed"
FAILED: Final = "failed"
SKIPPED: Final = "skipped"
CANCELLED: Final = "cancelled"

OPEN_STEP: Final = frozenset({SCHEDULED, STARTED, RETRYING, WAITING})
CLAIMABLE: Final = frozenset({SCHEDULED, WAITING})

UNBEGUN: Final = frozenset({"unknown component", "the worker is busy", "the drain ends"})
"""Why an attempt is given back that was not begun; one whose worker stops may have been."""

NEW: Final = "new"
RUNNING: Final = "running"
PAUSED: Final = "paused"
CANCELLING: Final = "cancelling"
CLOSED_RUN: Final = frozenset({COMPLETED, FAILED, CANCELLED})


@dataclass(frozen=True, slots=True)
class StepState:
    """One step: attempts are counted at the claim, `failures` and `lost` and `released` by their events.

    `unbegun` are those of the released attempts that nobody had begun to run.
    """

    status: str
    inputs: Mapping[str, Json]
    attempt: int = 0
    failures: int = 0
    lost: int = 0
    released: int = 0
    unbegun: int = 0
    fence: str = ""
    worker: str = ""
    retry_ms: int | None = None
    output: Json = None
    outputs: Mapping[str, Json] | None = None
    error: Mapping[str, Json] | None = None
    then: str = "fail"
    goto: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RunState:
    """One run; the keys of `open_steps` are the steps that are scheduled and not resolved, in no stable order."""

    status: str = NEW
    run: str = ""
    workflow: str = ""
    version: str = ""
    definition: str = ""
    inputs: Mapping[str, Json] = Map()
    labels: Mapping[str, str] | None = None
    steps: Map[str, StepState] = Map()  # noqa: RUF009 - an immutable value
    open_steps: Map[str, bool] = Map()  # noqa: RUF009 - an immutable value
    sets: Mapping[str, Json] = Map()
    output: Json = None
    error: Mapping[str, Json] | None = None
    failed_step: str | None = None
    reason: str = ""

    @property
    def closed(self) -> bool:
        """Tell whether the run has ended."""
        return self.status in CLOSED_RUN


def initial() -> RunState:
    """Give the state before the first event."""
    return RunState()


def evolve_all(state: RunState, happened: Iterable[ev.Event]) -> RunState:
    """Fold events, oldest first."""
    for event in happened:
        state = evolve(state, event)
    return state


def evolve(state: RunState, event: ev.Event) -> RunState:
    """Apply one event; an event that does not belong here returns the same object."""
    if state.status == NEW:
        return _start(state, event) if isinstance(event, ev.RunStarted) else state
    if state.closed:
        return state
    fold: Callable[[RunState, Any], RunState] | None = _FOLDS.get(type(event))
    return state if fold is None else fold(state, event)


def _start(state: RunState, event: ev.RunStarted) -> RunState:
    return replace(
        state,
        status=RUNNING,
        run=event.run,
        workflow=event.workflow,
        version=event.version,
        definition=event.definition,
        inputs=event.inputs,
        labels=event.labels,
    )


def _close(state: RunState, event: ev.RunCompleted | ev.RunFailed | ev.RunCancelled) -> RunState:
    match event:
        case ev.RunCompleted(output):
            return replace(state, status=COMPLETED, output=output) if not state.open_steps else state
        case ev.RunFailed(error, step):
            if state.open_steps:
                return state
            return replace(state, status=FAILED, error=error, failed_step=step)
        case ev.RunCancelled(reason):
            if state.open_steps or state.status != CANCELLING:
                return state
            return replace(state, status=CANCELLED, reason=reason)


def _mode(state: RunState, event: ev.RunPaused | ev.RunResumed | ev.RunCancelRequested) -> RunState:
    match event:
        case ev.RunPaused(reason) if state.status == RUNNING:
            return replace(state, status=PAUSED, reason=reason)
        case ev.RunResumed() if state.status == PAUSED:
            return replace(state, status=RUNNING, reason="")
        case ev.RunCancelRequested(reason) if state.status != CANCELLING:
            return replace(state, status=CANCELLING, reason=reason)
        case _:
            return state


def _put(state: RunState, step_id: str, step: StepState) -> RunState:
    steps = state.steps.set(step_id, step)
    is_open, was_open = step.status in OPEN_STEP, step_id in state.open_steps
    if is_open == was_open:
        return replace(state, steps=steps)
    members = state.open_steps.set(step_id, True) if is_open else state.open_steps.delete(step_id)
    return replace(state, steps=steps, open_steps=members)


def _schedule(state: RunState, event: ev.StepScheduled) -> RunState:
    if event.step in state.steps:
        return state
    return _put(state, event.step, StepState(SCHEDULED, event.inputs))


def _begin(state: RunState, event: ev.StepStarted) -> RunState:
    step = state.steps.get(event.step)
    if step is None or step.status not in CLAIMABLE or event.attempt <= step.attempt:
        return state
    begun = replace(step, status=STARTED, attempt=event.attempt, fence=event.fence, worker=event.worker, retry_ms=None)
    return _put(state, event.step, begun)


def _complete(state: RunState, event: ev.StepCompleted) -> RunState:
    step = state.steps.get(event.step)
    if step is None or step.attempt != event.attempt:
        return state
    if step.status != (STARTED if event.attempt else SCHEDULED):  # attempt 0: a step that the engine itself carries out
        return state
    done = replace(step, status=COMPLETED, output=event.output, outputs=event.outputs, error=None)
    after = _put(state, event.step, done)
    return replace(after, sets={**state.sets, **event.sets}) if event.sets else after


def _fail(state: RunState, event: ev.StepFailed | ev.StepTimedOut) -> RunState:
    step = state.steps.get(event.step)
    if step is None or step.status not in OPEN_STEP or step.attempt != event.attempt:
        return state
    return _put(
        state,
        event.step,
        replace(
            step,
            status=FAILED if event.retry_ms is None else RETRYING,
            failures=step.failures + 1,
            retry_ms=event.retry_ms,
            error=event.error,
            then=event.then,
            goto=event.goto,
            output=event.output,
        ),
    )


def _lose(state: RunState, event: ev.StepLeaseLost) -> RunState:
    step = state.steps.get(event.step)
    if step is None or step.status != STARTED or step.attempt != event.attempt:
        return state
    return _put(state, event.step, replace(step, status=SCHEDULED, lost=step.lost + 1))


def _release(state: RunState, event: ev.StepReleased) -> RunState:
    step = state.steps.get(event.step)
    if step is None or step.status != STARTED or step.attempt != event.attempt:
        return state
    # Like a failure, it is a fact that may be stored without its decision; StepRetryScheduled makes it claimable.
    unbegun = step.unbegun + (event.reason in UNBEGUN)
    again = replace(step, status=RETRYING, released=step.released + 1, unbegun=unbegun, retry_ms=event.delay_ms)
    return _put(state, event.step, again)


def _wait(state: RunState, event: ev.StepRetryScheduled) -> RunState:
    step = state.steps.get(event.step)
    if step is None or step.status != RETRYING:
        return state
    return _put(state, event.step, replace(step, status=WAITING))


def _skip(state: RunState, event: ev.StepSkipped) -> RunState:
    if event.step in state.steps:
        return state
    return _put(state, event.step, StepState(SKIPPED, {}, reason=event.reason))


def _cancel(state: RunState, event: ev.StepCancelled) -> RunState:
    step = state.steps.get(event.step)
    if step is not None and step.status not in OPEN_STEP:
        return state
    return _put(state, event.step, replace(step or StepState(CANCELLED, {}), status=CANCELLED))


def _note(state: RunState, event: ev.StepOutcomeIgnored) -> RunState:  # kept for the history only
    return replace(state) if event.step in state.steps else state


_FOLDS: dict[type[ev.Event], Callable[[RunState, Any], RunState]] = {
    ev.RunCompleted: _close,
    ev.RunFailed: _close,
    ev.RunCancelled: _close,
    ev.RunPaused: _mode,
    ev.RunResumed: _mode,
    ev.RunCancelRequested: _mode,
    ev.StepScheduled: _schedule,
    ev.StepStarted: _begin,
    ev.StepCompleted: _complete,
    ev.StepFailed: _fail,
    ev.StepTimedOut: _fail,
    ev.StepLeaseLost: _lose,
    ev.StepReleased: _release,
    ev.StepRetryScheduled: _wait,
    ev.StepSkipped: _skip,
    ev.StepCancelled: _cancel,
    ev.StepOutcomeIgnored: _note,
}
