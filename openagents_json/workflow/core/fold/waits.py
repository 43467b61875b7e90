"""The folds of what steps wait for: timers, signals, child runs."""

from __future__ import annotations

from msgspec.structs import replace

from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.fold.steps import put
from openagents_json.workflow.core.state import ACTIVE, WAITING, RunState, Signal


def set_timer(state: RunState, event: ev.TimerSet) -> RunState:
    """Fold that a step waits for a time."""
    step = state.steps.get(event.step)
    if (
        step is None
        or step.status not in (ACTIVE, WAITING)
        or event.timer != step.timers + 1
    ):
        return state
    return put(state, event.step, replace(step, timer=event.timer, timers=event.timer))


def fire_timer(state: RunState, event: ev.TimerFired) -> RunState:
    """Fold that the time of a timer has come."""
    step = state.steps.get(event.step)
    if step is None or not event.timer or step.timer != event.timer:
        return state
    return put(state, event.step, replace(step, timer=0))


def hear_signal(state: RunState, event: ev.SignalReceived) -> RunState:
    """Fold that a signal came."""
    if event.signal in state.heard:
        return state
    signal = Signal(
        event.signal,
        event.name,
        event.key,
        event.payload,
        event.by,
        event.reason,
        event.at_ms,
    )
    return replace(
        state,
        signals=(*state.signals, signal),
        heard=state.heard.set(event.signal, True),
    )


def take_signal(state: RunState, event: ev.SignalTaken) -> RunState:
    """Fold that a step took a signal."""
    left = tuple(signal for signal in state.signals if signal.id != event.signal)
    return state if len(left) == len(state.signals) else replace(state, signals=left)


def start_child(state: RunState, event: ev.ChildStarted) -> RunState:
    """Fold the start of a child run."""
    step = state.steps.get(event.step)
    if (
        step is None
        or step.status not in (ACTIVE, WAITING)
        or (step.child and step.status == ACTIVE)
    ):
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
    return replace(state) if step is not None and step.child == event.child else state
