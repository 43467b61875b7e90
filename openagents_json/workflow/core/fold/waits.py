"""The folds of what steps wait for: timers, signals, child runs."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.fold.steps import put
from openagents_json.workflow.core.state import (
    ACTIVE,
    NO_STEP,
    PAUSED,
    WAITING,
    RunState,
    Signal,
)
from openagents_json.workflow.core.usage import ANSWER, ASK, used_of

_MAY_WAIT: Final = frozenset({ACTIVE, WAITING})


def set_timer(state: RunState, event: ev.TimerSet) -> RunState:
    """Fold that a step waits for a time."""
    step = state.steps.get(event.step, NO_STEP)
    if step.status not in _MAY_WAIT or event.timer != step.timers + 1:
        return state
    timed = replace(step, timer=event.timer, timers=event.timer)
    return put(state, event.step, timed)


def fire_timer(state: RunState, event: ev.TimerFired) -> RunState:
    """Fold that the time of a timer has come."""
    step = state.steps.get(event.step, NO_STEP)
    if not event.timer or step.timer != event.timer:
        return state
    return put(state, event.step, replace(step, timer=0))


def hear_signal(state: RunState, event: ev.SignalReceived) -> RunState:
    """Fold that a signal came."""
    if event.signal in state.heard:
        return state
    signal = Signal(
        id=event.signal,
        name=event.name,
        key=event.key,
        payload=event.payload,
        by=event.by,
        reason=event.reason,
        at_ms=event.at_ms,
    )
    # The answer of a run that asks is for no step.
    asks = state.status == PAUSED and state.over_budget == ASK
    is_answer = asks and event.name == ANSWER
    signals = state.signals if is_answer else (*state.signals, signal)
    heard = state.heard.set(event.signal, True)
    return replace(state, signals=signals, heard=heard)


def take_signal(state: RunState, event: ev.SignalTaken) -> RunState:
    """Fold that a step took a signal."""
    others = tuple(signal for signal in state.signals if signal.id != event.signal)
    if len(others) == len(state.signals):
        return state
    return replace(state, signals=others)


def start_child(state: RunState, event: ev.ChildStarted) -> RunState:
    """Fold the start of a child run."""
    step = state.steps.get(event.step, NO_STEP)
    has_child = step.child and step.status == ACTIVE
    if has_child or step.status not in _MAY_WAIT:
        return state
    begun = replace(
        step,
        status=ACTIVE,
        child=event.child,
        children=step.children + 1,
        retry_ms=None,
        since_ms=step.since_ms or event.time_ms,
        begun_ms=event.time_ms,
    )
    return put(state, event.step, begun, children=state.children + 1)


def close_child(state: RunState, event: ev.ChildClosed) -> RunState:
    """Fold the end of a child run; how it ended comes with the outcome of its step."""
    step = state.steps.get(event.step)
    if step is None or step.child != event.child:
        return state
    # Another object in any case: the event belongs here.
    return replace(state, used=state.used.plus(used_of(event.usage or {})))
