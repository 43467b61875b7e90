"""What is heard of steps: outcomes of workers, leases and limits that ran out, timers, signals, child runs."""

from __future__ import annotations

from typing import assert_never

from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.decide.annotations import refuse_closed
from openagents_json.workflow.core.decide.decision import (
    DecisionBuilder,
    complete,
    fail,
    fail_group,
    terminal,
    timeout_error,
)
from openagents_json.workflow.core.decide.elapsed import MAX_ELAPSED, too_late
from openagents_json.workflow.core.decide.lifecycle import advance_run, after_facts
from openagents_json.workflow.core.decide.limits.spending import is_answer, take_answer
from openagents_json.workflow.core.decide.scheduling import run
from openagents_json.workflow.core.decide.signals import check_signal
from openagents_json.workflow.core.decide.step_start import (
    start_child,
    take_signal,
    timer_won,
)
from openagents_json.workflow.core.decide.takeover import unknown_outcome
from openagents_json.workflow.core.plan import StepPlan
from openagents_json.workflow.types import Json


def record(turn: DecisionBuilder, command: cmd.RecordOutcomes) -> None:
    """Record outcomes of attempts, and decide what they lead to."""
    recorded = []
    for outcome in command.outcomes:
        step = turn.state.steps.get(outcome.step, st.NO_STEP)
        if step.status == st.STARTED and step.attempt == outcome.attempt:
            _fact(turn, outcome)
            recorded.append(outcome.step)
    turn.facts = len(turn.events)
    turn.open_after_facts = turn.state.open_steps
    after_facts(turn, recorded)


def _fact(turn: DecisionBuilder, outcome: cmd.Outcome) -> None:
    match outcome:
        case cmd.Completed(step, attempt, output, usage):
            complete(turn, step, attempt, output, usage=usage)
        case cmd.Failed(step, attempt, error, usage):
            fail(turn, step, attempt, error, usage=usage)
        case cmd.Expired(step, attempt, kind, limit_ms, usage):
            error = timeout_error(step, kind, limit_ms)
            fail(turn, step, attempt, error, kind, usage=usage)
        case cmd.Released(step, attempt, reason, usage):
            # Another worker may know the component: this one does not ask for it again at once.
            delay_ms = 1000 if reason == "unknown component" else 0
            turn.emit(ev.StepReleased(step, attempt, reason, delay_ms, usage))
        case _:
            assert_never(outcome)


def lose_lease(turn: DecisionBuilder, command: cmd.LoseLease) -> None:
    """Give up the attempt of a worker that went silent."""
    step = turn.state.steps.get(command.step, st.NO_STEP)
    if step.status != st.STARTED or step.fence != command.fence:
        return
    plan = turn.plan.of(command.step)
    if plan.effect == "at_most_once" and not command.begun:
        turn.emit(ev.StepReleased(command.step, step.attempt, st.NEVER_BEGUN))
        after_facts(turn, [command.step])
        return
    turn.emit(ev.StepLeaseLost(command.step, step.attempt, step.worker))
    if plan.effect == "at_most_once":
        unknown_outcome(turn, command.step, f"worker {step.worker} went silent")
    else:
        _fail_if_lost_for_good(turn, command.step, step, plan)
    after_facts(turn, [command.step])


def _fail_if_lost_for_good(
    turn: DecisionBuilder, path: str, step: st.StepState, plan: StepPlan
) -> None:
    """Fail a step whose worker went silent if that was one too many, or it is too late to begin it again."""
    lost = step.lost + 1
    if lost > plan.lost_limit:
        message = f"step {path}: {lost} workers went silent while they ran it, the last {step.worker}"
        fail(turn, path, step.attempt, terminal("WorkerLost", message))
    elif too_late(plan, step, turn.now_ms):
        message = f"step {path}: worker {step.worker} went silent while it ran it"
        error = {"type": "WorkerLost", "message": message}
        fail(turn, path, step.attempt, error, reason=MAX_ELAPSED)


def time_out_step(turn: DecisionBuilder, command: cmd.TimeOutStep) -> None:
    """End a step, or an attempt, whose time is over."""
    step = turn.state.steps.get(command.step, st.NO_STEP)
    if step.status not in st.OPEN_STEP:
        return
    limits = turn.plan.of(command.step).timeouts
    match command.kind:
        case "start_to_close" if (
            step.status == st.STARTED and step.fence == command.fence
        ):
            limit = limits.start_to_close_ms
        case "schedule_to_start" if step.status in st.CLAIMABLE:
            limit = limits.schedule_to_start_ms
        case "total":
            limit = limits.total_ms
        case _:
            return
    error = timeout_error(command.step, command.kind, limit)
    fail(turn, command.step, step.attempt, error, command.kind)
    after_facts(turn, [command.step])


def fire_timer(turn: DecisionBuilder, command: cmd.FireTimer) -> None:
    """Go on with a step whose time has come."""
    path = command.step
    step = turn.state.steps.get(path, st.NO_STEP)
    if not command.timer or step.timer != command.timer:
        return
    turn.emit(ev.TimerFired(path, command.timer))
    if step.status == st.WAITING:  # a child that is tried again
        if turn.state.status in (st.RUNNING, st.FAILING):
            start_child(turn, path)
        return
    if step.kind == "sleep":
        complete(turn, path, 0, None)
    elif step.kind == "wait" and take_signal(turn, path):
        pass  # it came in time, while the run was paused
    elif step.kind == "wait" and _waits_for_time(turn.plan.of(path)):
        timer_won(turn, path)
    else:
        _time_is_over(turn, path, step.kind)
    after_facts(turn, [path])


def _waits_for_time(plan: StepPlan) -> bool:
    return plan.wait is not None and plan.wait.timer is not None


def _time_is_over(turn: DecisionBuilder, path: str, kind: str) -> None:
    """Fail a step that the engine carries out and that had only so long."""
    limit = "wait" if kind == "wait" else "total"
    message = f"the {limit} limit of step {path} is over"
    error = {
        "type": "TimeoutError",
        "message": message,
        "kind": limit,
        "retryable": False,
    }
    if kind in st.GROUPS or kind == st.BLOCK:
        fail_group(turn, path, error, limit)
        turn.settle.clear()
    else:
        fail(turn, path, 0, error, limit)


def send_signal(turn: DecisionBuilder, command: cmd.SendSignal) -> None:
    """Keep a signal, and hand it to the steps that wait for it."""
    if command.id and command.id in turn.state.heard:
        return
    refuse_closed(turn.state, "signal")
    answers = is_answer(turn, command)
    if not answers:
        check_signal(turn.plan, turn.state, command)
    received = ev.SignalReceived(
        signal=command.id,
        name=command.name,
        key=command.key,
        payload=command.payload,
        by=command.by,
        reason=command.reason,
        at_ms=command.at_ms,
    )
    turn.emit(received)
    if answers:
        if take_answer(turn, command):
            advance_run(turn, cmd.Advance())
        else:
            run(turn)
        return
    if turn.state.status not in (st.RUNNING, st.FAILING):
        return
    steps = turn.state.steps
    waits = [path for path in turn.state.open_steps if steps[path].kind == "wait"]
    taken = [path for path in turn.in_order(waits) if take_signal(turn, path)]
    if taken:
        after_facts(turn, taken)


def close_child(turn: DecisionBuilder, command: cmd.CloseChild) -> None:
    """Go on with a step whose child run has ended."""
    path = command.step
    step = turn.state.steps.get(path, st.NO_STEP)
    if step.status != st.ACTIVE or step.child != command.child:
        return
    closed = ev.ChildClosed(path, command.child, command.status, command.usage)
    turn.emit(closed)
    if command.status == st.COMPLETED:
        complete(turn, path, 0, command.output)
    else:
        fail(turn, path, 0, _error_of_child(command))
    after_facts(turn, [path])


def _error_of_child(command: cmd.CloseChild) -> dict[str, Json]:
    """Return the error of a step whose child run did not complete."""
    if command.status == st.CANCELLED:
        message = f"step {command.step}: its run {command.child} was cancelled"
        return terminal("ChildCancelled", message, child=command.child)
    error: dict[str, Json] = {"type": "ChildFailed", "message": "it failed"}
    error |= command.error or {}
    error["child"] = command.child
    error.pop("at", None)  # a step of the child, not of this run
    return error
