"""Going on in another store: what was under way in the first one is lost, what it held is asked for anew."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from msgspec.structs import replace

from openagents_json.statuses import CLAIMED_RUN
from openagents_json.work_index import (
    NEVER_MS,
    DueKind,
    IndexChanges,
    RestoredStep,
    Timer,
    timer_subject,
)
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.decide.decision import DecisionBuilder, fail
from openagents_json.workflow.core.indexes.changes import share_of
from openagents_json.workflow.core.plan import Plan

LOCKS = frozenset({"mutex", "concurrency"})
GRACE_MS = 10_000


def import_run(turn: DecisionBuilder, command: cmd.ImportRun) -> None:
    """Let an open run go on here; a step under way that may not be started twice fails.

    Raises Rejected when other runs, which stay where they are, wait for this one or are waited for.
    """
    _check(turn)
    steps = turn.state.steps
    open_steps = turn.in_order(turn.state.open_steps)
    lost = turn.state.with_status(st.STARTED, open_steps)
    gated = [path for path in open_steps if steps[path].gates]
    turn.emit(replace(noted(command), lost=lost, gated=gated, paused=command.paused))
    why = f"it was under way in {command.source} when the run was taken from there"
    for path in lost:
        if turn.plan.of(path).effect == "at_most_once":
            unknown_outcome(turn, path, why)


def noted(command: cmd.ImportRun) -> ev.RunImported:
    """Return the event that says where a run comes from; it is all that is added to one that had ended."""
    return ev.RunImported(
        command.source,
        command.at,
        reason=command.reason,
        how=command.how,
        sha256=command.sha256,
    )


def unknown_outcome(turn: DecisionBuilder, path: str, why: str) -> None:
    """Fail a step of which nobody knows what it has done."""
    message = f"step {path}: {why}, and the step may not be started twice"
    error = {"type": "UnknownOutcome", "message": message, "retryable": False}
    fail(turn, path, turn.state.steps[path].attempt, error)


def _check(turn: DecisionBuilder) -> None:
    """Refuse to take over a run that others wait for, or that waits for others.

    Raises Rejected.
    """
    state = turn.state
    if state.closed:
        why = f"the run is {state.status}: there is nothing to go on with"
        raise cmd.Rejected("closed", why, state.status)
    if state.parent:
        why = f"run {state.parent['run']} waits for this one, and would never hear of it: move that one after its end"
        raise cmd.Rejected("has_parent", why, state.status)
    open_steps = turn.in_order(state.open_steps)
    parents = [path for path in open_steps if state.steps[path].child]
    if parents:
        path = parents[0]
        why = f"step {path} waits for run {state.steps[path].child}, which stays where it is: move this one after that"
        raise cmd.Rejected("has_child", why, state.status)
    locks = [gate[1] for gate in state.queue if gate[0] in LOCKS]
    if locks and state.status != st.QUEUED:
        why = f"the run holds a place under the limit of its workflow (key {locks[0]!r}): move it before or after that"
        raise cmd.Rejected("holds_place", why, state.status)


@dataclass(frozen=True, slots=True)
class TimedEvent:
    """An event with its version, and its time in ms, 0 for now."""

    version: int
    time_ms: int
    event: ev.Event


When = tuple[int, int]
"""A delay in ms, and the time in ms since 1970 by which it is over, 0 for one that begins now."""

_NOW: Final[When] = (0, 0)


@dataclass(slots=True)
class _Times:
    """What a history says of when things were to happen."""

    scheduled: dict[str, int] = field(default_factory=dict)
    since: dict[str, int] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    timers: dict[tuple[str, int], When] = field(default_factory=dict)
    again: dict[str, When] = field(default_factory=dict)
    opened: int = 0
    queued: When = (0, 0)
    started: dict[str, None] = field(default_factory=dict)


def _when(delay_ms: int, now_ms: int) -> When:
    if now_ms:
        return (0, now_ms + delay_ms)
    return (delay_ms, 0)


def _opened(times: _Times, _: ev.Event, item: TimedEvent) -> None:
    times.opened = item.time_ms


def _queued(times: _Times, event: ev.RunQueued, item: TimedEvent) -> None:
    times.queued = _when(event.delay_ms, item.time_ms)


def _scheduled(times: _Times, event: ev.StepScheduled, item: TimedEvent) -> None:
    _has_begun(times, event.step, item)


def _compensated(
    times: _Times, event: ev.CompensationScheduled, item: TimedEvent
) -> None:
    _has_begun(times, event.compensation, item)


def _has_begun(times: _Times, step: str, item: TimedEvent) -> None:
    times.scheduled[step] = item.version
    times.since[step] = item.time_ms
    times.begun.discard(step)


def _admitted(times: _Times, event: ev.StepAdmitted, item: TimedEvent) -> None:
    if event.step not in times.begun:
        times.since[event.step] = item.time_ms


def _started(times: _Times, event: ev.StepStarted, _: TimedEvent) -> None:
    times.begun.add(event.step)


def _retried(times: _Times, event: ev.StepRetryScheduled, item: TimedEvent) -> None:
    times.again[event.step] = _when(event.delay_ms, item.time_ms)


def _timer_set(times: _Times, event: ev.TimerSet, item: TimedEvent) -> None:
    when = (0, event.at_ms) if event.at_ms else _when(event.delay_ms, item.time_ms)
    times.timers[event.step, event.timer] = when


def _child_started(times: _Times, event: ev.ChildStarted, item: TimedEvent) -> None:
    if not item.time_ms:  # one that is on record has ended: nobody takes a run over that waits for another
        times.started[event.step] = None


NOTED: Final[Mapping[type[ev.Event], Callable[[_Times, Any, TimedEvent], None]]] = {
    ev.RunStarted: _opened,
    ev.RunReopened: _opened,
    ev.RunForked: _opened,
    ev.RunQueued: _queued,
    ev.StepScheduled: _scheduled,
    ev.CompensationScheduled: _compensated,
    ev.StepAdmitted: _admitted,
    ev.StepStarted: _started,
    ev.StepRetryScheduled: _retried,
    ev.TimerSet: _timer_set,
    ev.ChildStarted: _child_started,
}
"""What events say of when things were to happen; a test holds it against their traits."""


def imported(
    plan: Plan, state: st.RunState, happened: Sequence[TimedEvent]
) -> IndexChanges:
    """Derive what the indexes must hold of a run of which they hold nothing: from its state and its whole history.

    What waits for a time still waits for that time.
    """
    held = state.held or None
    if state.closed:
        due = (Timer(DueKind.GIVE_BACK, "", 0),) if plan.gates else ()
        return IndexChanges(state.status, cancel=False, timers=due, held=held)
    draft = _Draft(plan, state, _times_of(happened))
    for path in sorted(state.open_steps):
        draft.step(path, state.steps[path])
    draft.run()
    timers = tuple(Timer(kind, step, *when) for (kind, step), when in draft.due.items())
    return IndexChanges(
        state.status,
        cancel=state.status == st.CANCELLING,
        timers=timers,
        restored=tuple(draft.restored),
        shares=tuple(
            share_of(step.step, fairness)
            for step in draft.restored
            if (fairness := state.steps[step.step].fairness)
        ),
        held=held,
    )


def _times_of(happened: Iterable[TimedEvent]) -> _Times:
    times = _Times()
    for item in happened:
        note = NOTED.get(type(item.event))
        if note is not None:
            note(times, item.event, item)
    return times


@dataclass(slots=True)
class _Draft:
    plan: Plan
    state: st.RunState
    times: _Times
    due: dict[tuple[DueKind, str], When] = field(default_factory=dict)
    restored: list[RestoredStep] = field(default_factory=list)

    def run(self) -> None:
        """Note what the run as a whole waits for."""
        limit_ms = self.plan.timeout_ms
        if limit_ms:
            self.due[DueKind.RUN_LIMIT, ""] = _when(limit_ms, self.times.opened)
        if self.state.status == st.QUEUED:
            self.due[DueKind.GATES, ""] = self.times.queued
        if self.state.status == st.CANCELLING:
            self.due[DueKind.CANCEL_GRACE, ""] = (GRACE_MS, 0)
        for path in self.times.started:
            self.due[DueKind.CHILD, path] = (0, 0)

    def step(self, path: str, step: st.StepState) -> None:
        """Note where a step is: to be claimed, or waiting for something."""
        if step.timer:
            subject = timer_subject(path, step.timer)
            when = self.times.timers.get((path, step.timer), _NOW)
            self.due[DueKind.TIMER, subject] = when
        elif step.kind == "wait":
            self.due[DueKind.SIGNAL, path] = (0, NEVER_MS)
        is_gated = step.status == st.GATED
        if is_gated:
            self.due[DueKind.GATES, path] = self.times.again.get(path, _NOW)
        if step.kind:
            return
        # Of a step that waits at its gates for the first time, the store has no record yet.
        if not is_gated or st.begun(self.state, path):
            self._restore(path, step)

    def _restore(self, path: str, step: st.StepState) -> None:
        spec = self.plan.of(path)
        limits = spec.timeouts
        ready = step.status == st.SCHEDULED and self.state.status in CLAIMED_RUN
        flags = ""
        if limits.total_ms:
            flags = DueKind.TOTAL.value
            since_ms = self.times.since.get(path, 0)
            self.due[DueKind.TOTAL, path] = _when(limits.total_ms, since_ms)
        if ready and limits.schedule_to_start_ms:
            flags += DueKind.SCHEDULE_TO_START.value
            self.due[DueKind.SCHEDULE_TO_START, path] = (limits.schedule_to_start_ms, 0)
        if step.status == st.WAITING:
            self.due[DueKind.RETRY, path] = self.times.again.get(path, _NOW)
        restored = RestoredStep(
            step=path,
            queue=spec.queue,
            priority=spec.priority,
            start_to_close_ms=limits.start_to_close_ms,
            attempt=step.attempt,
            scheduled_version=self.times.scheduled.get(path, 1),
            flags=flags,
            ready=ready,
            component=spec.bound,
        )
        self.restored.append(restored)
