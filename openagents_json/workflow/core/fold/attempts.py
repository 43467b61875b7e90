"""The folds of attempts: claimed, returned, failed, lost, given back, waited for."""

from __future__ import annotations

from collections.abc import Set
from typing import Final

from msgspec.structs import replace

from openagents_json.statuses import StepStatus
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.fold.steps import (
    put,
    with_outcome,
    with_sets,
    with_usage,
)
from openagents_json.workflow.core.paths import COMPENSATE
from openagents_json.workflow.core.state import (
    ACTIVE,
    CLAIMABLE,
    COMPLETED,
    FAILED,
    FOREACH,
    GATED,
    NO_STEP,
    OPEN_STEP,
    RETRYING,
    SCHEDULED,
    STARTED,
    UNBEGUN,
    WAITING,
    RunState,
    StepState,
    gather,
)

_UNDER_WAY: Final = frozenset({STARTED})
_CARRIED_OUT: Final = frozenset({ACTIVE, SCHEDULED})
"""What a step may be which the engine itself completes: its events carry attempt 0."""

AttemptEnded = (
    ev.StepCompleted
    | ev.StepFailed
    | ev.StepTimedOut
    | ev.StepLeaseLost
    | ev.StepReleased
)


def _attempted(
    state: RunState, event: AttemptEnded, statuses: Set[str]
) -> StepState | None:
    """Return the step of an event, None if it has none of the statuses or the attempt is not its latest."""
    step = state.steps.get(event.step, NO_STEP)
    is_latest = step.attempt == event.attempt
    return step if is_latest and step.status in statuses else None


def begin(state: RunState, event: ev.StepStarted) -> RunState:
    """Fold the claim of an attempt."""
    step = state.steps.get(event.step, NO_STEP)
    if step.status not in CLAIMABLE or step.kind:
        return state
    if event.attempt <= step.attempt and not _counts_anew(step, event):
        return state
    begun = replace(
        step,
        status=STARTED,
        attempt=event.attempt,
        fence=event.fence,
        worker=event.worker,
        retry_ms=None,
        since_ms=step.since_ms or event.time_ms,
        begun_ms=event.time_ms,
    )
    last = int(event.fence) if event.fence.isdecimal() else 0
    return put(state, event.step, begun, fence=max(state.fence, last))


def _counts_anew(step: StepState, event: ev.StepStarted) -> bool:
    """Tell whether attempts are counted from 1: in older histories, those of compensations are, each time."""
    return event.step.endswith(COMPENSATE) and not step.worker


def complete(state: RunState, event: ev.StepCompleted) -> RunState:
    """Fold that an attempt returned."""
    statuses = _UNDER_WAY if event.attempt else _CARRIED_OUT
    step = _attempted(state, event, statuses)
    if step is None:
        return state
    output = gather(state, event.step) if step.kind == FOREACH else event.output
    sequence = state.sequence + 1
    done = replace(
        step,
        status=COMPLETED,
        output=output,
        outputs=event.outputs,
        error=None,
        sequence=sequence,
        timer=0,
        sets=event.sets or None,
    )
    sets = with_sets(state, event.sets)
    pending = with_outcome(state, event, sequence)
    more = with_usage(state, event.usage)
    return put(
        state, event.step, done, sets=sets, sequence=sequence, pending=pending, **more
    )


def fail(state: RunState, event: ev.StepFailed | ev.StepTimedOut) -> RunState:
    """Fold that an attempt failed, or that a limit of the step ran out."""
    step = _attempted(state, event, OPEN_STEP)
    if step is None:
        return state
    failed = replace(
        step,
        status=RETRYING,
        failures=step.failures + 1,
        retry_ms=event.retry_ms,
        error=event.error,
        then=event.then,
        goto=event.goto,
        output=event.output,
        timer=0,
        reason=event.reason,
    )
    more = with_usage(state, event.usage)
    if event.retry_ms is not None:
        return put(state, event.step, failed, **more)
    sequence = state.sequence + 1  # of several failures, the first one counts
    pending = with_outcome(state, event, sequence)
    ended = replace(failed, status=FAILED, sequence=sequence)
    return put(state, event.step, ended, sequence=sequence, pending=pending, **more)


def lose(state: RunState, event: ev.StepLeaseLost) -> RunState:
    """Fold that the worker of an attempt went silent."""
    step = _attempted(state, event, _UNDER_WAY)
    if step is None:
        return state
    lost = replace(step, status=SCHEDULED, lost=step.lost + 1)
    return put(state, event.step, lost)


def release(state: RunState, event: ev.StepReleased) -> RunState:
    """Fold that an attempt was given back."""
    step = _attempted(state, event, _UNDER_WAY)
    if step is None:
        return state
    # Like a failure, it is a fact that may be stored without its decision; StepRetryScheduled makes it claimable.
    again = replace(
        step,
        status=RETRYING,
        released=step.released + 1,
        unbegun=step.unbegun + (event.reason in UNBEGUN),
        retry_ms=event.delay_ms,
    )
    if _never_begun(again):
        again = replace(again, since_ms=0)
    return put(state, event.step, again, **with_usage(state, event.usage))


def _never_begun(step: StepState) -> bool:
    """Tell whether nobody has begun any of the attempts so far: the time that a step may take has not begun either."""
    begun_and_released = step.released - step.unbegun
    return not (step.failures or step.lost or begun_and_released)


def wait(state: RunState, event: ev.StepRetryScheduled) -> RunState:
    """Fold that a step is to be tried again."""
    step = state.steps.get(event.step, NO_STEP)
    if step.status != RETRYING:
        return state
    status: StepStatus = GATED if event.gated else WAITING
    return put(state, event.step, replace(step, status=status))
