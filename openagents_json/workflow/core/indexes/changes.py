"""What a commit changes in the store's indexes: derived from the events alone, so that index and log cannot differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from openagents_json.work_index import (
    DueKind,
    IndexChanges,
    ReadyStep,
    RequeuedStep,
    Share,
    Timer,
)
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.evolve import evolve
from openagents_json.workflow.core.indexes.timers import (
    STEP_DUE,
    TimerChanges,
    run_due,
)
from openagents_json.workflow.core.plan import Plan
from openagents_json.workflow.types import Json


class _Draft(Struct, gc=False):
    ready: dict[str, ReadyStep] = {}
    requeued: dict[str, RequeuedStep] = {}
    closed: dict[str, None] = {}
    shares: dict[str, Share] = {}


def changes(
    plan: Plan,
    before: st.RunState,
    happened: Sequence[ev.Event],
    after: st.RunState,
    grace_ms: int = 10_000,
) -> IndexChanges:
    """Derive the index changes; `grace_ms` is how long a cancelled run waits for steps under way."""
    draft = _Draft()
    due = TimerChanges()
    kinds: set[type[ev.Event]] = set()
    for index, event in enumerate(happened, 1):
        kind = type(event)
        kinds.add(kind)
        collect = STEP_INDEX.get(kind)
        if collect is not None:
            collect(plan, event, index, before, after, draft)
        collect_due = STEP_DUE.get(kind)
        if collect_due is not None:
            collect_due(event, before, after, due)
    run_due(plan, kinds, after, grace_ms, due)
    suspended = ev.RunPaused in kinds
    resumed = ev.RunResumed in kinds and not after.closed
    return IndexChanges(
        status=after.status if after.status != before.status else None,
        cancel=_cancel_flag(kinds),
        ready=tuple(draft.ready.values()),
        requeued=tuple(draft.requeued.values()),
        closed=tuple(draft.closed),
        suspended=_claimable(before) if suspended else (),
        resumed=_claimable(before) if resumed else (),
        timers=due.added() if due.timers else (),
        removed=due.dropped() if due.removed else (),
        held=after.held if after.held != before.held else None,
        shares=tuple(draft.shares.values()),
    )


def _cancel_flag(kinds: Set[type[ev.Event]]) -> bool | None:
    """Return whether the run is being cancelled, None where that stays as it is."""
    if ev.RunCancelRequested in kinds:
        return True
    return False if ev.RunReopened in kinds else None


def forked(
    plan: Plan,
    state: st.RunState,
    happened: Sequence[ev.Event],
    after: st.RunState,
    copied: int,
) -> IndexChanges:
    """Derive the index changes of a fork, RunForked being the first event behind the `copied` ones.

    Nothing of the new run is in any index yet, and nothing of its past is under way.
    """
    begun = evolve(state, happened[0])
    index_changes = changes(plan, begun, happened[1:], after)
    before = copied + 1
    ready = [
        step._replace(event_index=step.event_index + before)
        for step in index_changes.ready
    ]
    timers = list(index_changes.timers)
    if plan.timeout_ms and not after.closed:
        timers.append(Timer(DueKind.RUN_LIMIT, "", plan.timeout_ms))
    return replace(
        index_changes,
        status=after.status,
        ready=tuple(ready),
        timers=tuple(timers),
    )


def _claimable(state: st.RunState) -> tuple[str, ...]:
    steps = state.steps
    of_workers = [path for path in state.open_steps if not steps[path].kind]
    claimable = [path for path in of_workers if steps[path].status in st.CLAIMABLE]
    return tuple(sorted(claimable))


def _scheduled(
    plan: Plan,
    event: Any,
    index: int,
    before: st.RunState,
    after: st.RunState,
    draft: _Draft,
) -> None:
    _open_if_scheduled(plan, event.step, index, before, after, draft)


def _compensated(
    plan: Plan,
    event: Any,
    index: int,
    before: st.RunState,
    after: st.RunState,
    draft: _Draft,
) -> None:
    _open_if_scheduled(plan, event.compensation, index, before, after, draft)


def _open_if_scheduled(
    plan: Plan,
    step: str,
    index: int,
    before: st.RunState,
    after: st.RunState,
    draft: _Draft,
) -> None:
    if step in after.open_steps and after.steps[step].status == st.SCHEDULED:
        _open(plan, step, index, 0, before, after, draft)


def _retried(
    plan: Plan,
    event: Any,
    index: int,
    before: st.RunState,
    after: st.RunState,
    draft: _Draft,
) -> None:
    step = after.steps[event.step]
    if step.status == st.WAITING and not step.kind:
        _open(plan, event.step, index, event.delay_ms, before, after, draft)


def _lost(
    plan: Plan,
    event: Any,
    _index: int,
    _before: st.RunState,
    after: st.RunState,
    draft: _Draft,
) -> None:
    if after.steps[event.step].status == st.SCHEDULED:
        draft.requeued[event.step] = _requeued(plan, event.step, 0)


def _ended(
    _plan: Plan,
    event: Any,
    _index: int,
    before: st.RunState,
    after: st.RunState,
    draft: _Draft,
) -> None:
    step = event.step
    if step not in before.open_steps or step in after.open_steps:
        return
    if not before.steps[step].kind:
        draft.closed[step] = None


STEP_INDEX: Final[Mapping[type, Callable[..., None]]] = {
    ev.StepScheduled: _scheduled,
    ev.StepAdmitted: _scheduled,
    ev.CompensationScheduled: _compensated,
    ev.StepRetryScheduled: _retried,
    ev.StepLeaseLost: _lost,
    ev.StepCompleted: _ended,
    ev.StepFailed: _ended,
    ev.StepTimedOut: _ended,
    ev.StepCancelled: _ended,
    ev.StepOverridden: _ended,
}
"""What events open and close; a table, because a commit of every step comes by here."""


def _open(
    plan: Plan,
    step: str,
    index: int,
    delay_ms: int,
    before: st.RunState,
    after: st.RunState,
    draft: _Draft,
) -> None:
    """Note a step that may be claimed: again, if the store has a record of it, or for the first time."""
    if _has_record(before, step):
        draft.requeued[step] = _requeued(plan, step, delay_ms)
    else:
        attempt = after.steps[step].attempt
        draft.ready[step] = _ready(plan, step, index, delay_ms, attempt)
        if fairness := after.steps[step].fairness:
            draft.shares[step] = share_of(step, fairness)


def share_of(step: str, fairness: Sequence[Json]) -> Share:
    """Return the part that a step has in its queue, as its event says."""
    key, weight = fairness
    return Share(step, str(key), int(str(weight)))


def _has_record(state: st.RunState, step: str) -> bool:
    """Tell whether the store has a record of a step: of one that waits at its gates, if it has been claimed before."""
    if step not in state.open_steps:
        return False
    return state.steps[step].status != st.GATED or st.begun(state, step)


def _ready(plan: Plan, step: str, index: int, delay_ms: int, attempt: int) -> ReadyStep:
    spec = plan.of(step)
    limits = spec.timeouts
    return ReadyStep(
        step=step,
        queue=spec.queue,
        priority=spec.priority,
        start_to_close_ms=limits.start_to_close_ms,
        delay_ms=delay_ms,
        schedule_to_start_ms=limits.schedule_to_start_ms,
        total_ms=limits.total_ms,
        event_index=index,
        attempt=attempt,
        component=spec.bound,
    )


def _requeued(plan: Plan, step: str, delay_ms: int) -> RequeuedStep:
    spec = plan.of(step)
    limits = spec.timeouts
    return RequeuedStep(
        step=step,
        delay_ms=delay_ms,
        schedule_to_start_ms=limits.schedule_to_start_ms,
        start_to_close_ms=limits.start_to_close_ms,
        component=spec.bound,
    )
