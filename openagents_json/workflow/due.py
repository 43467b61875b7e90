"""What a commit asks of time: members of the due set that come and go with the events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from openagents_json.workflow import events as ev
from openagents_json.workflow import state as st
from openagents_json.workflow.plan import Plan

NEVER_MS: Final = 4_000_000_000_000_000
"""The time of what only a signal wakes."""


RUN_EVENTS: Final = frozenset(
    {ev.RunStarted, ev.RunQueued, ev.RunAdmitted, ev.RunPaused, ev.RunResumed, ev.RunCancelRequested, ev.RunReopened}
    | set(ev.CLOSING)
)
STEP_EVENTS: Final = frozenset(
    {
        ev.TimerSet,
        ev.TimerFired,
        ev.StepScheduled,
        ev.StepRetryScheduled,
        ev.StepAdmitted,
        ev.StepCompleted,
        ev.StepFailed,
        ev.StepTimedOut,
        ev.StepCancelled,
        ev.StepOverridden,
        ev.ChildStarted,
        ev.ChildClosed,
    }
)
"""Events that may ask something of time."""


@dataclass(slots=True)
class Due:
    """Members to add, (kind, step) -> (delay in ms, time in ms since 1970 or 0), and to take away."""

    timers: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    untimers: dict[tuple[str, str], None] = field(default_factory=dict)

    def add(self, kind: str, step: str, delay_ms: int, at_ms: int = 0) -> None:
        """Have something looked at after a delay, or at a time."""
        self.timers[kind, step] = (delay_ms, at_ms)

    def drop(self, kind: str, step: str) -> None:
        """Have it looked at no more."""
        self.timers.pop((kind, step), None)
        self.untimers[kind, step] = None


_ENDED: Final = (ev.StepCompleted, ev.StepFailed, ev.StepTimedOut, ev.StepCancelled, ev.StepOverridden)


def collect_due(event: ev.Event, before: st.RunState, after: st.RunState, due: Due) -> None:
    """Note what one event asks of time."""
    if isinstance(event, ev.StepScheduled):
        if (event.kind == "wait" or event.gates) and event.step in after.open_steps:
            _waits(event.step, event.kind, after, due)
    elif isinstance(event, _ENDED):
        known, now = before.steps.get(event.step), after.steps[event.step]
        if now.kind or now.waits or (known is not None and known.timer):
            _step_ended(event, event.step, before, after, due)
    else:
        _simple(event, after, due)


def _simple(event: ev.Event, after: st.RunState, due: Due) -> None:
    match event:
        case ev.TimerSet(step, timer, delay_ms, at_ms) if after.steps[step].timer == timer:
            due.drop("n", step)
            due.add("t", f"{step}|{timer}", delay_ms, at_ms)
        case ev.TimerFired(step, timer):
            due.drop("t", f"{step}|{timer}")
        case ev.StepRetryScheduled(step, delay_ms, True) if step in after.open_steps:
            due.add("g", step, delay_ms)
        case ev.StepAdmitted(step):
            due.drop("g", step)
        case ev.ChildStarted(step):
            due.add("c", step, 0)
        case ev.ChildClosed(step):
            due.drop("c", step)
        case _:
            pass


def _waits(step: str, kind: str, after: st.RunState, due: Due) -> None:
    if kind != "wait":
        due.add("g", step, 0)
    elif not after.steps[step].timer:
        due.add("n", step, 0, NEVER_MS)


def _step_ended(event: ev.Event, step: str, before: st.RunState, after: st.RunState, due: Due) -> None:
    known, now = before.steps.get(step), after.steps[step]
    if known is not None and known.timer and now.timer != known.timer:
        due.drop("t", f"{step}|{known.timer}")
    if now.kind == "wait":
        due.drop("n", step)
    if now.kind == "workflow" and now.child and not isinstance(event, ev.StepCompleted):
        told = ("c", step) in due.untimers  # it closed by itself
        due.drop("c", step)
        if not told:
            due.add("x", now.child, 0)
    if step in after.open_steps:
        return
    if known is not None and known.status == st.GATED and now.gates is None:
        due.drop("g", step)
        due.add("u", step, 0)  # it may be waiting in line
    elif now.gates:
        due.add("u", step, 0)


def run_due(plan: Plan, names: set[type], after: st.RunState, grace_ms: int, due: Due) -> None:
    """Note what the change of the run's status asks of time."""
    if names & {ev.RunStarted, ev.RunReopened} and plan.timeout_ms and not after.closed:
        due.add("R", "", plan.timeout_ms)
    if ev.RunQueued in names and not after.closed:
        due.add("g", "", max(gate.per_ms for gate in plan.gates))
    if ev.RunAdmitted in names:
        due.drop("g", "")
    if ev.RunCancelRequested in names and not after.closed:
        due.add("k", "", grace_ms)
    if names & {ev.RunPaused, ev.RunResumed, ev.RunCancelRequested}:
        for step in after.open_steps:
            if after.steps[step].child:
                due.add("c", step, 0)
    if names & set(ev.CLOSING):
        _closed(plan, after, due)


def _closed(plan: Plan, after: st.RunState, due: Due) -> None:
    for kind in ("R", "k", "w", "g"):
        due.drop(kind, "")
    if plan.gates:
        due.add("u", "", 0)
    if after.parent:
        due.add("p", "", 0)
