"""What a commit changes in the store's indexes: derived from the events alone, so that index and log cannot differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from openagents_json.workflow import events as ev
from openagents_json.workflow import state as st
from openagents_json.workflow.plan import Plan


@dataclass(frozen=True, slots=True)
class Opened:
    """A step that may be claimed; `index` is the place of its StepScheduled among the events, from 1."""

    step: str
    queue: str
    priority: int
    start_to_close_ms: int
    schedule_to_start_ms: int
    total_ms: int
    index: int


@dataclass(frozen=True, slots=True)
class Reopened:
    """A step that may be claimed again after a delay."""

    step: str
    delay_ms: int
    schedule_to_start_ms: int
    start_to_close_ms: int


@dataclass(frozen=True, slots=True)
class Changes:
    """Index changes of one commit; timers are named by their kind (R run limit, k cancel grace, w decision missing)."""

    status: str | None = None
    cancel: bool = False
    opened: tuple[Opened, ...] = ()
    reopened: tuple[Reopened, ...] = ()
    shut: tuple[str, ...] = ()
    park: tuple[str, ...] = ()
    unpark: tuple[str, ...] = ()
    timers: tuple[tuple[str, int], ...] = ()
    untimers: tuple[str, ...] = ()


@dataclass(slots=True)
class _Draft:
    opened: list[Opened] = field(default_factory=list)
    reopened: dict[str, Reopened] = field(default_factory=dict)
    shut: dict[str, None] = field(default_factory=dict)


def changes(
    plan: Plan, before: st.RunState, happened: Sequence[ev.Event], after: st.RunState, grace_ms: int = 10_000
) -> Changes:
    """Derive the index changes; `grace_ms` is how long a cancelled run waits for steps under way."""
    draft = _Draft()
    for index, event in enumerate(happened, 1):
        _collect(plan, event, index, before, after, draft)
    moved = after.status if after.status != before.status else None
    names = [type(event) for event in happened]
    timers: list[tuple[str, int]] = []
    if ev.RunStarted in names and plan.timeout_ms and not after.closed:
        timers.append(("R", plan.timeout_ms))
    if ev.RunCancelRequested in names and not after.closed:
        timers.append(("k", grace_ms))
    return Changes(
        status=moved,
        cancel=ev.RunCancelRequested in names,
        opened=tuple(draft.opened),
        reopened=tuple(draft.reopened.values()),
        shut=tuple(draft.shut),
        park=_claimable(before) if ev.RunPaused in names else (),
        unpark=_claimable(before) if ev.RunResumed in names and not after.closed else (),
        timers=tuple(timers),
        untimers=("R", "k", "w") if after.closed else (),
    )


def _claimable(state: st.RunState) -> tuple[str, ...]:
    return tuple(sorted(step for step in state.open_steps if state.steps[step].status in st.CLAIMABLE))


def _collect(plan: Plan, event: ev.Event, index: int, before: st.RunState, after: st.RunState, draft: _Draft) -> None:
    match event:
        case ev.StepScheduled(step) if step in after.open_steps and after.steps[step].status == st.SCHEDULED:
            draft.opened.append(_opened(plan, step, index))
        case ev.StepRetryScheduled(step, delay_ms) if after.steps[step].status == st.WAITING:
            draft.reopened[step] = _reopened(plan, step, delay_ms)
        case ev.StepLeaseLost(step) if after.steps[step].status == st.SCHEDULED:
            draft.reopened[step] = _reopened(plan, step, 0)
        case ev.StepCompleted(step) | ev.StepFailed(step) | ev.StepTimedOut(step) | ev.StepCancelled(step):
            if step in before.open_steps and step not in after.open_steps:
                draft.shut[step] = None
        case _:
            pass


def _opened(plan: Plan, step: str, index: int) -> Opened:
    spec = plan.steps[step]
    limits = spec.timeouts
    return Opened(
        step,
        spec.queue,
        spec.priority,
        limits.start_to_close_ms,
        limits.schedule_to_start_ms,
        limits.total_ms,
        index,
    )


def _reopened(plan: Plan, step: str, delay_ms: int) -> Reopened:
    limits = plan.steps[step].timeouts
    return Reopened(step, delay_ms, limits.schedule_to_start_ms, limits.start_to_close_ms)
