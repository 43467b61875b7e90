"""One decision in the making: the events so far, the state that they lead to, and what is left to decide."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.bounds import (
    DECISION_LIMIT,
    DEFAULT,
    Bounds,
    child_limit,
)
from openagents_json.workflow.core.decide.elapsed import MAX_ELAPSED, too_late
from openagents_json.workflow.core.evaluate import error_output, step_outputs
from openagents_json.workflow.core.evolve import evolve
from openagents_json.workflow.core.paths import COMPENSATE, frames_of, static, within
from openagents_json.workflow.core.plan import ErrorHandler, Plan, StepPlan
from openagents_json.workflow.core.retry import asked_delay, next_delay
from openagents_json.workflow.core.template_view import RunView
from openagents_json.workflow.core.usage import ByModel
from openagents_json.workflow.errors import ExpressionFailed
from openagents_json.workflow.expressions.budget import TOGETHER, Together
from openagents_json.workflow.types import Json

RUN = ""
"""The key under which a refusal concerns the run's own output; the frame of a run."""

NO_RETRY_EFFECTS = frozenset({"at_most_once", "irreversible"})
RETRIED_KINDS = frozenset({"", "workflow"})
UNRETRIED_LIMITS = frozenset({"schedule_to_start", "total"})

ChildId = Callable[[str], str]
"""Gives the id of a child run from what makes it unique."""


class DecisionBuilder:
    """Collects events while it folds them; lives for one call of `decide`.

    What is left to decide: steps whose outcome has to be acted on (`settle`), steps that may be ready (`reach`), and
    frames and containers to look at (`check`). While it decides on what came before a failure that is on the log
    already, that failure and what came after it are `hidden`, by their places among the outcomes.
    """

    __slots__ = (
        "bounds",
        "check",
        "child_id",
        "events",
        "facts",
        "hidden",
        "now_ms",
        "open_after_facts",
        "plan",
        "reach",
        "refused",
        "settle",
        "state",
        "together",
        "unfinished",
    )

    def __init__(
        self,
        plan: Plan,
        state: st.RunState,
        refused: Mapping[str, Mapping[str, Json]],
        child_id: ChildId,
        bounds: Bounds = DEFAULT,
        now_ms: int = 0,
    ) -> None:
        self.plan = plan
        self.state = state
        self.refused = refused
        self.child_id = child_id
        self.bounds = bounds
        self.together = Together(bounds.operations)
        self.now_ms = now_ms
        self.events: list[ev.Event] = []
        self.facts = 0
        self.open_after_facts: Mapping[str, bool] = {}
        self.settle: deque[str] = deque()
        self.reach: deque[str] = deque()
        self.check: dict[str, None] = {}
        self.unfinished = False
        self.hidden = range(0)

    @property
    def view(self) -> RunView:
        """Return what templates see of the run; made anew, as one that is kept would be a cycle to be collected."""
        return RunView(self)

    def emit(self, event: ev.Event) -> None:
        """Add an event; the state moves with it."""
        self.state = evolve(self.state, event)
        self.events.append(event)

    def in_order(self, steps: Iterable[str]) -> list[str]:
        """Sort steps by document order: a decision must not depend on the order of a hash map."""
        return sorted(steps, key=lambda path: order_key(self.plan, path))

    def forget(self) -> None:
        """Leave undone what was left to decide: the run takes another way."""
        self.settle.clear()
        self.reach.clear()
        self.check.clear()
        self.together.renew()


def order_key(plan: Plan, path: str) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """Return the position of an instance: by document order, and by index within the same step."""
    if "." not in path and "[" not in path:
        return ((plan.positions.get(path, -1), ()),)
    positions = []
    for frame in frames_of(path)[1:]:
        position = plan.positions.get(static(frame), -1)
        positions.append((position, _indexes_of(frame)))
    return tuple(positions)


def _indexes_of(frame: str) -> tuple[int, ...]:
    """Return the indexes at the end of a path: those of `a[1].b[2][3]` are 2 and 3."""
    _, _, tail = frame.removesuffix(COMPENSATE).rpartition(".")
    _, *indexes = tail.replace("]", "").split("[")
    return tuple(map(int, indexes))


def complete(
    turn: DecisionBuilder,
    step: str,
    attempt: int,
    output: Json,
    facts: Mapping[str, Json] | None = None,
    usage: ByModel | None = None,
) -> None:
    """Record a returned attempt with its named outputs, `facts` among them; a wrong output template fails the step."""
    plan = turn.plan.of(step)
    try:
        outputs, sets = _named_outputs(turn, plan, step, output)
    except ExpressionFailed as error:
        fail(turn, step, attempt, expression_error(error), usage=usage)
        return
    if facts:
        outputs = {**facts, **(outputs or {})}
    kept = None if turn.state.steps[step].kind == st.FOREACH else output
    turn.emit(ev.StepCompleted(step, attempt, kept, outputs, sets or None, usage))


def _named_outputs(
    turn: DecisionBuilder, plan: StepPlan, step: str, output: Json
) -> tuple[dict[str, Json] | None, dict[str, Json]]:
    if not plan.outputs:  # as most steps: nothing is looked at
        return None, {}
    return step_outputs(plan, output, turn.view.at(step))


def expression_error(error: ExpressionFailed) -> dict[str, Json]:
    """Describe a template that failed, as a terminal error of its step."""
    described: dict[str, Json] = {
        "type": "ExpressionError",
        "message": str(error),
        "retryable": False,
        "expression": error.expression,
        "pointer": error.pointer,
    }
    if error.reason.startswith(TOGETHER):
        described["limit"] = DECISION_LIMIT
    return described


def terminal(error_type: str, message: str, **facts: Json) -> dict[str, Json]:
    """Describe an error of the engine's own that is not tried again."""
    return {"type": error_type, "message": message, "retryable": False, **facts}


def timeout_error(step: str, kind: str, limit_ms: int) -> dict[str, Json]:
    """Describe a limit of a step that ran out."""
    message = f"step {step}: {kind} limit of {limit_ms / 1000:g} s is over"
    return {"type": "TimeoutError", "message": message, "kind": kind}


def fail(
    turn: DecisionBuilder,
    step: str,
    attempt: int,
    error: Mapping[str, Json],
    timed_out: str = "",
    reason: str = "",
    usage: ByModel | None = None,
) -> None:
    """Record a failed attempt, with the wait before the next one or the way the document handles the last.

    `reason` is why it is the last, whatever the retry policy says.
    """
    plan = turn.plan.of(step)
    retry_ms = None
    if not reason and timed_out not in UNRETRIED_LIMITS:
        retry_ms = _retry_ms(turn, plan, step, error)
    if retry_ms is not None and _has_no_child_left(turn, plan):
        error = _without_child(turn, error)
        retry_ms = None
    if retry_ms is not None and _ends_too_late(turn, plan, step, retry_ms):
        reason = MAX_ELAPSED
        retry_ms = None
    handling = _UNHANDLED
    if retry_ms is None:
        handling = _handled(turn, plan, step, error)
    then, goto, output = handling
    outcome = (error, retry_ms, then, goto, output, reason, usage)
    if timed_out:
        turn.emit(ev.StepTimedOut(step, attempt, timed_out, *outcome))
    else:
        turn.emit(ev.StepFailed(step, attempt, *outcome))


def _has_no_child_left(turn: DecisionBuilder, plan: StepPlan) -> bool:
    """Tell whether a step would need one more child run than the run may have."""
    return plan.kind == "workflow" and turn.state.children >= turn.bounds.children


def _without_child(turn: DecisionBuilder, error: Mapping[str, Json]) -> dict[str, Json]:
    """Return an error that says why it is the last one of a step that needs child runs."""
    limit = child_limit(turn.bounds)
    message = f"{error.get('message')}; it is not tried again: {limit}"
    return {**error, "message": message}


def _ends_too_late(
    turn: DecisionBuilder, plan: StepPlan, step: str, retry_ms: int
) -> bool:
    """Tell whether the wait before the next attempt ends too late for it."""
    at_ms = turn.now_ms + retry_ms if turn.now_ms else 0
    return too_late(plan, turn.state.steps[step], at_ms)


def _retry_ms(
    turn: DecisionBuilder, plan: StepPlan, step: str, error: Mapping[str, Json]
) -> int | None:
    """Return the wait before the next attempt, None when there is none."""
    state = turn.state.steps[step]
    may_be_repeated = plan.effect not in NO_RETRY_EFFECTS
    if error.get("retryable") is False or not may_be_repeated:
        return None
    if state.kind not in RETRIED_KINDS:
        return None
    failures = state.failures + 1
    seed = f"{turn.state.run}/{step}"
    delay = next_delay(plan.retry, failures, str(error.get("type")), seed)
    if delay is None:
        return None
    return asked_delay(plan.retry, delay, error.get("retry_after_ms"))


class _Handling(NamedTuple):
    """The way in which the document handles the last failure of a step."""

    then: str = "fail"
    goto: str | None = None
    output: Json = None


_UNHANDLED: Final = _Handling()


def _handled(
    turn: DecisionBuilder, plan: StepPlan, step: str, error: Mapping[str, Json]
) -> _Handling:
    handler = _handler_for(plan, str(error.get("type")))
    if handler is None or handler.then == "fail":
        return _UNHANDLED
    try:
        output = error_output(handler, turn.view.at(step), error)
    except ExpressionFailed:
        return _UNHANDLED
    return _Handling(handler.then, handler.goto, output)


def _handler_for(plan: StepPlan, error_type: str) -> ErrorHandler | None:
    """Return the first handler that takes an error."""
    fitting = {error_type, "*"}
    for handler in plan.on_error:
        if not handler.errors or not fitting.isdisjoint(handler.errors):
            return handler
    return None


def refuse(turn: DecisionBuilder, path: str, error: Mapping[str, Json]) -> None:
    """Fail a step that cannot begin."""
    if path not in turn.state.steps:
        turn.emit(ev.StepScheduled(path, {}))
    fail(turn, path, turn.state.steps[path].attempt, error)
    turn.settle.append(path)


def fail_group(
    turn: DecisionBuilder, path: str, error: Mapping[str, Json], timed_out: str = ""
) -> None:
    """Fail a step that holds others; what is open inside is withdrawn."""
    withdraw(turn, inner_steps(turn, path), f"{path} failed")
    fail(turn, path, 0, error, timed_out)
    turn.settle.append(path)


def inner_steps(turn: DecisionBuilder, path: str) -> list[str]:
    """Return the open steps inside of a frame or container."""
    return [step for step in turn.state.open_steps if within(step, path)]


def withdraw(turn: DecisionBuilder, steps: Iterable[str], reason: str) -> None:
    """Cancel open steps, those inside of others first."""
    for step in reversed(turn.in_order(steps)):
        turn.emit(ev.StepCancelled(step, reason))
