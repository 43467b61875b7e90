"""What the engine shows of runs: plain values, made from states and events."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from eventstore.event import Recorded
from executor.histories.origins import origin, origins
from executor.runs.repository import LONG, Session
from openagents_json.components.copies import own_copy
from openagents_json.engine.answers.runs import HistoryEvent, Result, RunInfo, StepInfo
from openagents_json.engine.usage.sums import shown
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.decide.decision import order_key

if TYPE_CHECKING:
    pass


def result_of(session: Session) -> Result:
    """Return the result of a closed run."""
    state = session.state
    error = state.error
    if error is not None and state.failed_step is not None:
        error = {**error, "step": state.failed_step}
    return Result(
        id=session.run,
        status=state.status,
        output=own_copy(state.output),
        error=own_copy(error),
    )


def result_by(run: str, end: ev.Event) -> Result | None:
    """Return the result of a run by the event that ended it, None where that does not tell all of it."""
    match end:
        case ev.RunCompleted(output):
            return Result(id=run, status=st.COMPLETED, output=output, error=None)
        case ev.RunFailed(error, step):
            named = error if step is None else {**error, "step": step}
            return Result(id=run, status=st.FAILED, output=None, error=named)
        case _:  # one that is cancelled may have failed before
            return None


def run_info(session: Session, started_ms: int) -> RunInfo:
    """Return a run with its steps, those that have begun, in document order; the state does not know when it began."""
    state = session.state
    names = sorted(state.steps, key=lambda path: order_key(session.plan, path))
    steps = tuple(
        StepInfo(
            id=name,
            status=step.status,
            attempt=step.attempt,
            worker=step.worker,
            inputs=own_copy(step.inputs),
            output=own_copy(step.output),
            error=own_copy(step.error),
        )
        for name in names
        if (step := state.steps.get(name)) is not None
    )
    return RunInfo(
        id=session.run,
        workflow=state.workflow,
        status=state.status,
        version=session.version,
        started_ms=started_ms,
        inputs=own_copy(state.inputs),
        output=own_copy(state.output),
        error=own_copy(state.error),
        reason=state.reason,
        steps=steps,
        parent=own_copy(state.parent),
        children={
            name: state.steps[name].child for name in names if state.steps[name].child
        },
        labels=dict(state.labels or {}),
        held=state.held,
        erased=state.erased,
        imported=state.imported,
        usage=shown(state.used),
    )


class RunInfoCache:
    """Runs as they were shown last: of a long one, nothing is made anew until it has moved on; safe for threads."""

    def __init__(self, capacity: int = 16) -> None:
        self._capacity = capacity
        self._infos: dict[str, tuple[Session, RunInfo]] = {}

    def of(self, session: Session, began: Callable[[Session], int]) -> RunInfo:
        """Return a run with its steps; `began` finds out when a run did, in ms since 1970."""
        shown = self._infos.get(session.run)
        if shown is not None and shown[0] is session:
            return shown[1]
        info = run_info(session, began(session))
        if session.version >= LONG:
            while len(self._infos) >= self._capacity:
                self._infos.pop(next(iter(self._infos), ""), None)
            self._infos[session.run] = (session, info)
        return info


def history_events(recorded: Sequence[Recorded]) -> list[HistoryEvent]:
    """Return stored events of a run, up to its last one, as the history shows them."""
    return [
        history_event(item, source)
        for item, source in zip(recorded, origins(recorded), strict=True)
    ]


def history_event(item: Recorded, source: str = "") -> HistoryEvent:
    """Return a stored event as the history shows it; `source` is the store that it was written in, if another one."""
    data: Mapping[str, Any] = item.data if isinstance(item.data, dict) else {}
    return HistoryEvent(
        version=item.version,
        time_ms=item.time_ms,
        type=item.type,
        step=data.get("step"),
        attempt=data.get("attempt"),
        worker=data.get("worker"),
        actor=item.actor,
        cause=item.cause,
        commit=item.commit,
        data=data,
        imported=source or origin(item),
    )
