"""`decide(plan, state, command) -> events`: everything that may happen to a run is decided here and nowhere else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, assert_never

from immutables import Map
from msgspec import Struct

from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.bounds import DEFAULT, Bounds
from openagents_json.workflow.core.decide.annotations import (
    hold,
    note_ignored,
    redact,
    refuse_closed,
    refuse_erased,
)
from openagents_json.workflow.core.decide.concurrency_owner import still_needed
from openagents_json.workflow.core.decide.decision import (
    ChildId,
    DecisionBuilder,
    complete,
    expression_error,
    fail,
    fail_group,
    terminal,
    timeout_error,
)
from openagents_json.workflow.core.decide.elapsed import MAX_ELAPSED, too_late
from openagents_json.workflow.core.decide.length_limit import (
    end_at_limit,
    refuse_beyond,
)
from openagents_json.workflow.core.decide.reopen import fork, override, reopen
from openagents_json.workflow.core.decide.scheduling import (
    advance,
    catch_up,
    follow,
    run,
)
from openagents_json.workflow.core.decide.signals import check_signal
from openagents_json.workflow.core.decide.step_start import (
    gates_of,
    start_child,
    take_signal,
    timer_won,
)
from openagents_json.workflow.core.decide.takeover import import_run, unknown_outcome
from openagents_json.workflow.core.decide.unwind import cancel_open, end_failed
from openagents_json.workflow.core.paths import COMPENSATE
from openagents_json.workflow.core.plan import Plan
from openagents_json.workflow.dispatch import entry
from openagents_json.workflow.errors import ExpressionFailed
from openagents_json.workflow.types import Json

Decider = Callable[[DecisionBuilder, Any], None]
"""Emits what follows from a command, and decides what follows from that."""


class Decision(Struct, frozen=True, gc=False):
    """Events and the state after them.

    The leading `facts` events are true whatever else happens; `open_after_facts` are the steps open after just those.
    `unfinished` tells that there is more to decide than one commit should hold.
    """

    events: tuple[ev.Event, ...]
    state: st.RunState
    facts: int = 0
    open_after_facts: Mapping[str, bool] = Map()
    unfinished: bool = False


def child_id(name: str) -> str:
    """Return the id of a child run where partitions do not matter."""
    return f"0-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:26]}"


def decide(plan: Plan, state: st.RunState, command: cmd.Command) -> list[ev.Event]:
    """Say what happens, an empty list if nothing does; raises Rejected when the command does not fit the state."""
    return list(decision(plan, state, command).events)


def decision(
    plan: Plan,
    state: st.RunState,
    command: cmd.Command,
    refused: Mapping[str, Mapping[str, Json]] | None = None,
    child: ChildId = child_id,
    bounds: Bounds = DEFAULT,
    version: int = 0,
    now_ms: int = 0,
) -> Decision:
    """Say what happens and what it leads to.

    `refused` are errors by step ("" is the run's output) for payloads that the store would not take; `child` gives the
    id of a child run from what makes it unique; `version` is how many events the run has, which `bounds` limit;
    `now_ms` is the time by the store's clock, asked for where `needs_time`, 0 if it is not known. Raises Rejected when
    the command does not fit the state.
    """
    if state.status == st.NEW and not isinstance(command, cmd.StartRun):
        raise cmd.Rejected("not_started", "the run has no events yet", state.status)
    turn = DecisionBuilder(plan, state, refused or {}, child, bounds, now_ms)
    refuse_beyond(turn, command, version)
    decider = BY_THEMSELVES.get(type(command))
    if decider is None:
        _catch_up(turn)
        decider = BEHIND_THE_REST[type(command)]
    decider(turn, command)
    if version + len(turn.events) >= bounds.events and not turn.state.closed:
        end_at_limit(turn, version)
    return Decision(
        tuple(turn.events),
        turn.state,
        turn.facts,
        turn.open_after_facts,
        turn.unfinished,
    )


def _start(turn: DecisionBuilder, command: cmd.StartRun) -> None:
    if turn.state.status != st.NEW:
        raise cmd.Rejected(
            "already_started", "the run exists already", turn.state.status
        )
    plan = turn.plan
    started = ev.RunStarted(
        command.run,
        plan.id,
        plan.version,
        plan.hash,
        command.inputs,
        command.labels,
        command.parent,
    )
    turn.emit(started)
    if command.cancelled:
        turn.emit(ev.RunCancelRequested(command.cancelled, False))
        turn.emit(ev.RunCancelled(command.cancelled))
        return
    if not plan.gates:
        advance(turn)
        return
    try:
        gates = still_needed(gates_of(turn, plan.gates, ""), command.parent)
    except ExpressionFailed as error:
        end_failed(turn, expression_error(error), None)
        run(turn)
        return
    if not gates:
        advance(turn)
        return
    turn.emit(ev.RunQueued(gates, max(gate.per_ms for gate in plan.gates)))


def _record(turn: DecisionBuilder, command: cmd.RecordOutcomes) -> None:
    known = []
    for outcome in command.outcomes:
        step = turn.state.steps.get(outcome.step)
        if step is None or step.status != st.STARTED or step.attempt != outcome.attempt:
            continue
        _fact(turn, outcome)
        known.append(outcome.step)
    turn.facts, turn.open_after_facts = len(turn.events), turn.state.open_steps
    _after_facts(turn, known)


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


def _after_facts(turn: DecisionBuilder, steps: Iterable[str]) -> None:
    if turn.state.status in (st.RUNNING, st.FAILING):
        follow(turn, steps)
    elif turn.state.status == st.CANCELLING:
        _finish_cancel(turn, steps)


def _catch_up(turn: DecisionBuilder) -> None:
    """Decide on what is on the log and nobody has decided on, before anything else happens to the run."""
    state = turn.state
    if state.status == st.CANCELLING and (
        state.pending or state.unsettled or not state.open_steps
    ):
        _finish_cancel(
            turn,
            [*(path for path, _ in state.pending), *turn.in_order(state.unsettled)],
        )
    elif state.status == st.FAILING or (
        state.status == st.RUNNING and (state.pending or state.unsettled)
    ):
        catch_up(turn)


def _advance(turn: DecisionBuilder, _: cmd.Advance) -> None:
    if turn.state.status in (st.RUNNING, st.FAILING):
        advance(turn)
    elif turn.state.status == st.CANCELLING:
        _finish_cancel(turn, turn.in_order(turn.state.open_steps))


def _lose_lease(turn: DecisionBuilder, command: cmd.LoseLease) -> None:
    step = turn.state.steps.get(command.step)
    if step is None or step.status != st.STARTED or step.fence != command.fence:
        return
    plan = turn.plan.of(command.step)
    if plan.effect == "at_most_once" and not command.begun:
        turn.emit(ev.StepReleased(command.step, step.attempt, st.NEVER_BEGUN))
        _after_facts(turn, [command.step])
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
    _after_facts(turn, [command.step])


def _time_out_step(turn: DecisionBuilder, command: cmd.TimeOutStep) -> None:
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
    _after_facts(turn, [command.step])


def _time_out_run(turn: DecisionBuilder, _: cmd.TimeOutRun) -> None:
    if turn.state.closed or turn.state.status in (st.FAILING, st.CANCELLING):
        return
    message = f"the run's time limit of {turn.plan.timeout_ms / 1000:g} s is over"
    end_failed(turn, terminal("TimeoutError", message, kind="run"), None)
    run(turn)


def _fire_timer(turn: DecisionBuilder, command: cmd.FireTimer) -> None:
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
    _after_facts(turn, [path])


def _send_signal(turn: DecisionBuilder, command: cmd.SendSignal) -> None:
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
        _after_facts(turn, taken)


def _close_child(turn: DecisionBuilder, command: cmd.CloseChild) -> None:
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
    _after_facts(turn, [path])


def _admit(turn: DecisionBuilder, command: cmd.Admit) -> None:
    if not command.step:
        if turn.state.status == st.QUEUED:
            turn.emit(ev.RunAdmitted(command.fences))
            advance(turn)
        return
    step = turn.state.steps.get(command.step)
    if step is not None and step.status == st.GATED:
        turn.emit(ev.StepAdmitted(command.step, command.fences))


def _reopen(turn: DecisionBuilder, command: cmd.ReopenRun) -> None:
    refuse_erased(turn.state)
    reopen(turn, command)
    advance(turn)


def _override(turn: DecisionBuilder, command: cmd.OverrideStep) -> None:
    was_closed = turn.state.closed
    if (
        was_closed and turn.events
    ):  # it ends with what nobody had decided on: that is stored before it opens again
        refuse_closed(turn.state, "override in it now")
    refuse_erased(turn.state)
    override(turn, command)
    if was_closed:
        advance(turn)
    else:
        _after_facts(turn, [command.step])


def _fork(turn: DecisionBuilder, command: cmd.ForkRun) -> None:
    fork(turn, command)
    advance(turn)


def _import(turn: DecisionBuilder, command: cmd.ImportRun) -> None:
    import_run(turn, command)
    _advance(turn, cmd.Advance())


def _refuse_run(turn: DecisionBuilder, command: cmd.RefuseRun) -> None:
    if turn.state.status == st.QUEUED:
        turn.emit(ev.RunFailed(command.error))


def _pause(turn: DecisionBuilder, command: cmd.PauseRun) -> None:
    refuse_closed(turn.state, "pause")
    if turn.state.status in (st.CANCELLING, st.FAILING, st.QUEUED):
        status = turn.state.status
        raise cmd.Rejected(status, f"the run is {status} and cannot be paused", status)
    if turn.state.status == st.RUNNING:
        turn.emit(ev.RunPaused(command.reason))


def _resume(turn: DecisionBuilder, command: cmd.ResumeRun) -> None:
    refuse_closed(turn.state, "resume")
    if turn.state.status == st.PAUSED:
        turn.emit(ev.RunResumed(command.reason))
        advance(turn)
    elif turn.state.status in (st.CANCELLING, st.FAILING):
        status = turn.state.status
        raise cmd.Rejected(status, f"the run is {status} and cannot be resumed", status)


def _cancel(turn: DecisionBuilder, command: cmd.CancelRun) -> None:
    if turn.state.status == st.CANCELLED:
        return
    refuse_closed(turn.state, "cancel")
    if turn.state.status == st.FAILING:
        raise cmd.Rejected(
            "failing",
            "the run is failing already: what it did is being undone",
            turn.state.status,
        )
    if turn.state.status != st.CANCELLING:
        turn.emit(ev.RunCancelRequested(command.reason, command.compensate))
    _finish_cancel(turn, (), force=command.force)


def _finish_cancel(
    turn: DecisionBuilder, steps: Iterable[str], *, force: bool = False
) -> None:
    cancel_open(turn, keep_started=not force)
    turn.settle.extend(path for path in steps if path.endswith(COMPENSATE))
    run(turn)


BY_THEMSELVES: Final[Mapping[type[cmd.Command], Decider]] = dict(
    (
        entry(cmd.StartRun, _start),
        entry(cmd.RecordOutcomes, _record),
        entry(cmd.Advance, _advance),
        entry(cmd.ReopenRun, _reopen),
        entry(cmd.ForkRun, _fork),
        entry(cmd.RedactRun, redact),
        entry(cmd.HoldRun, hold),
        entry(cmd.ImportRun, _import),
        entry(cmd.NoteIgnored, note_ignored),
    )
)
"""How those commands are decided that decide on everything there is anyway, or on nothing."""

BEHIND_THE_REST: Final[Mapping[type[cmd.Command], Decider]] = dict(
    (
        entry(cmd.LoseLease, _lose_lease),
        entry(cmd.TimeOutStep, _time_out_step),
        entry(cmd.TimeOutRun, _time_out_run),
        entry(cmd.PauseRun, _pause),
        entry(cmd.ResumeRun, _resume),
        entry(cmd.CancelRun, _cancel),
        entry(cmd.FireTimer, _fire_timer),
        entry(cmd.SendSignal, _send_signal),
        entry(cmd.CloseChild, _close_child),
        entry(cmd.Admit, _admit),
        entry(cmd.RefuseRun, _refuse_run),
        entry(cmd.OverrideStep, _override),
    )
)
"""How those are decided before which what is on the log, and nobody has decided on, is decided on."""
