"""What a commit changes in the store's indexes: derived from the events alone, so that index and log cannot differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from openagents_json.workflow import events as ev
from openagents_json.workflow import state as st
from openagents_json.workflow.due import RUN_EVENTS, STEP_EVENTS, Due, collect_due, run_due
from openagents_json.workflow.evolve import evolve
from openagents_json.workflow.plan import Plan


@dataclass(frozen=True, slots=True)
class Opened:
    """A step that may be claimed, after a delay; `index` is the place of its StepScheduled among the events, from 1.

    `attempt` counts the attempts that it has had: more than none where a worker made them before the step was stored.
    """

    step: str
    queue: str
    priority: int
    start_to_close_ms: int
    schedule_to_start_ms: int
    total_ms: int
    index: int
    delay_ms: int = 0
    attempt: int = 0
    component: str = ""


@dataclass(frozen=True, slots=True)
class Reopened:
    """A step that may be claimed again after a delay."""

    step: str
    delay_ms: int
    schedule_to_start_ms: int
    start_to_close_ms: int
    component: str = ""


@dataclass(frozen=True, slots=True)
class Seat:
    """The record of a step that was opened elsewhere, at `version`, with its attempts so far; `ready` to be claimed."""

    step: str
    queue: str
    priority: int
    start_to_close_ms: int
    attempt: int
    version: int
    flags: str
    ready: bool
    component: str = ""


class Changes(NamedTuple):
    """Index changes of one commit.

    Timers are (kind, step, delay in ms, time in ms since 1970 or 0): R run limit, k cancel grace, w decision missing,
    t timer of a step, n a step that nothing but a signal wakes, c child run to look after, x child run to cancel,
    g gates to pass, u locks to give back, p parent to tell; and r, q and T of steps that have `seats`. `untimers` are
    (kind, step), with the timer's number for t.
    """

    status: str | None = None
    cancel: bool | None = None
    opened: tuple[Opened, ...] = ()
    reopened: tuple[Reopened, ...] = ()
    shut: tuple[str, ...] = ()
    park: tuple[str, ...] = ()
    unpark: tuple[str, ...] = ()
    timers: tuple[tuple[str, str, int, int], ...] = ()
    untimers: tuple[tuple[str, str], ...] = ()
    hold: bool | None = None
    seats: tuple[Seat, ...] = ()


@dataclass(slots=True)
class _Draft:
    opened: dict[str, Opened] = field(default_factory=dict)
    reopened: dict[str, Reopened] = field(default_factory=dict)
    shut: dict[str, None] = field(default_factory=dict)


def changes(
    plan: Plan, before: st.RunState, happened: Sequence[ev.Event], after: st.RunState, grace_ms: int = 10_000
) -> Changes:
    """Derive the index changes; `grace_ms` is how long a cancelled run waits for steps under way."""
    draft, due = _Draft(), Due()
    names = {type(event) for event in happened}
    for index, event in enumerate(happened, 1):
        kind = type(event)
        collect = _COLLECT.get(kind)
        if collect is not None:
            collect(plan, event, index, before, after, draft)
        if kind in STEP_EVENTS:
            collect_due(event, before, after, due)
    if not names.isdisjoint(RUN_EVENTS):
        run_due(plan, names, after, grace_ms, due)
    return Changes(
        status=after.status if after.status != before.status else None,
        cancel=True if ev.RunCancelRequested in names else (False if ev.RunReopened in names else None),
        opened=tuple(draft.opened.values()),
        reopened=tuple(draft.reopened.values()),
        shut=tuple(draft.shut),
        park=_claimable(before) if ev.RunPaused in names else (),
        unpark=_claimable(before) if ev.RunResumed in names and not after.closed else (),
        timers=tuple((kind, step, delay, at) for (kind, step), (delay, at) in due.timers.items()),
        untimers=tuple(key for key in due.untimers if key not in due.timers),
        hold=after.held if after.held != before.held else None,
    )


def forked(plan: Plan, state: st.RunState, happened: Sequence[ev.Event], after: st.RunState, copied: int) -> Changes:
    """Derive the index changes of a fork, RunForked being the first event behind the `copied` ones.

    Nothing of the new run is in any index yet, and nothing of its past is under way.
    """
    moved = changes(plan, evolve(state, happened[0]), happened[1:], after)
    opened = tuple(replace(step, index=step.index + copied + 1) for step in moved.opened)
    limit = (("R", "", plan.timeout_ms, 0),) if plan.timeout_ms and not after.closed else ()
    return moved._replace(status=after.status, opened=opened, timers=(*moved.timers, *limit))


def _claimable(state: st.RunState) -> tuple[str, ...]:
    steps = state.steps
    return tuple(
        sorted(step for step in state.open_steps if steps[step].status in st.CLAIMABLE and not steps[step].kind)
    )


def _scheduled(plan: Plan, event: Any, index: int, before: st.RunState, after: st.RunState, draft: _Draft) -> None:
    step = event.compensation if type(event) is ev.CompensationScheduled else event.step
    if step in after.open_steps and after.steps[step].status == st.SCHEDULED:
        _open(plan, step, index, 0, before, after, draft)


def _retried(plan: Plan, event: Any, index: int, before: st.RunState, after: st.RunState, draft: _Draft) -> None:
    known = after.steps[event.step]
    if known.status == st.WAITING and not known.kind:
        _open(plan, event.step, index, event.delay_ms, before, after, draft)


def _lost(plan: Plan, event: Any, _index: int, _before: st.RunState, after: st.RunState, draft: _Draft) -> None:
    if after.steps[event.step].status == st.SCHEDULED:
        draft.reopened[event.step] = _reopened(plan, event.step, 0)


def _ended(_plan: Plan, event: Any, _index: int, before: st.RunState, after: st.RunState, draft: _Draft) -> None:
    step = event.step
    if step in before.open_steps and step not in after.open_steps and not before.steps[step].kind:
        draft.shut[step] = None


_COLLECT: Final[Mapping[type, Callable[..., None]]] = {
    ev.StepScheduled: _scheduled,
    ev.StepAdmitted: _scheduled,
    ev.CompensationScheduled: _scheduled,
    ev.StepRetryScheduled: _retried,
    ev.StepLeaseLost: _lost,
    ev.StepCompleted: _ended,
    ev.StepFailed: _ended,
    ev.StepTimedOut: _ended,
    ev.StepCancelled: _ended,
    ev.StepOverridden: _ended,
}
"""What events open and shut; a table, because a commit of every step comes by here."""


def _open(
    plan: Plan, step: str, index: int, delay_ms: int, before: st.RunState, after: st.RunState, draft: _Draft
) -> None:
    """Note a step that may be claimed: again, if the store has a record of it, or for the first time."""
    known = before.steps.get(step)
    if known is not None and step in before.open_steps and (known.status != st.GATED or st.begun(before, step)):
        draft.reopened[step] = _reopened(plan, step, delay_ms)
    else:
        draft.opened[step] = _opened(plan, step, index, delay_ms, after.steps[step].attempt)


def _opened(plan: Plan, step: str, index: int, delay_ms: int, attempt: int) -> Opened:
    spec = plan.of(step)
    limits = spec.timeouts
    return Opened(
        step,
        spec.queue,
        spec.priority,
        limits.start_to_close_ms,
        limits.schedule_to_start_ms,
        limits.total_ms,
        index,
        delay_ms,
        attempt,
        spec.component or "",
    )


def _reopened(plan: Plan, step: str, delay_ms: int) -> Reopened:
    spec = plan.of(step)
    limits = spec.timeouts
    return Reopened(step, delay_ms, limits.schedule_to_start_ms, limits.start_to_close_ms, spec.component or "")
