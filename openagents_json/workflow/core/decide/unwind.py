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
    all_inside,
    compensation_of,
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
    lost = _lost(turn)
    if not lost and turn.state.status == st.FAILING:
        lost = turn.state.failed_step or ""
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
    begun = [name for name in turn.plan.order if name in steps]
    failed = [name for name in begun if steps[name].failed_for_good]
    return min(failed, key=lambda name: (steps[name].sequence, name), default="")


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
    awaited = turn.state.with_status(st.STARTED, steps) if keep_started else []
    withdrawn = [path for path in steps if not _holds_one_of(path, awaited)]
    withdraw(turn, withdrawn, "the run was cancelled")
    if not awaited:
        turn.check[UNWIND] = None


def _holds_one_of(path: str, others: list[str]) -> bool:
    """Tell whether a step is one of some others, or has one of them inside of it."""
    return path in others or any(within(other, path) for other in others)


def unwind(turn: DecisionBuilder) -> None:
    """Begin the next compensation, or what is done on failure, or close the run; one thing at a time."""
    state = turn.state
    has_to_wait = state.status not in (st.FAILING, st.CANCELLING) or state.open_steps
    if has_to_wait:
        return
    is_failing = state.status == st.FAILING
    undoable = _undoable(turn) if is_failing or state.compensate else []
    if undoable:
        latest = max(undoable, key=lambda path: state.steps[path].sequence)
        _compensate(turn, latest)
    elif not is_failing:
        turn.emit(ev.RunCancelled(state.reason))
    elif ON_FAILURE in turn.plan.steps and ON_FAILURE not in state.steps:
        _begin_on_failure(turn)
    else:
        error = _with_failures(turn, state.error or {})
        turn.emit(ev.RunFailed(error, state.failed_step))


def _begin_on_failure(turn: DecisionBuilder) -> None:
    turn.emit(ev.StepScheduled(ON_FAILURE, {}, st.BLOCK))
    names = turn.plan.steps[ON_FAILURE].inner
    turn.reach.extend(all_inside(ON_FAILURE, names))
    turn.check[ON_FAILURE] = None


def _undoable(turn: DecisionBuilder) -> list[str]:
    """Return the completed steps that say how to undo them and are not undone yet."""
    compensated = {path for path, plan in turn.plan.steps.items() if plan.compensated}
    if not compensated:
        return []
    steps = turn.state.steps
    undoable = []
    for path in turn.state.with_status(st.COMPLETED):
        # Of a foreach, each item is undone by itself.
        is_foreach = steps[path].kind == st.FOREACH
        if static(path) not in compensated or is_foreach:
            continue
        if compensation_of(path) not in steps:
            undoable.append(path)
    return undoable


def _compensate(turn: DecisionBuilder, path: str) -> None:
    name = compensation_of(path)
    refusal = turn.refused.get(name)
    inputs: Mapping[str, Json] = {}
    secrets: Sequence[Json] | None = None
    if refusal is None:
        try:
            inputs, secrets = _inputs_of(turn, path, name)
        except ExpressionFailed as error:
            refusal = expression_error(error)
    turn.emit(ev.CompensationScheduled(path, name, inputs, secrets))
    if refusal is not None:
        fail(turn, name, 0, refusal)
        turn.check[UNWIND] = None


def _inputs_of(
    turn: DecisionBuilder, path: str, compensation: str
) -> tuple[Mapping[str, Json], Sequence[Json] | None]:
    """Return the inputs of what undoes a step, and where they hold secrets.

    Raises ExpressionFailed.
    """
    output = turn.state.steps[path].output
    local = {"result": output, "output": output, "error": turn.state.error}
    plan = turn.plan.of(compensation)
    view = turn.view.within(path)
    inputs = step_inputs(plan, view, local)
    return inputs, step_secrets(plan, view, local)


def _with_failures(turn: DecisionBuilder, error: Mapping[str, Json]) -> dict[str, Json]:
    """Add what could not be undone to the error of a run."""
    failed = turn.state.with_status(st.FAILED)
    undoing = [path for path in failed if path.endswith(COMPENSATE)]
    not_done = [path.removesuffix(COMPENSATE) for path in undoing]
    if ON_FAILURE in failed:
        not_done.append(ON_FAILURE)
    if not not_done:
        return dict(error)
    return {**error, "not_compensated": turn.in_order(not_done)}
