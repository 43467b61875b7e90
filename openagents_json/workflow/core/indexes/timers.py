"""What a commit asks of time: members of the due set that come and go with the events."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import Any, Final

from msgspec import Struct

from openagents_json.work_index import NEVER_MS, DueKind, Timer, timer_subject
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.plan import Plan

StepEnd = (
    ev.StepCompleted
    | ev.StepFailed
    | ev.StepTimedOut
    | ev.StepCancelled
    | ev.StepOverridden
)


class TimerChanges(Struct, gc=False):
    """Members to add, (kind, subject) -> (delay in ms, time in ms since 1970 or 0), and to take away."""

    timers: dict[tuple[DueKind, str], tuple[int, int]] = {}
    removed: dict[tuple[DueKind, str], None] = {}

    def add(self, kind: DueKind, subject: str, delay_ms: int, at_ms: int = 0) -> None:
        """Have something looked at after a delay, or at a time."""
        self.timers[kind, subject] = (delay_ms, at_ms)

    def drop(self, kind: DueKind, subject: str) -> None:
        """Have it looked at no more."""
        self.timers.pop((kind, subject), None)
        self.removed[kind, subject] = None

    def added(self) -> tuple[Timer, ...]:
        """Return what is to be looked at."""
        return tuple(
            Timer(kind, subject, delay_ms, at_ms)
            for (kind, subject), (delay_ms, at_ms) in self.timers.items()
        )

    def dropped(self) -> tuple[tuple[DueKind, str], ...]:
        """Return what is to be looked at no more, and was not added again."""
        return tuple(key for key in self.removed if key not in self.timers)


def _scheduled(
    event: ev.StepScheduled, _: st.RunState, after: st.RunState, due: TimerChanges
) -> None:
    step = event.step
    is_wait = event.kind == "wait"
    waits = is_wait or event.gates  # which is rare, and so asked first
    if not waits or step not in after.open_steps:
        return
    if not is_wait:
        due.add(DueKind.GATES, step, 0)
    elif not after.steps[step].timer:
        due.add(DueKind.SIGNAL, step, 0, NEVER_MS)


def _retried(
    event: ev.StepRetryScheduled, _: st.RunState, after: st.RunState, due: TimerChanges
) -> None:
    if event.gated and event.step in after.open_steps:
        due.add(DueKind.GATES, event.step, event.delay_ms)


def _admitted(
    event: ev.StepAdmitted, _: st.RunState, _after: st.RunState, due: TimerChanges
) -> None:
    due.drop(DueKind.GATES, event.step)


def _timer_set(
    event: ev.TimerSet, _: st.RunState, after: st.RunState, due: TimerChanges
) -> None:
    if after.steps[event.step].timer == event.timer:
        due.drop(DueKind.SIGNAL, event.step)
        subject = timer_subject(event.step, event.timer)
        due.add(DueKind.TIMER, subject, event.delay_ms, event.at_ms)


def _timer_fired(
    event: ev.TimerFired, _: st.RunState, _after: st.RunState, due: TimerChanges
) -> None:
    due.drop(DueKind.TIMER, timer_subject(event.step, event.timer))


def _child_started(
    event: ev.ChildStarted, _: st.RunState, _after: st.RunState, due: TimerChanges
) -> None:
    due.add(DueKind.CHILD, event.step, 0)


def _child_closed(
    event: ev.ChildClosed, _: st.RunState, _after: st.RunState, due: TimerChanges
) -> None:
    due.drop(DueKind.CHILD, event.step)


def _ended(
    event: StepEnd, before: st.RunState, after: st.RunState, due: TimerChanges
) -> None:
    path = event.step
    step = after.steps[path]
    was = before.steps.get(path, st.NO_STEP)
    if was.timer and step.timer != was.timer:
        due.drop(DueKind.TIMER, timer_subject(path, was.timer))
    if step.kind:
        _engine_step_ended(event, step, due)
    # Most steps have no gates: nothing more is looked at.
    if step.waits and path not in after.open_steps:
        _give_gates_back(path, was, step, due)


def _engine_step_ended(event: StepEnd, step: st.StepState, due: TimerChanges) -> None:
    """Note that nobody waits any more for what a step of the engine's own waited for."""
    path = event.step
    if step.kind == "wait":
        due.drop(DueKind.SIGNAL, path)
    has_child = step.kind == "workflow" and step.child
    if has_child and not isinstance(event, ev.StepCompleted):
        is_closed = (DueKind.CHILD, path) in due.removed  # it closed by itself
        due.drop(DueKind.CHILD, path)
        if not is_closed:
            due.add(DueKind.CANCEL_CHILD, step.child, 0)


def _give_gates_back(
    path: str, was: st.StepState, step: st.StepState, due: TimerChanges
) -> None:
    """Note that a step has no use for its gates any more; one that never got them may be waiting in line."""
    is_in_line = was.status == st.GATED and step.gates is None
    if is_in_line:
        due.drop(DueKind.GATES, path)
    if is_in_line or step.gates:
        due.add(DueKind.GIVE_BACK, path, 0)


STEP_DUE: Final[
    Mapping[
        type[ev.Event], Callable[[Any, st.RunState, st.RunState, TimerChanges], None]
    ]
] = {
    ev.StepScheduled: _scheduled,
    ev.StepRetryScheduled: _retried,
    ev.StepAdmitted: _admitted,
    ev.StepCompleted: _ended,
    ev.StepFailed: _ended,
    ev.StepTimedOut: _ended,
    ev.StepCancelled: _ended,
    ev.StepOverridden: _ended,
    ev.TimerSet: _timer_set,
    ev.TimerFired: _timer_fired,
    ev.ChildStarted: _child_started,
    ev.ChildClosed: _child_closed,
}
"""What events about steps ask of time; a table, because a commit of every step comes by here."""


def run_due(
    plan: Plan, kinds: Set[type], after: st.RunState, grace_ms: int, due: TimerChanges
) -> None:
    """Note what the events of a commit that are about the run as a whole ask of time, in the order of the table."""
    if kinds.isdisjoint(_RUN_EVENTS):
        return
    for kind, collect in RUN_DUE.items():
        if kind in kinds:
            collect(plan, after, grace_ms, due)


def _opened(plan: Plan, after: st.RunState, _grace_ms: int, due: TimerChanges) -> None:
    if plan.timeout_ms and not after.closed:
        due.add(DueKind.RUN_LIMIT, "", plan.timeout_ms)


def _queued(_plan: Plan, after: st.RunState, _grace_ms: int, due: TimerChanges) -> None:
    if not after.closed:
        # The gates of the run, and not of its plan: who starts a run may have it wait, too.
        waits_ms = [per_ms for _, _, _, per_ms, *_ in after.queue]
        due.add(DueKind.GATES, "", max(waits_ms, default=0))


def _run_admitted(
    _plan: Plan, _after: st.RunState, _grace_ms: int, due: TimerChanges
) -> None:
    due.drop(DueKind.GATES, "")


def _cancel_requested(
    plan: Plan, after: st.RunState, grace_ms: int, due: TimerChanges
) -> None:
    if not after.closed:
        due.add(DueKind.CANCEL_GRACE, "", grace_ms)
    _tell_children(plan, after, grace_ms, due)


def _tell_children(
    _plan: Plan, after: st.RunState, _grace_ms: int, due: TimerChanges
) -> None:
    for step in after.open_steps:
        if after.steps[step].child:
            due.add(DueKind.CHILD, step, 0)


def _closed(plan: Plan, after: st.RunState, _grace_ms: int, due: TimerChanges) -> None:
    for kind in (
        DueKind.RUN_LIMIT,
        DueKind.CANCEL_GRACE,
        DueKind.DECISION,
        DueKind.GATES,
    ):
        due.drop(kind, "")
    if plan.gates:
        due.add(DueKind.GIVE_BACK, "", 0)
    if after.parent:
        due.add(DueKind.PARENT, "", 0)


RUN_DUE: Final[
    Mapping[type[ev.Event], Callable[[Plan, st.RunState, int, TimerChanges], None]]
] = {
    ev.RunStarted: _opened,
    ev.RunReopened: _opened,
    ev.RunQueued: _queued,
    ev.RunAdmitted: _run_admitted,
    ev.RunCancelRequested: _cancel_requested,
    ev.RunPaused: _tell_children,
    ev.RunResumed: _tell_children,
    ev.RunCompleted: _closed,
    ev.RunFailed: _closed,
    ev.RunCancelled: _closed,
}
"""What events about the run as a whole ask of time; the end comes last, as it takes away what came before it."""

_RUN_EVENTS: Final = frozenset(RUN_DUE)
