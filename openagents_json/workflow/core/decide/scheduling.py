"""What follows from what: outcomes are acted on, steps that are ready begin, groups go on, the run ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.decide.decision import (
    RUN,
    DecisionBuilder,
    expression_error,
    fail_group,
    inner_steps,
    refuse,
    withdraw,
)
from openagents_json.workflow.core.decide.groups import (
    check_group,
    close_block,
    failed_at,
    has_failed,
)
from openagents_json.workflow.core.decide.limits.spending import stops_for_budget
from openagents_json.workflow.core.decide.routes import (
    NOTHING,
    Readiness,
    order_of,
    readiness,
    withdrawable,
)
from openagents_json.workflow.core.decide.step_start import (
    begin,
    start_child,
    take_signal,
)
from openagents_json.workflow.core.decide.unwind import (
    UNWIND,
    end_completed,
    end_failed,
    unwind,
)
from openagents_json.workflow.core.evaluate import run_output, step_condition
from openagents_json.workflow.core.paths import (
    COMPENSATE,
    ON_FAILURE,
    all_inside,
    container_name,
    frame_of,
    inside,
    is_item,
)
from openagents_json.workflow.core.plan import StepPlan
from openagents_json.workflow.errors import ExpressionFailed
from openagents_json.workflow.types import Json

MOST_EVENTS = 25_000
"""A decision of more events is continued in the next commit."""


def follow(turn: DecisionBuilder, steps: Iterable[str]) -> None:
    """Decide what the outcomes of steps lead to, and all that follows; ends the run when nothing is left.

    The outcomes are those and what is on the log before them that nobody has decided on: a commit that others overtook
    leaves its facts there, and who made it may have died since.
    """
    if stops_for_budget(turn):
        run(turn)
        return
    state = turn.state
    undecided = [path for path, _ in state.pending]
    again = turn.in_order(state.unsettled) if state.unsettled else ()
    outcomes = dict.fromkeys([*undecided, *again, *steps])
    if settle_failures(turn, undecided):
        _settle_later(turn, outcomes)
        _settle_all(turn)
        if len(turn.reach) > 1:
            turn.reach = deque(dict.fromkeys(turn.reach))  # many lead to the same join
        turn.check[RUN] = None
    run(turn)


def catch_up(turn: DecisionBuilder) -> None:
    """Decide on what others have left undecided, and all that follows."""
    if turn.state.open_steps or turn.state.status == st.RUNNING:
        follow(turn, ())
    else:
        turn.check[UNWIND] = None
        run(turn)


def settle_failures(turn: DecisionBuilder, containers: Iterable[str]) -> bool:
    """Act on what has failed for good, in the order of the log, with the outcomes that came before each.

    `containers` are those whose items are looked at. False when the run goes another way from here.
    """
    failures = _failures(turn, containers)
    if not failures:
        return True
    status = turn.state.status
    pending = turn.state.pending
    last = turn.state.sequence
    for sequence_of_failure, path in failures:
        turn.hidden = range(sequence_of_failure, last + 1)
        before = [name for name, sequence in pending if sequence < sequence_of_failure]
        _settle_later(turn, before)
        run(turn)
        turn.hidden = NOTHING
        if turn.state.status == status:
            turn.settle.append(path)
            _settle_all(turn)
        if turn.state.status != status:
            return False
    return True


def _settle_later(turn: DecisionBuilder, paths: Iterable[str]) -> None:
    """Note the outcomes of steps, to be acted on in this order; steps that are not there have none."""
    steps = turn.state.steps
    turn.settle.extend([path for path in paths if path in steps])


def _settle_all(turn: DecisionBuilder) -> None:
    while turn.settle:
        _settle(turn, turn.settle.popleft())


def _failures(
    turn: DecisionBuilder, containers: Iterable[str]
) -> list[tuple[int, str]]:
    """Return what has failed for good and still has an effect, with the place of each among the outcomes, in order."""
    steps = turn.state.steps
    failures: list[tuple[int, str]] = []
    for path in turn.state.unsettled:
        if steps[path].status == st.FAILED:
            failures.append((steps[path].sequence, path))
    for path in containers:
        step = steps.get(path, st.NO_STEP)
        is_active_group = step.kind in st.GROUPS and step.status == st.ACTIVE
        if is_active_group and has_failed(turn, path):
            failures.append((failed_at(turn, path), path))
    return sorted(failures)


def advance(turn: DecisionBuilder) -> None:
    """Decide everything that the state implies: unsettled outcomes, and each step not yet decided about."""
    if stops_for_budget(turn):
        run(turn)
        return
    if not settle_failures(turn, turn.state.open_steps):
        run(turn)
        return
    status = turn.state.status
    _settle_later(turn, [path for path, _ in turn.state.pending])
    run(turn)  # in the order of the log, where it is known
    if turn.state.status != status:
        return
    # Of a thousand items of a foreach, most wait for workers; sorting is what costs, so those are left out of it.
    steps = turn.state.steps
    movable = [path for path in turn.state.open_steps if _may_advance(steps[path])]
    for path in turn.in_order(movable):
        _advance_step(turn, path)
    if turn.state.status in (st.FAILING, st.CANCELLING):
        turn.check[UNWIND] = None
    else:
        _advance_frame(turn, RUN)
    run(turn)


def _may_advance(step: st.StepState) -> bool:
    """Tell whether `_advance_step` could do anything for a step: only workers move on one that calls a component."""
    return bool(step.kind) or step.status == st.RETRYING


def _advance_step(turn: DecisionBuilder, path: str) -> None:
    step = turn.state.steps[path]
    if step.status == st.RETRYING:
        turn.settle.append(path)
    elif step.kind in st.GROUPS:
        turn.check[path] = None
    elif step.kind == st.BLOCK:
        _advance_frame(turn, path)
    elif step.kind == "workflow" and step.status == st.WAITING and not step.timer:
        start_child(turn, path)
    elif step.kind == "wait" and take_signal(turn, path):
        turn.settle.append(path)


def _advance_frame(turn: DecisionBuilder, frame: str) -> None:
    steps = turn.state.steps
    for name in order_of(turn.plan, frame):
        path = inside(frame, name)
        # While nothing has begun, all edges are open: only what has none can be ready.
        if path not in steps and (steps or not turn.plan.of(path).incoming):
            turn.reach.append(path)
    turn.check[frame] = None


def run(turn: DecisionBuilder) -> None:
    """Decide until nothing is left to decide."""
    while not turn.state.closed:
        if len(turn.events) > MOST_EVENTS:
            turn.unfinished = True
            return
        if turn.settle:
            _settle(turn, turn.settle.popleft())
        elif turn.reach:
            _reach(turn, turn.reach.popleft())
        elif turn.check:
            _check(turn, next(iter(turn.check)))
        else:
            return


def _settle(turn: DecisionBuilder, path: str) -> None:
    """Act on the outcome of one step."""
    step = turn.state.steps[path]
    # First what is nearly always so: in a fan, each outcome comes by here with the latest others.
    if step.status == st.COMPLETED and "~" not in path:
        _passed(turn, path)
    elif step.status == st.RETRYING:
        _retry(turn, path, step)
    elif path.endswith(COMPENSATE) or path == ON_FAILURE:
        if step.status not in st.OPEN_STEP:
            turn.check[UNWIND] = None
    elif step.failed_for_good:
        _escalate(turn, path, step)
    elif step.status not in st.OPEN_STEP:
        _passed(turn, path)
    elif step.kind in st.GROUPS:
        _look_at_items(turn, path)


def _passed(turn: DecisionBuilder, path: str) -> None:
    """Go on behind a step that is resolved."""
    if is_item(path):
        turn.check[container_name(path)] = None
        return
    frame = frame_of(path)
    targets = turn.plan.of(path).targets
    turn.reach.extend(all_inside(frame, targets) if frame else targets)
    turn.check[frame] = None


def _retry(turn: DecisionBuilder, path: str, step: st.StepState) -> None:
    delay = step.retry_ms or 0
    kinds_of_gates = {gate[0] for gate in step.waits}
    is_rated = not step.kind and "rate" in kinds_of_gates
    turn.emit(ev.StepRetryScheduled(path, delay, is_rated))
    if step.kind != "workflow":
        return
    if delay:
        turn.emit(ev.TimerSet(path, step.timers + 1, delay))
    else:
        start_child(turn, path)


def _escalate(turn: DecisionBuilder, path: str, step: st.StepState) -> None:
    """Hand a failure that nobody handled to what holds the step."""
    if is_item(path):
        _look_at_items(turn, container_name(path))
        return
    error = {**(step.error or {})}
    frame = frame_of(path)
    if not frame:
        if turn.state.status == st.RUNNING:
            end_failed(turn, error, path)
        return
    # Else another step inside of it has failed it already.
    if turn.state.steps[frame].status in st.OPEN_STEP:
        error |= {"at": error.get("at", path), "retryable": False}
        fail_group(turn, frame, error)


def _look_at_items(turn: DecisionBuilder, container: str) -> None:
    """Fail a foreach or a loop at once when too much of it has failed; else it goes on when its turn comes."""
    if _is_active(turn, container) and has_failed(turn, container):
        check_group(turn, container)
    else:
        turn.check[container] = None


def _is_active(turn: DecisionBuilder, path: str) -> bool:
    return turn.state.steps.get(path, st.NO_STEP).status == st.ACTIVE


def _check(turn: DecisionBuilder, name: str) -> None:
    """Look at the run, at a frame or at a container: whether it goes on, or ends."""
    del turn.check[name]
    if name == UNWIND:
        unwind(turn)
    elif name == RUN:
        _check_run(turn)
    elif _is_active(turn, name):
        kind = turn.state.steps[name].kind
        look = check_group if kind in st.GROUPS else close_block
        look(turn, name)
    elif not turn.state.open_steps:
        # A straggler of a group that had enough was the last thing to wait for.
        turn.check[RUN] = None


def _check_run(turn: DecisionBuilder) -> None:
    state = turn.state
    if state.open_steps or state.status != st.RUNNING:
        return
    is_decided = all(map(state.steps.__contains__, turn.plan.order))
    if is_decided:
        end_completed(turn, lambda: run_output(turn.plan, turn.view.closing()))


def _reach(turn: DecisionBuilder, path: str) -> None:
    """Begin, skip or leave one undecided step."""
    frame = frame_of(path)
    if path in turn.state.steps or not _frame_is_open(turn, frame):
        return
    try:
        _reach_in(turn, frame, path)
    except ExpressionFailed as error:
        _refused(turn, path, expression_error(error))


def _reach_in(turn: DecisionBuilder, frame: str, path: str) -> None:
    """Begin, skip or leave one undecided step of a frame that goes on.

    Raises ExpressionFailed.
    """
    plan = turn.plan.of(path)
    view = turn.view.at(path)
    ready = readiness(plan, frame, turn.state, view, turn.hidden)
    if ready is Readiness.WAIT:
        return
    if ready is Readiness.DEAD:
        _skip(turn, path, "unreachable")
        return
    if not (_per_item(plan) or step_condition(plan, view)):
        _skip(turn, path, "condition")
        return
    if plan.cancel_rest:
        _cancel_rest(turn, plan, frame)
    begin(turn, path)


def _skip(turn: DecisionBuilder, path: str, reason: str) -> None:
    turn.emit(ev.StepSkipped(path, reason))
    _passed(turn, path)


def _frame_is_open(turn: DecisionBuilder, frame: str) -> bool:
    """Tell whether a step may still begin in a frame: what was to be decided may have been withdrawn meanwhile."""
    return not frame or _is_active(turn, frame)


def _refused(turn: DecisionBuilder, path: str, error: dict[str, Json]) -> None:
    if not turn.state.is_resolved(path):
        refuse(turn, path, error)


def _per_item(plan: StepPlan) -> bool:
    return plan.foreach is not None and plan.foreach.per_item_condition


def _cancel_rest(turn: DecisionBuilder, plan: StepPlan, frame: str) -> None:
    reason = f"{plan.id} no longer needs it"
    for name in withdrawable(turn.plan, plan, frame, turn.state):
        path = inside(frame, name)
        withdraw(turn, inner_steps(turn, path), reason)
        turn.emit(ev.StepCancelled(path, reason))
        targets = turn.plan.of(path).targets
        turn.reach.extend(all_inside(frame, targets))
