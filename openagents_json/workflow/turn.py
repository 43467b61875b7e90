"""One decision in the making: the events so far, the state that they lead to, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from openagents_json.workflow import events as ev
from openagents_json.workflow import state as st
from openagents_json.workflow.errors import ExpressionFailed
from openagents_json.workflow.evaluate import (
    error_output,
    run_output,
    step_condition,
    step_inputs,
    step_outputs,
    terminate_output,
)
from openagents_json.workflow.plan import ErrorHandler, Plan, StepPlan
from openagents_json.workflow.retry import next_delay
from openagents_json.workflow.routes import Readiness, readiness, withdrawable
from openagents_json.workflow.types import Json
from openagents_json.workflow.view import RunView

RUN = ""
"""The key under which a refusal concerns the run's own output."""

NO_RETRY_EFFECTS = frozenset({"at_most_once", "irreversible"})


class Turn:
    """Collects events while it folds them; lives for one call of `decide`."""

    __slots__ = ("events", "facts", "open_after_facts", "plan", "refused", "state", "view")

    def __init__(self, plan: Plan, state: st.RunState, refused: Mapping[str, Mapping[str, Json]]) -> None:
        self.plan, self.state, self.refused = plan, state, refused
        self.events: list[ev.Event] = []
        self.facts = 0
        self.open_after_facts: Mapping[str, bool] = {}
        self.view = RunView(self)

    def emit(self, event: ev.Event) -> None:
        """Add an event; the state moves with it."""
        self.state = st.evolve(self.state, event)
        self.events.append(event)

    def all_steps(self) -> list[str]:
        """Give the steps that nobody has decided about, in document order."""
        return [step for step in self.plan.order if step not in self.state.steps]

    def in_order(self, steps: Iterable[str]) -> list[str]:
        """Sort steps by document order: a decision must not depend on the order of a hash map."""
        wanted = set(steps)
        return [step for step in self.plan.order if step in wanted]


def complete(turn: Turn, step: str, attempt: int, output: Json) -> None:
    """Record a returned attempt with its named outputs; a wrong output template fails the step."""
    try:
        outputs, sets = step_outputs(turn.plan, step, output, turn.view)
    except ExpressionFailed as error:
        fail(turn, step, attempt, expression_error(error))
        return
    turn.emit(ev.StepCompleted(step, attempt, output, outputs, sets or None))


def expression_error(error: ExpressionFailed) -> dict[str, Json]:
    """Describe a template that failed, as a terminal error of its step."""
    return {
        "type": "ExpressionError",
        "message": str(error),
        "retryable": False,
        "expression": error.expression,
        "pointer": error.pointer,
    }


def fail(turn: Turn, step: str, attempt: int, error: Mapping[str, Json], timed_out: str = "") -> None:
    """Record a failed attempt, with the wait before the next one or the way the document handles the last."""
    plan = turn.plan.steps[step]
    retry_ms = None if timed_out in ("schedule_to_start", "total") else _retry_ms(turn, plan, error)
    then, goto, output = ("fail", None, None) if retry_ms is not None else _handled(turn, plan, error)
    if timed_out:
        turn.emit(ev.StepTimedOut(step, attempt, timed_out, error, retry_ms, then, goto, output))
    else:
        turn.emit(ev.StepFailed(step, attempt, error, retry_ms, then, goto, output))


def _retry_ms(turn: Turn, plan: StepPlan, error: Mapping[str, Json]) -> int | None:
    if error.get("retryable") is False or plan.effect in NO_RETRY_EFFECTS:
        return None
    failures = turn.state.steps[plan.id].failures + 1
    delay = next_delay(plan.retry, failures, str(error.get("type")), f"{turn.state.run}/{plan.id}")
    if delay is None:
        return None
    after = error.get("retry_after_ms")
    return max(delay, after) if isinstance(after, int) else delay


def _handled(turn: Turn, plan: StepPlan, error: Mapping[str, Json]) -> tuple[str, str | None, Json]:
    handler = _handler_for(plan, str(error.get("type")))
    if handler is None or handler.then == "fail":
        return "fail", None, None
    try:
        return handler.then, handler.goto, error_output(handler, turn.view, error)
    except ExpressionFailed:
        return "fail", None, None


def _handler_for(plan: StepPlan, error_type: str) -> ErrorHandler | None:
    for handler in plan.on_error:
        if not handler.errors or error_type in handler.errors or "*" in handler.errors:
            return handler
    return None


def follow(turn: Turn, steps: Iterable[str]) -> None:
    """Decide what the given resolved steps lead to, and all that follows; ends the run when nothing is left."""
    todo: list[str] = []
    for step in steps:
        if not _settle(turn, step, todo):
            return
    _cascade(turn, todo)


def advance(turn: Turn) -> None:
    """Decide everything that the state implies: the unsettled failures and each step not yet decided about."""
    todo: list[str] = []
    for step in turn.plan.order:
        known = turn.state.steps.get(step)
        if known is not None and known.status in (st.RETRYING, st.FAILED) and not _settle(turn, step, todo):
            return
    _cascade(turn, turn.all_steps())


def _settle(turn: Turn, step: str, todo: list[str]) -> bool:
    """Act on the outcome of one step; False when it ended the run."""
    state = turn.state.steps[step]
    if state.status == st.RETRYING:
        turn.emit(ev.StepRetryScheduled(step, state.retry_ms or 0))
    elif state.status == st.FAILED and state.then == "fail":
        end_failed(turn, state.error or {}, step)
        return False
    elif state.status not in st.OPEN_STEP:
        todo.extend(turn.plan.steps[step].targets)
    return True


def _cascade(turn: Turn, todo: list[str]) -> None:
    position = 0
    while position < len(todo):
        step = todo[position]
        position += 1
        if step not in turn.state.steps and not _reach(turn, turn.plan.steps[step], todo):
            return
    if not turn.state.open_steps and len(turn.state.steps) == len(turn.plan.order):
        _end_completed(turn)


def _reach(turn: Turn, plan: StepPlan, todo: list[str]) -> bool:
    """Schedule, skip or leave one undecided step; False when that ended the run."""
    try:
        ready = readiness(plan, turn.state, turn.view)
        if ready is Readiness.WAIT:
            return True
        if ready is Readiness.DEAD or not step_condition(turn.plan, plan.id, turn.view):
            turn.emit(ev.StepSkipped(plan.id, "unreachable" if ready is Readiness.DEAD else "condition"))
            todo.extend(plan.targets)
            return True
        if plan.cancel_rest:
            _withdraw(turn, plan, todo)
        if plan.kind == "terminate":
            _terminate(turn, plan)
            return False
        inputs = step_inputs(turn.plan, plan.id, turn.view)
    except ExpressionFailed as error:
        return _refuse(turn, plan, expression_error(error), todo)
    if plan.id in turn.refused:
        return _refuse(turn, plan, turn.refused[plan.id], todo)
    turn.emit(ev.StepScheduled(plan.id, inputs))
    return True


def _refuse(turn: Turn, plan: StepPlan, error: Mapping[str, Json], todo: list[str]) -> bool:
    turn.emit(ev.StepScheduled(plan.id, {}))
    fail(turn, plan.id, 0, error)
    return _settle(turn, plan.id, todo)


def _withdraw(turn: Turn, plan: StepPlan, todo: list[str]) -> None:
    for step in withdrawable(turn.plan, plan, turn.state):
        turn.emit(ev.StepCancelled(step, f"{plan.id} no longer needs it"))
        todo.extend(turn.plan.steps[step].targets)


def _terminate(turn: Turn, plan: StepPlan) -> None:
    status, output = terminate_output(turn.plan, plan.id, turn.view)
    turn.emit(ev.StepScheduled(plan.id, {}))
    turn.emit(ev.StepCompleted(plan.id, 0, output))
    if status == st.FAILED:
        message = output if isinstance(output, str) else f"step {plan.id} ended the run as failed"
        end_failed(turn, {"type": "Terminated", "message": message, "retryable": False, "output": output}, plan.id)
        return
    withdraw_open(turn, "the run was ended by a terminate step")
    turn.emit(ev.RunCompleted(output))


def withdraw_open(turn: Turn, reason: str, *, keep_started: bool = False) -> None:
    """Cancel the steps that are open, those under way too unless asked to keep them."""
    for step in turn.in_order(turn.state.open_steps):
        if not (keep_started and turn.state.steps[step].status == st.STARTED):
            turn.emit(ev.StepCancelled(step, reason))


def end_failed(turn: Turn, error: Mapping[str, Json], step: str | None) -> None:
    """Close the run as failed; what is still open is withdrawn first."""
    withdraw_open(turn, "the run failed")
    turn.emit(ev.RunFailed(error, step))


def _end_completed(turn: Turn) -> None:
    if RUN in turn.refused:
        turn.emit(ev.RunFailed(turn.refused[RUN], None))
        return
    try:
        output = run_output(turn.plan, turn.view.closing())
    except ExpressionFailed as error:
        turn.emit(ev.RunFailed(expression_error(error), None))
        return
    turn.emit(ev.RunCompleted(output))
