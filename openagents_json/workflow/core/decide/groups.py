"""Steps that hold others: items of a foreach, iterations of a loop, blocks."""

from __future__ import annotations

from collections.abc import Mapping

from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.decide.decision import (
    DecisionBuilder,
    complete,
    expression_error,
    fail_group,
    inner_steps,
    refuse,
    terminal,
    withdraw,
)
from openagents_json.workflow.core.decide.step_start import begin_instance
from openagents_json.workflow.core.evaluate import block_output, holds, step_condition
from openagents_json.workflow.core.paths import all_inside, item
from openagents_json.workflow.core.plan import Foreach, Loop, StepPlan
from openagents_json.workflow.errors import ExpressionFailed
from openagents_json.workflow.types import Json

WINDOW = 1000
BLOCK_WINDOW = 100
"""How many items are open at a time when the document does not say."""


def check_group(turn: DecisionBuilder, path: str) -> None:
    """Let a foreach or a loop go on, or end it."""
    try:
        if turn.plan.of(path).foreach is not None:
            _check_foreach(turn, path)
        else:
            _check_loop(turn, path)
    except ExpressionFailed as error:
        fail_group(turn, path, expression_error(error))


def has_failed(turn: DecisionBuilder, path: str) -> bool:
    """Tell whether so much of a foreach or a loop has failed that it fails itself."""
    plan = turn.plan.of(path)
    group = turn.state.steps[path].group
    if group is None:
        return False
    if plan.foreach is not None:
        return group.failed > _tolerated(plan.foreach, group.total)
    last = turn.state.steps.get(item(path, group.opened - 1), st.NO_STEP)
    return last.status == st.FAILED


def failed_at(turn: DecisionBuilder, path: str) -> int:
    """Return the place among all outcomes of that one with which a foreach or a loop failed."""
    steps = turn.state.steps
    foreach = turn.plan.of(path).foreach
    step = steps[path]
    names = [item(path, index) for index in range(step.opened)]
    items = [steps[name] for name in names if name in steps]
    failures = sorted([inner.sequence for inner in items if inner.failed_for_good])
    tolerated = 0
    if foreach is not None and step.group is not None:
        tolerated = _tolerated(foreach, step.group.total)
    if tolerated < len(failures):
        return failures[tolerated]
    return step.sequence


def close_block(turn: DecisionBuilder, path: str) -> None:
    """Complete a block when each of its steps is resolved."""
    plan = turn.plan.of(path)
    state = turn.state
    for inner_path in all_inside(path, plan.inner):
        if not state.is_resolved(inner_path):
            return
        inner = state.steps[inner_path]
        if inner.sequence in turn.hidden:
            return
        if inner.failed_for_good:
            error = {**(inner.error or {}), "at": inner_path, "retryable": False}
            fail_group(turn, path, error)
            return
    try:
        output = block_output(turn.plan, plan, turn.view.within(path))
    except ExpressionFailed as error:
        fail_group(turn, path, expression_error(error))
        return
    complete(turn, path, 0, output)
    turn.settle.append(path)


def _check_foreach(turn: DecisionBuilder, path: str) -> None:
    plan = turn.plan.of(path)
    step = turn.state.steps[path]
    spec = plan.foreach
    group = step.group
    if spec is None or group is None:
        return
    if group.failed > _tolerated(spec, group.total):
        fail_group(turn, path, _item_error(turn, path, group))
    elif _has_enough(spec, group):
        if spec.cancel_rest:
            withdraw(turn, inner_steps(turn, path), f"{path} has enough")
        _complete(turn, path)
    elif group.opened < group.total or group.missing:
        default = WINDOW if plan.block is None else BLOCK_WINDOW
        _open_items(turn, path, spec, group, default)
    elif not group.active:
        _end_foreach(turn, path, spec, group)


def _has_enough(spec: Foreach, group: st.Group) -> bool:
    if spec.enough is None:
        return False
    return group.completed >= min(spec.enough, group.total)


def _end_foreach(
    turn: DecisionBuilder, path: str, spec: Foreach, group: st.Group
) -> None:
    """End a foreach whose items are all resolved."""
    needed = min(spec.min_success or 0, group.total)
    if group.completed >= needed:
        _complete(turn, path)
        return
    message = f"step {path}: {group.completed} of {group.total} items succeeded, fewer than {spec.min_success}"
    error = terminal("TooFewSuccesses", message, failed=group.failed)
    fail_group(turn, path, error)


def _complete(turn: DecisionBuilder, path: str) -> None:
    complete(turn, path, 0, st.gather(turn.state, path))
    turn.settle.append(path)


def _tolerated(spec: Foreach, total: int) -> int:
    if spec.tolerated is not None:
        return spec.tolerated
    if spec.min_success is None:
        return 0
    return max(0, total - spec.min_success)


def _item_error(turn: DecisionBuilder, path: str, group: st.Group) -> dict[str, object]:
    """Return the error of a foreach: that of its first failed item, with the place and how many failed."""
    where = item(path, group.first_failed)
    error = dict(turn.state.steps[where].error or {})
    message = f"item {group.first_failed}: {error.get('message')}"
    return {
        **error,
        "message": message,
        "retryable": False,
        "at": error.get("at", where),
        "failed": group.failed,
    }


def _open_items(
    turn: DecisionBuilder, path: str, spec: Foreach, group: st.Group, default: int
) -> None:
    """Let as many more items begin as the window has room for; `default` is the window where the document says none."""
    window = spec.window or default
    room = max(0, window - group.active)
    is_nearly_full = group.active and room < window // 4
    if is_nearly_full and not spec.window:  # a few at a time would be a commit each
        return
    again = group.missing[:room]
    fresh_from = group.opened
    fresh_to = min(group.total, fresh_from + room - len(again))
    for index in [*again, *range(fresh_from, fresh_to)]:
        _open_item(turn, item(path, index), per_item=spec.per_item_condition)
    if turn.state.steps[path].group != group:
        turn.check[path] = None


def _open_item(turn: DecisionBuilder, path: str, *, per_item: bool) -> None:
    try:
        if per_item and not step_condition(turn.plan.of(path), turn.view.at(path)):
            turn.emit(ev.StepSkipped(path, "condition"))
        else:
            begin_instance(turn, path)
    except ExpressionFailed as error:
        refuse(turn, path, expression_error(error))


def _check_loop(turn: DecisionBuilder, path: str) -> None:
    plan = turn.plan.of(path)
    step = turn.state.steps[path]
    loop = plan.loop
    group = step.group
    if loop is None or group is None or group.active:
        return
    count = group.opened
    error = _error_of_last(turn, path, count)
    if error is not None:
        fail_group(turn, path, {**error, "retryable": False})
    elif not _goes_on(turn, path, loop, count):
        _end_loop(turn, path)
    elif count >= loop.limit:
        _at_limit(turn, path, loop)
    else:
        _begin_iteration(turn, item(path, count), plan)


def _begin_iteration(turn: DecisionBuilder, frame: str, plan: StepPlan) -> None:
    turn.emit(ev.StepScheduled(frame, {}, st.BLOCK))
    turn.reach.extend(all_inside(frame, plan.inner))
    turn.check[frame] = None


def _error_of_last(
    turn: DecisionBuilder, path: str, count: int
) -> Mapping[str, Json] | None:
    """Return the error of the last iteration of a loop, None where it has not failed."""
    if not count:
        return None
    last = turn.state.steps[item(path, count - 1)]
    if last.status == st.FAILED:
        return last.error or {}
    return None


def _goes_on(turn: DecisionBuilder, path: str, loop: Loop, count: int) -> bool:
    """Tell whether a loop's conditions let another iteration begin: they see the steps of the last one.

    Raises ExpressionFailed.
    """
    if not count:
        before_the_first = turn.view.within(item(path, 0))
        return loop.looks_inside or holds(loop.condition, before_the_first)
    last = turn.view.within(item(path, count - 1))
    if loop.until is not None and holds(loop.until, last):
        return False
    local = {
        "index": count,
        "iteration": count,
        "previous": st.last_result(turn.state, path),
    }
    return holds(loop.condition, last, local)


def _end_loop(turn: DecisionBuilder, path: str) -> None:
    complete(turn, path, 0, st.last_result(turn.state, path))
    turn.settle.append(path)


def _at_limit(turn: DecisionBuilder, path: str, loop: Loop) -> None:
    has_condition = loop.condition is not None or loop.until is not None
    if not (has_condition and loop.fails_at_limit):
        _end_loop(turn, path)
        return
    message = f"step {path}: the loop is not done after {loop.limit} iterations, the most that it may make"
    fail_group(turn, path, terminal("LoopLimitReached", message, limit=loop.limit))
