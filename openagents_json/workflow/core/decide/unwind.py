"""How runs end: completed, or failed or cancelled after compensations and what the document does on failure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.decide.decision import (
    RUN,
    DecisionBuilder,
    expression_error,
    fail,
    withdraw,
)
from openagents_json.workflow.core.evaluate import step_inputs, step_secrets
from openagents_json.workflow.core.paths import (
    COMPENSATE,
    ON_FAILURE,
    compensation_of,
    inside,
    is_unwinding,
    static,
    within,
)
from openagents_json.workflow.errors import ExpressionFailed
from openagents_json.workflow.types import Json

UNWIND = "~"
"""The name under which a turn notes that unwinding has to go on."""


def end_completed(turn: DecisionBuilder, output: Callable[[], Json]) -> None:
    """Close a run that has nothing left to do; one with a step that failed for good fails, whoever asks for it."""
    lost = _lost(turn) or (
        turn.state.failed_step if turn.state.status == st.FAILING else ""
    )
    if lost:
        end_failed(turn, turn.state.steps[lost].error or {}, lost)
        return
    if RUN in turn.refused:
        end_failed(turn, turn.refused[RUN], None)
        return
    try:
        result = output()
    except ExpressionFailed as error:
        end_failed(turn, expression_error(error), None)
        return
    withdraw(turn, turn.state.open_steps, "the run was ended by a terminate step")
    turn.emit(ev.RunCompleted(result))


def _lost(turn: DecisionBuilder) -> str:
    """Return the step of the run that was the first to fail for good, empty when none did."""
    steps = turn.state.steps
    failures = [
        (step.sequence, name)
        for name in turn.plan.order
        if (step := steps.get(name)) is not None and step.failed_for_good
    ]
    return min(failures)[1] if failures else ""


def end_failed(
    turn: DecisionBuilder, error: Mapping[str, Json], step: str | None
) -> None:
    """End the run as failed; what is still open is withdrawn, what is to be undone is undone first."""
    withdraw(turn, turn.state.open_steps, "the run failed")
    turn.forget()
    if turn.state.status == st.FAILING:  # something that it does on failure ends it
        turn.check[UNWIND] = None
    elif ON_FAILURE in turn.plan.steps or _undoable(turn):
        turn.emit(ev.RunFailing(error, step))
        turn.check[UNWIND] = None
    else:
        turn.emit(ev.RunFailed(error, step))


def cancel_open(turn: DecisionBuilder, *, keep_started: bool) -> None:
    """Withdraw what is open, those under way only when they need not be waited for; then undo and end."""
    turn.forget()
    steps = [path for path in turn.state.open_steps if not is_unwinding(path)]
    held = [path for path in steps if turn.state.steps[path].status == st.STARTED]
    if not keep_started:
        held = []
    withdrawn = [path for path in steps if not _kept(path, held)]
    withdraw(turn, withdrawn, "the run was cancelled")
    if not held:
        turn.check[UNWIND] = None


def _kept(path: str, held: list[str]) -> bool:
    return any(path == other or within(other, path) for other in held)


def unwind(turn: DecisionBuilder) -> None:
    """Begin the next compensation, or what is done on failure, or close the run; one thing at a time."""
    state = turn.state
    if state.status not in (st.FAILING, st.CANCELLING) or state.open_steps:
        return
    is_failing = state.status == st.FAILING
    undoable = _undoable(turn) if is_failing or state.compensate else []
    if undoable:
        _compensate(turn, max(undoable, key=lambda path: state.steps[path].sequence))
    elif not is_failing:
        turn.emit(ev.RunCancelled(state.reason))
    elif ON_FAILURE in turn.plan.steps and ON_FAILURE not in state.steps:
        _begin_on_failure(turn)
    else:
        error = _with_failures(turn, state.error or {})
        turn.emit(ev.RunFailed(error, state.failed_step))


def _begin_on_failure(turn: DecisionBuilder) -> None:
    turn.emit(ev.StepScheduled(ON_FAILURE, {}, st.BLOCK))
    block = turn.plan.steps[ON_FAILURE].block
    names = block.order if block else ()
    turn.reach.extend(inside(ON_FAILURE, name) for name in names)
    turn.check[ON_FAILURE] = None


def _undoable(turn: DecisionBuilder) -> list[str]:
    """Return the completed steps that say how to undo them and are not undone yet."""
    plans = {path for path, plan in turn.plan.steps.items() if plan.compensated}
    if not plans:
        return []
    return [
        path
        for path, step in turn.state.steps.items()
        if step.status == st.COMPLETED
        and static(path) in plans
        and step.kind != st.FOREACH
        and compensation_of(path) not in turn.state.steps
    ]


def _compensate(turn: DecisionBuilder, path: str) -> None:
    name, step = compensation_of(path), turn.state.steps[path]
    local = {"result": step.output, "output": step.output, "error": turn.state.error}
    inputs: Mapping[str, Json] = {}
    secrets: Sequence[Json] | None = None
    failure: Mapping[str, Json] | None = turn.refused.get(name)
    try:
        if failure is None:
            plan, view = turn.plan.of(name), turn.view.within(path)
            inputs = step_inputs(plan, view, local)
            secrets = step_secrets(plan, view, local)
    except ExpressionFailed as error:
        failure = expression_error(error)
    turn.emit(ev.CompensationScheduled(path, name, inputs, secrets))
    if failure is not None:
        fail(turn, name, 0, failure)
        turn.check[UNWIND] = None


def _with_failures(turn: DecisionBuilder, error: Mapping[str, Json]) -> dict[str, Json]:
    """Add what could not be undone to the error of a run."""
    failed = [
        path.removesuffix(COMPENSATE)
        for path, step in turn.state.steps.items()
        if path.endswith(COMPENSATE) and step.status == st.FAILED
    ]
    on_failure = turn.state.steps.get(ON_FAILURE)
    if on_failure is not None and on_failure.status == st.FAILED:
        failed.append(ON_FAILURE)
    if not failed:
        return dict(error)
    return {**error, "not_compensated": turn.in_order(failed)}
