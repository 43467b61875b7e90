"""A run as people look at it: its head, its steps with how long they took, and what it waits for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from eventstore.event import Recorded
from executor.runs.repository import Session
from openagents_json.engine.answers.steps import NOT_BEGUN, Overview, StepRow
from openagents_json.engine.inspection.replay import Replays, component_of
from openagents_json.engine.inspection.values import run_info
from openagents_json.engine.inspection.waits import waits_of
from openagents_json.engine.usage.sums import shown, used_by_step
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.decide.decision import order_key
from openagents_json.workflow.core.event_traits import RESOLVES_STEP
from openagents_json.workflow.core.event_types import from_data, names_with
from openagents_json.workflow.history.builds import BuildChange, changes_of_build

_SCHEDULES: Final = frozenset(
    {ev.StepScheduled.__name__, ev.CompensationScheduled.__name__}
)
_ENDS: Final = names_with(lambda traits: traits.attempt in RESOLVES_STEP) | {
    ev.StepSkipped.__name__
}

_CLOSES: Final = frozenset(
    {ev.RunCompleted.__name__, ev.RunFailed.__name__, ev.RunCancelled.__name__}
)


@dataclass(slots=True)
class _Span:
    """When a step began, at first as it was scheduled, and when it ended last."""

    began_ms: int
    is_run: bool = False
    ended_ms: int | None = None


def overview(run: str, replays: Replays) -> Overview:
    """Look at a run.

    Raises RunNotFound.
    """
    core = replays.core
    recorded = replays.recorded(run)
    session = replays.folded(run, recorded)
    state = session.state
    return Overview(
        info=run_info(session, recorded[0].time_ms),
        workflow_version=state.version,
        failed_step=str((state.error or {}).get("at") or state.failed_step or ""),
        ended_ms=_ended_ms(recorded) if state.closed else None,
        now_ms=core.store.now_ms(),
        steps=step_rows(session, recorded),
        waits=() if state.closed else waits_of(session, recorded, core.directory),
        has_worker=state.closed or bool(core.directory.workers()),
        builds=build_changes(session, recorded),
    )


def build_changes(
    session: Session, recorded: Sequence[Recorded]
) -> tuple[BuildChange, ...]:
    """Return where the build of a component changes in a run."""
    begun = [
        from_data(item.type, item.data)
        for item in recorded
        if item.type == ev.StepStarted.__name__
    ]
    return tuple(changes_of_build(begun, component_of(session.plan)))


def _ended_ms(recorded: Sequence[Recorded]) -> int:
    """Return when a closed run ended: notes may follow behind that, such as a hold."""
    ends = (item.time_ms for item in reversed(recorded) if item.type in _CLOSES)
    return next(ends, recorded[-1].time_ms)


def step_rows(session: Session, recorded: Sequence[Recorded]) -> tuple[StepRow, ...]:
    """Return the steps of a run in document order, those that have not begun too."""
    spans, used = _spans(recorded), used_by_step(recorded)
    state, plan = session.state, session.plan
    rows = {path: _row(path, state, spans.get(path)) for path in state.steps}
    for path in used.keys() & rows.keys():
        rows[path] = replace(rows[path], usage=shown(used[path]))
    for path in plan.order:
        rows.setdefault(path, StepRow(path, plan.of(path).kind, NOT_BEGUN))
    return tuple(
        rows[path] for path in sorted(rows, key=lambda path: order_key(plan, path))
    )


def _spans(recorded: Sequence[Recorded]) -> dict[str, _Span]:
    spans: dict[str, _Span] = {}
    for item in recorded:
        data: Mapping[str, Any] = item.data if isinstance(item.data, dict) else {}
        path = str(data.get("compensation") or data.get("step") or "")
        if item.type in _SCHEDULES:
            spans[path] = _Span(item.time_ms)
        elif (span := spans.get(path)) is None:
            continue
        elif item.type == ev.StepStarted.__name__:
            _begin(span, item.time_ms)
        elif item.type in _ENDS:
            span.ended_ms = item.time_ms
    return spans


def _begin(span: _Span, time_ms: int) -> None:
    """Count from the first attempt: what a step waited before is not its own time."""
    if not span.is_run:
        span.began_ms, span.is_run = time_ms, True
    span.ended_ms = None


def _row(path: str, state: st.RunState, span: _Span | None) -> StepRow:
    step = state.steps[path]
    group = step.group
    counts = None
    if group is not None:
        counts = {
            st.COMPLETED: group.completed,
            st.FAILED: group.failed,
            st.ACTIVE: group.active,
        }
    is_open = path in state.open_steps
    return StepRow(
        path,
        step.kind,
        step.status,
        step.attempt,
        span.began_ms if span else None,
        span.ended_ms if span and not is_open else None,
        step.error,
        step.reason,
        group.total if group else 0,
        counts,
    )
