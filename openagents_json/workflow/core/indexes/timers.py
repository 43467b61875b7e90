"""What a commit asks of time: members of the due set that come and go with the events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from openagents_json.work_index import NEVER_MS, DueKind, timer_subject
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.plan import Plan

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
    """Members to add, (kind, subject) -> (delay in ms, time in ms since 1970 or 0), and to take away."""

    timers: dict[tuple[DueKind, str], tuple[int, int]] = field(default_factory=dict)
    removed: dict[tuple[DueKind, str], None] = field(default_factory=dict)

    def add(self, kind: DueKind, subject: str, delay_ms: int, at_ms: int = 0) -> None:
        """Have something looked at after a delay, or at a time."""
        self.timers[kind, subject] = (delay_ms, at_ms)

    def drop(self, kind: DueKind, subject: str) -> None:
        """Have it looked at no more."""
        self.timers.pop((kind, subject), None)
        self.removed[kind, subject] = None


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
            due.drop(DueKind.SIGNAL, step)
            due.add(DueKind.TIMER, timer_subject(step, timer), delay_ms, at_ms)
        case ev.TimerFired(step, timer):
            due.drop(DueKind.TIMER, timer_subject(step, timer))
        case ev.StepRetryScheduled(step, delay_ms, True) if step in after.open_steps:
            due.add(DueKind.GATES, step, delay_ms)
        case ev.StepAdmitted(step):
            due.drop(DueKind.GATES, step)
        case ev.ChildStarted(step):
            due.add(DueKind.CHILD, step, 0)
        case ev.ChildClosed(step):
            due.drop(DueKind.CHILD, step)
        case _:
            pass


def _waits(step: str, kind: str, after: st.RunState, due: Due) -> None:
    if kind != "wait":
        due.add(DueKind.GATES, step, 0)
    elif not after.steps[step].timer:
        due.add(DueKind.SIGNAL, step, 0, NEVER_MS)


def _step_ended(event: ev.Event, step: str, before: st.RunState, after: st.RunState, due: Due) -> None:
    known, now = before.steps.get(step), after.steps[step]
    if known is not None and known.timer and now.timer != known.timer:
        due.drop(DueKind.TIMER, timer_subject(step, known.timer))
    if now.kind == "wait":
        due.drop(DueKind.SIGNAL, step)
    if now.kind == "workflow" and now.child and not isinstance(event, ev.StepCompleted):
        told = (DueKind.CHILD, step) in due.removed  # it closed by itself
        due.drop(DueKind.CHILD, step)
        if not told:
            due.add(DueKind.CANCEL_CHILD, now.child, 0)
    if step in after.open_steps:
        return
    if known is not None and known.status == st.GATED and now.gates is None:
        due.drop(DueKind.GATES, step)
        due.add(DueKind.GIVE_BACK, step, 0)  # it may be waiting in line
    elif now.gates:
        due.add(DueKind.GIVE_BACK, step, 0)


def run_due(plan: Plan, names: set[type], after: st.RunState, grace_ms: int, due: Due) -> None:
    """Note what the change of the run's status asks of time."""
    if names & {ev.RunStarted, ev.RunReopened} and plan.timeout_ms and not after.closed:
        due.add(DueKind.RUN_LIMIT, "", plan.timeout_ms)
    if ev.RunQueued in names and not after.closed:
        due.add(DueKind.GATES, "", max(gate.per_ms for gate in plan.gates))
    if ev.RunAdmitted in names:
        due.drop(DueKind.GATES, "")
    if ev.RunCancelRequested in names and not after.closed:
        due.add(DueKind.CANCEL_GRACE, "", grace_ms)
    if names & {ev.RunPaused, ev.RunResumed, ev.RunCancelRequested}:
        for step in after.open_steps:
            if after.steps[step].child:
                due.add(DueKind.CHILD, step, 0)
    if names & set(ev.CLOSING):
        _closed(plan, after, due)


def _closed(plan: Plan, after: st.RunState, due: Due) -> None:
    for kind in (DueKind.RUN_LIMIT, DueKind.CANCEL_GRACE, DueKind.DECISION, DueKind.GATES):
        due.drop(kind, "")
    if plan.gates:
        due.add(DueKind.GIVE_BACK, "", 0)
    if after.parent:
        due.add(DueKind.PARENT, "", 0)
