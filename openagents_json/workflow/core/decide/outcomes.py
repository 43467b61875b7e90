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
from openagents_json.workflow.core.decide.lifecycle import after_facts
from openagents_json.workflow.core.decide.signals import check_signal
from openagents_json.workflow.core.decide.step_start import (
    start_child,
    take_signal,
    timer_won,
)
from openagents_json.workflow.core.decide.takeover import unknown_outcome


def record(turn: DecisionBuilder, command: cmd.RecordOutcomes) -> None:
    """Record outcomes of attempts, and decide what they lead to."""
    recorded = []
    for outcome in command.outcomes:
        step = turn.state.steps.get(outcome.step)
        if step is None or step.status != st.STARTED or step.attempt != outcome.attempt:
            continue
        _fact(turn, outcome)
        recorded.append(outcome.step)
    turn.facts, turn.open_after_facts = len(turn.events), turn.state.open_steps
    after_facts(turn, recorded)


def _fact(turn: DecisionBuilder, outcome: cmd.Outcome) -> None:
    match outcome:
        case cmd.Completed(step, attempt, output):
            complete(turn, step, attempt, output)
        case cmd.Failed(step, attempt, error):
            fail(turn, step, attempt, error)
        case cmd.Expired(step, attempt, kind, limit_ms):
            fail(turn, step, attempt, timeout_error(step, kind, limit_ms), kind)
        case cmd.Released(step, attempt, reason):
            _release(turn, step, attempt, reason)
        case _:
            assert_never(outcome)


def _release(turn: DecisionBuilder, step: str, attempt: int, reason: str) -> None:
    turn.emit(
        ev.StepReleased(
            step, attempt, reason, 1000 if reason == "unknown component" else 0
        )
    )


def lose_lease(turn: DecisionBuilder, command: cmd.LoseLease) -> None:
    """Give up the attempt of a worker that went silent."""
    step = turn.state.steps.get(command.step)
    if step is None or step.status != st.STARTED or step.fence != command.fence:
        return
    plan = turn.plan.of(command.step)
    if plan.effect == "at_most_once" and not command.begun:
        turn.emit(ev.StepReleased(command.step, step.attempt, st.NEVER_BEGUN))
        after_facts(turn, [command.step])
        return
    turn.emit(ev.StepLeaseLost(command.step, step.attempt, step.worker))
    if plan.effect == "at_most_once":
        unknown_outcome(turn, command.step, f"worker {step.worker} went silent")
    elif step.lost + 1 > plan.lost_limit:
        message = f"step {command.step}: {step.lost + 1} workers went silent while they ran it, the last {step.worker}"
        fail(
            turn,
            command.step,
            step.attempt,
            {"type": "WorkerLost", "message": message, "retryable": False},
        )
    elif too_late(plan, step, turn.now_ms):
        message = (
            f"step {command.step}: worker {step.worker} went silent while it ran it"
        )
        fail(
            turn,
            command.step,
            step.attempt,
            {"type": "WorkerLost", "message": message},
            reason=MAX_ELAPSED,
        )
    after_facts(turn, [command.step])


def time_out_step(turn: DecisionBuilder, command: cmd.TimeOutStep) -> None:
    """End a step, or an attempt, whose time is over."""
    step = turn.state.steps.get(command.step)
    if step is None or step.status not in st.OPEN_STEP:
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
    fail(
        turn,
        command.step,
        step.attempt,
        timeout_error(command.step, command.kind, limit),
        command.kind,
    )
    after_facts(turn, [command.step])


def fire_timer(turn: DecisionBuilder, command: cmd.FireTimer) -> None:
    """Go on with a step whose time has come."""
    path, step = command.step, turn.state.steps.get(command.step)
    if step is None or step.timer != command.timer or not command.timer:
        return
    turn.emit(ev.TimerFired(path, command.timer))
    running = turn.state.status in (st.RUNNING, st.FAILING)
    plan = turn.plan.of(path)
    if step.status == st.WAITING:  # a child that is tried again
        if running:
            start_child(turn, path)
        return
    if step.kind == "sleep":
        complete(turn, path, 0, None)
    elif step.kind == "wait" and plan.wait is not None and plan.wait.timer is not None:
        timer_won(turn, path)
    else:
        kind = "wait" if step.kind == "wait" else "total"
        limit = f"the {kind} limit of step {path} is over"
        error = {
            "type": "TimeoutError",
            "message": limit,
            "kind": kind,
            "retryable": False,
        }
        if step.kind in st.GROUPS or step.kind == st.BLOCK:
            fail_group(turn, path, error, kind)
            turn.settle.clear()
        else:
            fail(turn, path, 0, error, kind)
    after_facts(turn, [path])


def send_signal(turn: DecisionBuilder, command: cmd.SendSignal) -> None:
    """Keep a signal, and hand it to the steps that wait for it."""
    if command.id and command.id in turn.state.heard:
        return
    refuse_closed(turn.state, "signal")
    check_signal(turn.plan, turn.state, command)
    received = ev.SignalReceived(
        command.id,
        command.name,
        command.key,
        command.payload,
        command.by,
        command.reason,
        command.at_ms,
    )
    turn.emit(received)
    if turn.state.status not in (st.RUNNING, st.FAILING):
        return
    waits = [
        path for path in turn.state.open_steps if turn.state.steps[path].kind == "wait"
    ]
    taken = [path for path in turn.in_order(waits) if take_signal(turn, path)]
    if taken:
        after_facts(turn, taken)


def close_child(turn: DecisionBuilder, command: cmd.CloseChild) -> None:
    """Go on with a step whose child run has ended."""
    path, step = command.step, turn.state.steps.get(command.step)
    if step is None or step.status != st.ACTIVE or step.child != command.child:
        return
    turn.emit(ev.ChildClosed(path, command.child, command.status))
    if command.status == st.COMPLETED:
        complete(turn, path, 0, command.output)
    elif command.status == st.CANCELLED:
        message = f"step {path}: its run {command.child} was cancelled"
        fail(turn, path, 0, terminal("ChildCancelled", message, child=command.child))
    else:
        error = {
            "type": "ChildFailed",
            "message": "it failed",
            **(command.error or {}),
            "child": command.child,
        }
        error.pop("at", None)  # a step of the child, not of this run
        fail(turn, path, 0, error)
    after_facts(turn, [path])
