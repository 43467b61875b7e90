"""Steps that hold others: items of a foreach, iterations of a loop, blocks."""

from __future__ import annotations

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
from openagents_json.workflow.core.paths import inside, item
from openagents_json.workflow.core.plan import Foreach, Loop
from openagents_json.workflow.errors import ExpressionFailed

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
    plan, group = turn.plan.of(path), turn.state.steps[path].group
    if group is None:
        return False
    if plan.foreach is not None:
        return group.failed > _tolerated(plan.foreach, group.total)
    last = turn.state.steps.get(item(path, group.opened - 1))
    return last is not None and last.status == st.FAILED


def failed_at(turn: DecisionBuilder, path: str) -> int:
    """Return the place among all outcomes of that one with which a foreach or a loop failed."""
    plan, step = turn.plan.of(path), turn.state.steps[path]
    count, spare = (step.group.opened, step.group.total) if step.group else (0, 0)
    items = (
        instance
        for i in range(count)
        if (instance := turn.state.steps.get(item(path, i))) is not None
    )
    failures = sorted(
        instance.sequence for instance in items if instance.failed_for_good
    )
    tolerated = _tolerated(plan.foreach, spare) if plan.foreach is not None else 0
    return failures[tolerated] if tolerated < len(failures) else step.sequence


def close_block(turn: DecisionBuilder, path: str) -> None:
    """Complete a block when each of its steps is resolved."""
    plan, steps = turn.plan.of(path), turn.state.steps
    for name in plan.block.order if plan.block else ():
        inner = steps.get(inside(path, name))
        if (
            inner is None
            or inner.status in st.OPEN_STEP
            or inner.sequence in turn.hidden
        ):
            return
        if inner.failed_for_good:
            fail_group(
                turn,
                path,
                {**(inner.error or {}), "at": inside(path, name), "retryable": False},
            )
            return
    try:
        output = block_output(turn.plan, plan, turn.view.within(path))
    except ExpressionFailed as error:
        fail_group(turn, path, expression_error(error))
        return
    complete(turn, path, 0, output)
    turn.settle.append(path)


def _check_foreach(turn: DecisionBuilder, path: str) -> None:
    plan, step = turn.plan.of(path), turn.state.steps[path]
    spec, group = plan.foreach, step.group
    if spec is None or group is None:
        return
    if group.failed > _tolerated(spec, group.total):
        fail_group(turn, path, _item_error(turn, path, group))
    elif spec.enough is not None and group.completed >= min(spec.enough, group.total):
        if spec.cancel_rest:
            withdraw(turn, inner_steps(turn, path), f"{path} has enough")
        _complete(turn, path)
    elif group.opened < group.total or group.missing:
        _open_items(turn, path, spec, group, plan.block is not None)
    elif not group.active:
        if spec.min_success is not None and group.completed < min(
            spec.min_success, group.total
        ):
            message = f"step {path}: {group.completed} of {group.total} items succeeded, fewer than {spec.min_success}"
            fail_group(
                turn, path, terminal("TooFewSuccesses", message, failed=group.failed)
            )
        else:
            _complete(turn, path)


def _complete(turn: DecisionBuilder, path: str) -> None:
    complete(turn, path, 0, st.gather(turn.state, path))
    turn.settle.append(path)


def _tolerated(spec: Foreach, total: int) -> int:
    if spec.tolerated is not None:
        return spec.tolerated
    return 0 if spec.min_success is None else max(0, total - spec.min_success)


def _item_error(turn: DecisionBuilder, path: str, group: st.Group) -> dict[str, object]:
    """Return the error of a foreach: that of its first failed item, with the place and how many failed."""
    first = turn.state.steps[item(path, group.first_failed)]
    error = dict(first.error or {})
    where = item(path, group.first_failed)
    message = f"item {group.first_failed}: {error.get('message')}"
    return {
        **error,
        "message": message,
        "retryable": False,
        "at": error.get("at", where),
        "failed": group.failed,
    }


def _open_items(
    turn: DecisionBuilder, path: str, spec: Foreach, group: st.Group, blocks: bool
) -> None:
    window = spec.window or (BLOCK_WINDOW if blocks else WINDOW)
    room = window - group.active
    if (
        not spec.window and group.active and room < window // 4
    ):  # a few at a time would be a commit each
        return
    fresh = range(
        group.opened, min(group.total, group.opened + max(0, room - len(group.missing)))
    )
    for index in [*group.missing[: max(0, room)], *fresh]:
        _open_item(turn, item(path, index), per_item=spec.per_item_condition)
    if turn.state.steps[path].group == group:
        return
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
    plan, step = turn.plan.of(path), turn.state.steps[path]
    loop, group = plan.loop, step.group
    if loop is None or group is None or group.active:
        return
    count = group.opened
    if count:
        last = turn.state.steps[item(path, count - 1)]
        if last.status == st.FAILED:
            fail_group(turn, path, {**(last.error or {}), "retryable": False})
            return
        if loop.until is not None and holds(
            loop.until, turn.view.within(item(path, count - 1))
        ):
            _end_loop(turn, path)
            return
    if not _goes_on(turn, path, loop, count):
        _end_loop(turn, path)
    elif count >= loop.limit:
        _at_limit(turn, path, loop)
    else:
        frame = item(path, count)
        turn.emit(ev.StepScheduled(frame, {}, st.BLOCK))
        turn.reach.extend(
            inside(frame, name) for name in (plan.block.order if plan.block else ())
        )
        turn.check[frame] = None


def _goes_on(turn: DecisionBuilder, path: str, loop: Loop, count: int) -> bool:
    """Tell whether a loop's condition lets another iteration begin: it sees the steps of the last one."""
    if not count:
        return loop.looks_inside or holds(
            loop.condition, turn.view.within(item(path, 0))
        )
    local = {
        "index": count,
        "iteration": count,
        "previous": st.last_result(turn.state, path),
    }
    return holds(loop.condition, turn.view.within(item(path, count - 1)), local)


def _end_loop(turn: DecisionBuilder, path: str) -> None:
    complete(turn, path, 0, st.last_result(turn.state, path))
    turn.settle.append(path)


def _at_limit(turn: DecisionBuilder, path: str, loop: Loop) -> None:
    if loop.fails_at_limit and (loop.condition is not None or loop.until is not None):
        message = f"step {path}: the loop is not done after {loop.limit} iterations, the most that it may make"
        fail_group(turn, path, terminal("LoopLimitReached", message, limit=loop.limit))
    else:
        _end_loop(turn, path)
