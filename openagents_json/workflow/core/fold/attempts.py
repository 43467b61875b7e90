"""The folds of attempts: claimed, returned, failed, lost, given back, waited for."""

from __future__ import annotations

from msgspec.structs import replace

from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.fold.steps import put, with_outcome
from openagents_json.workflow.core.paths import COMPENSATE
from openagents_json.workflow.core.state import (
    ACTIVE,
    CLAIMABLE,
    COMPLETED,
    FAILED,
    FOREACH,
    GATED,
    OPEN_STEP,
    RETRYING,
    SCHEDULED,
    STARTED,
    UNBEGUN,
    WAITING,
    RunState,
    gather,
)


def begin(state: RunState, event: ev.StepStarted) -> RunState:
    """Fold the claim of an attempt."""
    step = state.steps.get(event.step)
    if step is None or step.status not in CLAIMABLE or step.kind:
        return state
    # Older histories count the attempts of compensations from 1 each time.
    anew = event.step.endswith(COMPENSATE) and not step.worker
    if event.attempt <= step.attempt and not anew:
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


def complete(state: RunState, event: ev.StepCompleted) -> RunState:
    """Fold that an attempt returned."""
    step = state.steps.get(event.step)
    if step is None or step.attempt != event.attempt:
        return state
    # Attempt 0 is that of a step which the engine itself carries out.
    fitting = (STARTED,) if event.attempt else (ACTIVE, SCHEDULED)
    if step.status not in fitting:
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
    sets = {**state.sets, **event.sets} if event.sets else state.sets
    pending = with_outcome(state, event, sequence)
    return put(state, event.step, done, sets=sets, sequence=sequence, pending=pending)


def fail(state: RunState, event: ev.StepFailed | ev.StepTimedOut) -> RunState:
    """Fold that an attempt failed, or that a limit of the step ran out."""
    step = state.steps.get(event.step)
    if step is None or step.status not in OPEN_STEP or step.attempt != event.attempt:
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
    if event.retry_ms is not None:
        return put(state, event.step, failed)
    sequence = state.sequence + 1  # of several failures, the first one counts
    pending = with_outcome(state, event, sequence)
    ended = replace(failed, status=FAILED, sequence=sequence)
    return put(state, event.step, ended, sequence=sequence, pending=pending)


def lose(state: RunState, event: ev.StepLeaseLost) -> RunState:
    """Fold that the worker of an attempt went silent."""
    step = state.steps.get(event.step)
    if step is None or step.status != STARTED or step.attempt != event.attempt:
        return state
    return put(state, event.step, replace(step, status=SCHEDULED, lost=step.lost + 1))


def release(state: RunState, event: ev.StepReleased) -> RunState:
    """Fold that an attempt was given back."""
    step = state.steps.get(event.step)
    if step is None or step.status != STARTED or step.attempt != event.attempt:
        return state
    # Like a failure, it is a fact that may be stored without its decision; StepRetryScheduled makes it claimable.
    unbegun = step.unbegun + (event.reason in UNBEGUN)
    again = replace(
        step,
        status=RETRYING,
        released=step.released + 1,
        unbegun=unbegun,
        retry_ms=event.delay_ms,
    )
    never_begun = not step.failures and not step.lost and again.released == unbegun
    if never_begun:
        again = replace(again, since_ms=0)
    return put(state, event.step, again)


def wait(state: RunState, event: ev.StepRetryScheduled) -> RunState:
    """Fold that a step is to be tried again."""
    step = state.steps.get(event.step)
    if step is None or step.status != RETRYING:
        return state
    return put(
        state, event.step, replace(step, status=GATED if event.gated else WAITING)
    )
