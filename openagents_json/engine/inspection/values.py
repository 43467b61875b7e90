"""What the engine shows of runs: plain values, made from states and events."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eventstore.event import Recorded
from executor.histories.origins import origin, origins
from executor.runs.repository import LONG, Session
from openagents_json.components.copies import own_copy
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.decide.decision import order_key
from openagents_json.workflow.types import Json


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended: `status` is completed, failed or cancelled; `error` has type, message and where it happened."""

    id: str
    status: str
    output: Json
    error: Mapping[str, Json] | None

    @property
    def ok(self) -> bool:
        """Tell whether the run completed."""
        return self.status == "completed"


@dataclass(frozen=True, slots=True)
class StepInfo:
    """A step as it is now."""

    id: str
    status: str
    attempt: int
    worker: str
    inputs: Mapping[str, Json]
    output: Json
    error: Mapping[str, Json] | None


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run as it is now; lists leave the steps out.

    `parent` is the run and the step that started it, `children` the runs that its steps started, by step. Nothing of
    one that is `held` may be erased; of one that is `erased`, payloads are null. The events up to version `imported`
    were written in another store.
    """

    id: str
    workflow: str
    status: str
    version: int
    started_ms: int = 0
    inputs: Mapping[str, Json] = field(default_factory=dict)
    output: Json = None
    error: Mapping[str, Json] | None = None
    reason: str = ""
    steps: tuple[StepInfo, ...] = ()
    parent: Mapping[str, Json] | None = None
    children: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    held: bool = False
    erased: bool = False
    imported: int = 0


@dataclass(frozen=True, slots=True)
class HistoryEvent:
    """One event of a run; step, attempt and worker are None where the event has none.

    One that was `imported` was written in another store, which is named: nothing here vouches for its actor and time.
    """

    version: int
    time_ms: int
    type: str
    step: str | None
    attempt: int | None
    worker: str | None
    actor: str
    cause: str
    commit: str
    data: Mapping[str, Any]
    imported: str = ""


def result_of(session: Session) -> Result:
    """Return the result of a closed run."""
    state = session.state
    error = state.error
    if error is not None and state.failed_step is not None:
        error = {**error, "step": state.failed_step}
    return Result(session.run, state.status, own_copy(state.output), own_copy(error))


def result_by(run: str, end: ev.Event) -> Result | None:
    """Return the result of a run by the event that ended it, None where that does not tell all of it."""
    match end:
        case ev.RunCompleted(output):
            return Result(run, st.COMPLETED, output, None)
        case ev.RunFailed(error, step):
            named = error if step is None else {**error, "step": step}
            return Result(run, st.FAILED, None, named)
        case _:  # one that is cancelled may have failed before
            return None


def run_info(session: Session, started_ms: int) -> RunInfo:
    """Return a run with its steps, those that have begun, in document order; the state does not know when it began."""
    state = session.state
    names = sorted(state.steps, key=lambda path: order_key(session.plan, path))
    steps = tuple(
        StepInfo(
            name,
            step.status,
            step.attempt,
            step.worker,
            own_copy(step.inputs),
            own_copy(step.output),
            own_copy(step.error),
        )
        for name in names
        if (step := state.steps.get(name)) is not None
    )
    return RunInfo(
        session.run,
        state.workflow,
        state.status,
        session.version,
        started_ms,
        own_copy(state.inputs),
        own_copy(state.output),
        own_copy(state.error),
        state.reason,
        steps,
        own_copy(state.parent),
        {name: state.steps[name].child for name in names if state.steps[name].child},
        dict(state.labels or {}),
        state.held,
        state.erased,
        state.imported,
    )


class RunInfoCache:
    """Runs as they were shown last: of a long one, nothing is made anew until it has moved on; safe for threads."""

    def __init__(self, capacity: int = 16) -> None:
        self._capacity = capacity
        self._infos: dict[str, tuple[Session, RunInfo]] = {}

    def of(self, session: Session, began: Callable[[str], int]) -> RunInfo:
        """Return a run with its steps; `began` finds out when a run did, in ms since 1970."""
        shown = self._infos.get(session.run)
        if shown is not None and shown[0] is session:
            return shown[1]
        info = run_info(session, began(session.run))
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
        item.version,
        item.time_ms,
        item.type,
        data.get("step"),
        data.get("attempt"),
        data.get("worker"),
        item.actor,
        item.cause,
        item.commit,
        data,
        source or origin(item),
    )
