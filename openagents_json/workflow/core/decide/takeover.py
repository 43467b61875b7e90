"""Going on in another store: what was under way in the first one is lost, what it held is asked for anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from openagents_json.workflow.core.plan import Plan

LOCKS = frozenset({"mutex", "concurrency"})
GRACE_MS = 10_000


def import_run(turn: DecisionBuilder, command: cmd.ImportRun) -> None:
    """Let an open run go on here; a step under way that may not be started twice fails.

    Raises Rejected when other runs, which stay where they are, wait for this one or are waited for.
    """
    _check(turn)
    state = turn.state
    lost = turn.in_order(
        path for path in state.open_steps if state.steps[path].status == st.STARTED
    )
    gated = turn.in_order(path for path in state.open_steps if state.steps[path].gates)
    turn.emit(replace(noted(command), lost=lost, gated=gated, paused=command.paused))
    for path in lost:
        if turn.plan.of(path).effect == "at_most_once":
            unknown_outcome(
                turn,
                path,
                f"it was under way in {command.source} when the run was taken from there",
            )


def noted(command: cmd.ImportRun) -> ev.RunImported:
    """Return the event that says where a run comes from; it is all that is added to one that had ended."""
    where = command.source, command.at
    return ev.RunImported(
        *where, reason=command.reason, how=command.how, sha256=command.sha256
    )


def unknown_outcome(turn: DecisionBuilder, path: str, why: str) -> None:
    """Fail a step of which nobody knows what it has done."""
    message = f"step {path}: {why}, and the step may not be started twice"
    error = {"type": "UnknownOutcome", "message": message, "retryable": False}
    fail(turn, path, turn.state.steps[path].attempt, error)


def _check(turn: DecisionBuilder) -> None:
    state = turn.state
    children = [
        path for path in turn.in_order(state.open_steps) if state.steps[path].child
    ]
    locks = [gate[1] for gate in state.queue if gate[0] in LOCKS]
    if state.closed:
        code, why = (
            "closed",
            f"the run is {state.status}: there is nothing to go on with",
        )
    elif state.parent:
        code = "has_parent"
        why = f"run {state.parent['run']} waits for this one, and would never hear of it: move that one after its end"
    elif children:
        path = children[0]
        code = "has_child"
        why = f"step {path} waits for run {state.steps[path].child}, which stays where it is: move this one after that"
    elif locks and state.status != st.QUEUED:
        code = "holds_place"
        why = f"the run holds a place under the limit of its workflow (key {locks[0]!r}): move it before or after that"
    else:
        return
    raise cmd.Rejected(code, why, state.status)


@dataclass(frozen=True, slots=True)
class TimedEvent:
    """An event with its version, and its time in ms, 0 for now."""

    version: int
    time_ms: int
    event: ev.Event


When = tuple[int, int]
"""A delay in ms, and the time in ms since 1970 by which it is over, 0 for one that begins now."""


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
    return (0, now_ms + delay_ms) if now_ms else (delay_ms, 0)


def _opened(times: _Times, _: ev.Event, item: TimedEvent) -> None:
    times.opened = item.time_ms


def _queued(times: _Times, event: ev.RunQueued, item: TimedEvent) -> None:
    times.queued = _when(event.delay_ms, item.time_ms)


def _scheduled(
    times: _Times, event: ev.StepScheduled | ev.CompensationScheduled, item: TimedEvent
) -> None:
    step = (
        event.compensation
        if isinstance(event, ev.CompensationScheduled)
        else event.step
    )
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
    ev.CompensationScheduled: _scheduled,
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
    times = _Times()
    for item in happened:
        note = NOTED.get(type(item.event))
        if note is not None:
            note(times, item.event, item)
    cancel = state.status == st.CANCELLING
    if state.closed:
        due = (Timer(DueKind.GIVE_BACK, "", 0),) if plan.gates else ()
        return IndexChanges(
            state.status, cancel=False, timers=due, held=state.held or None
        )
    draft = _Draft(plan, state, times)
    for path in sorted(state.open_steps):
        draft.step(path, state.steps[path])
    draft.run()
    timers = tuple(Timer(kind, step, *when) for (kind, step), when in draft.due.items())
    restored = tuple(draft.restored)
    return IndexChanges(
        state.status,
        cancel=cancel,
        timers=timers,
        restored=restored,
        held=state.held or None,
    )


@dataclass(slots=True)
class _Draft:
    plan: Plan
    state: st.RunState
    times: _Times
    due: dict[tuple[DueKind, str], When] = field(default_factory=dict)
    restored: list[RestoredStep] = field(default_factory=list)

    def run(self) -> None:
        """Note what the run as a whole waits for."""
        if self.plan.timeout_ms:
            self.due[DueKind.RUN_LIMIT, ""] = _when(
                self.plan.timeout_ms, self.times.opened
            )
        if self.state.status == st.QUEUED:
            self.due[DueKind.GATES, ""] = self.times.queued
        if self.state.status == st.CANCELLING:
            self.due[DueKind.CANCEL_GRACE, ""] = (GRACE_MS, 0)
        for path in self.times.started:
            self.due[DueKind.CHILD, path] = (0, 0)

    def step(self, path: str, step: st.StepState) -> None:
        """Note where a step is: to be claimed, or waiting for something."""
        if step.timer:
            self.due[DueKind.TIMER, timer_subject(path, step.timer)] = (
                self.times.timers.get((path, step.timer), (0, 0))
            )
        elif step.kind == "wait":
            self.due[DueKind.SIGNAL, path] = (0, NEVER_MS)
        if step.status == st.GATED:
            self.due[DueKind.GATES, path] = self.times.again.get(path, (0, 0))
        if not step.kind and (step.status != st.GATED or st.begun(self.state, path)):
            self._restore(path, step)

    def _restore(self, path: str, step: st.StepState) -> None:
        spec, limits = self.plan.of(path), self.plan.of(path).timeouts
        ready = step.status == st.SCHEDULED and self.state.status in CLAIMED_RUN
        flags = ""
        if limits.total_ms:
            flags = DueKind.TOTAL.value
            self.due[DueKind.TOTAL, path] = _when(
                limits.total_ms, self.times.since.get(path, 0)
            )
        if ready and limits.schedule_to_start_ms:
            flags += DueKind.SCHEDULE_TO_START.value
            self.due[DueKind.SCHEDULE_TO_START, path] = (limits.schedule_to_start_ms, 0)
        if step.status == st.WAITING:
            self.due[DueKind.RETRY, path] = self.times.again.get(path, (0, 0))
        version = self.times.scheduled.get(path, 1)
        close = limits.start_to_close_ms
        self.restored.append(
            RestoredStep(
                step=path,
                queue=spec.queue,
                priority=spec.priority,
                start_to_close_ms=close,
                attempt=step.attempt,
                scheduled_version=version,
                flags=flags,
                ready=ready,
                component=spec.component or "",
            )
        )
