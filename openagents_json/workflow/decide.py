"""`decide(plan, state, command) -> events`: everything that may happen to a run is decided here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

from openagents_json.workflow import commands as cmd
from openagents_json.workflow import events as ev
from openagents_json.workflow import state as st
from openagents_json.workflow.plan import Plan
from openagents_json.workflow.turn import Turn, advance, complete, end_failed, fail, follow, withdraw_open
from openagents_json.workflow.types import Json


@dataclass(frozen=True, slots=True)
class Decision:
    """Events and the state after them.

    The leading `facts` events are true whatever else happens; `open_after_facts` are the steps open after just those.
    """

    events: tuple[ev.Event, ...]
    state: st.RunState
    facts: int = 0
    open_after_facts: Mapping[str, bool] = field(default_factory=dict)


def decide(plan: Plan, state: st.RunState, command: cmd.Command) -> list[ev.Event]:
    """Say what happens; an empty list means that nothing does.

    Raises Rejected when the command does not fit the state.
    """
    return list(decision(plan, state, command).events)


def decision(
    plan: Plan, state: st.RunState, command: cmd.Command, refused: Mapping[str, Mapping[str, Json]] | None = None
) -> Decision:
    """Say what happens and what it leads to.

    `refused` are errors by step id ("" is the run's output) for payloads that the store would not take.
    Raises Rejected when the command does not fit the state.
    """
    if state.status == st.NEW and not isinstance(command, cmd.StartRun):
        raise cmd.Rejected("not_started", "the run has no events yet", state.status)
    turn = Turn(plan, state, refused or {})
    _DECIDE[type(command)](turn, command)
    return Decision(tuple(turn.events), turn.state, turn.facts, turn.open_after_facts)


def _start(turn: Turn, command: cmd.StartRun) -> None:
    if turn.state.status != st.NEW:
        raise cmd.Rejected("already_started", "the run exists already", turn.state.status)
    plan = turn.plan
    turn.emit(ev.RunStarted(command.run, plan.id, plan.version, plan.hash, command.inputs, command.labels))
    advance(turn)


def _record(turn: Turn, command: cmd.RecordOutcomes) -> None:
    known = []
    for outcome in command.outcomes:
        step = turn.state.steps.get(outcome.step)
        if step is None or step.status != st.STARTED or step.attempt != outcome.attempt:
            continue
        _fact(turn, outcome)
        known.append(outcome.step)
    turn.facts, turn.open_after_facts = len(turn.events), turn.state.open_steps
    _after_facts(turn, known)


def _fact(turn: Turn, outcome: cmd.Outcome) -> None:
    match outcome:
        case cmd.Completed(step, attempt, output):
            complete(turn, step, attempt, output)
        case cmd.Failed(step, attempt, error):
            fail(turn, step, attempt, error)
        case cmd.Expired(step, attempt, kind, limit_ms):
            fail(turn, step, attempt, _timeout_error(step, kind, limit_ms), kind)
        case cmd.Released(step, attempt, reason):
            _release(turn, step, attempt, reason)
        case _:
            assert_never(outcome)


def _release(turn: Turn, step: str, attempt: int, reason: str) -> None:
    if reason == "unknown component" and turn.state.steps[step].released >= MAX_RELEASES:
        component = turn.plan.steps[step].component
        message = f"step {step}: no worker that took it knows the component {component!r}; load it in the workers"
        fail(turn, step, attempt, {"type": "UnknownComponent", "message": message, "retryable": False})
    else:
        turn.emit(ev.StepReleased(step, attempt, reason, 1000 if reason == "unknown component" else 0))


MAX_RELEASES = 30
"""How often a step is given back for an unknown component before it fails."""


def _timeout_error(step: str, kind: str, limit_ms: int) -> dict[str, Any]:
    message = f"step {step}: {kind} limit of {limit_ms / 1000:g} s is over"
    return {"type": "TimeoutError", "message": message, "kind": kind}


def _after_facts(turn: Turn, steps: list[str]) -> None:
    if turn.state.status == st.RUNNING:
        follow(turn, steps)
    elif turn.state.status == st.CANCELLING:
        _finish_cancel(turn)


def _advance(turn: Turn, _: cmd.Advance) -> None:
    if turn.state.status == st.RUNNING:
        advance(turn)
    elif turn.state.status == st.CANCELLING:
        _finish_cancel(turn)


def _lose_lease(turn: Turn, command: cmd.LoseLease) -> None:
    step = turn.state.steps.get(command.step)
    if step is None or step.status != st.STARTED or step.fence != command.fence:
        return
    plan = turn.plan.steps[command.step]
    turn.emit(ev.StepLeaseLost(command.step, step.attempt, step.worker))
    if plan.effect == "at_most_once":
        message = f"step {command.step}: worker {step.worker} went silent, and the step may not be started twice"
        fail(turn, command.step, step.attempt, {"type": "UnknownOutcome", "message": message, "retryable": False})
    elif step.lost + 1 > plan.lost_limit:
        message = f"step {command.step}: {step.lost + 1} workers went silent while they ran it, the last {step.worker}"
        fail(turn, command.step, step.attempt, {"type": "WorkerLost", "message": message, "retryable": False})
    _after_facts(turn, [command.step])


def _time_out_step(turn: Turn, command: cmd.TimeOutStep) -> None:
    step = turn.state.steps.get(command.step)
    if step is None or step.status not in st.OPEN_STEP:
        return
    limits = turn.plan.steps[command.step].timeouts
    match command.kind:
        case "start_to_close" if step.status == st.STARTED and step.fence == command.fence:
            limit = limits.start_to_close_ms
        case "schedule_to_start" if step.status in st.CLAIMABLE:
            limit = limits.schedule_to_start_ms
        case "total":
            limit = limits.total_ms
        case _:
            return
    fail(turn, command.step, step.attempt, _timeout_error(command.step, command.kind, limit), command.kind)
    _after_facts(turn, [command.step])


def _time_out_run(turn: Turn, _: cmd.TimeOutRun) -> None:
    if turn.state.closed:
        return
    message = f"the run's time limit of {turn.plan.timeout_ms / 1000:g} s is over"
    end_failed(turn, {"type": "TimeoutError", "message": message, "kind": "run", "retryable": False}, None)


def _pause(turn: Turn, command: cmd.PauseRun) -> None:
    _refuse_closed(turn, "pause")
    if turn.state.status == st.CANCELLING:
        raise cmd.Rejected("cancelling", "the run is being cancelled and cannot be paused", turn.state.status)
    if turn.state.status == st.RUNNING:
        turn.emit(ev.RunPaused(command.reason))


def _resume(turn: Turn, command: cmd.ResumeRun) -> None:
    _refuse_closed(turn, "resume")
    if turn.state.status == st.PAUSED:
        turn.emit(ev.RunResumed(command.reason))
        advance(turn)
    elif turn.state.status == st.CANCELLING:
        raise cmd.Rejected("cancelling", "the run is being cancelled and cannot be resumed", turn.state.status)


def _cancel(turn: Turn, command: cmd.CancelRun) -> None:
    if turn.state.status == st.CANCELLED:
        return
    _refuse_closed(turn, "cancel")
    if turn.state.status != st.CANCELLING:
        turn.emit(ev.RunCancelRequested(command.reason))
    if command.force:
        withdraw_open(turn, "the run was cancelled")
    _finish_cancel(turn)


def _finish_cancel(turn: Turn) -> None:
    withdraw_open(turn, "the run was cancelled", keep_started=True)
    if not turn.state.open_steps:
        turn.emit(ev.RunCancelled(turn.state.reason))


def _note(turn: Turn, command: cmd.NoteIgnored) -> None:
    if not turn.state.closed and command.step in turn.state.steps:
        turn.emit(ev.StepOutcomeIgnored(command.step, command.attempt, command.worker, command.outcome))


def _refuse_closed(turn: Turn, what: str) -> None:
    if turn.state.closed:
        status = turn.state.status
        raise cmd.Rejected("closed", f"the run is {status}: there is nothing to {what}", status)


_DECIDE: dict[type[cmd.Command], Callable[[Turn, Any], None]] = {
    cmd.StartRun: _start,
    cmd.RecordOutcomes: _record,
    cmd.Advance: _advance,
    cmd.LoseLease: _lose_lease,
    cmd.TimeOutStep: _time_out_step,
    cmd.TimeOutRun: _time_out_run,
    cmd.PauseRun: _pause,
    cmd.ResumeRun: _resume,
    cmd.CancelRun: _cancel,
    cmd.NoteIgnored: _note,
}
