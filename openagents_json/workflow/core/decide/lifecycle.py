"""A run as a whole: how it begins, pauses, goes on and ends, and what goes on in it in each of its statuses."""

from __future__ import annotations

from collections.abc import Iterable

from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.concurrency_owner import still_needed
from openagents_json.workflow.core.decide.annotations import (
    refuse_closed,
    refuse_erased,
)
from openagents_json.workflow.core.decide.decision import (
    DecisionBuilder,
    expression_error,
    terminal,
)
from openagents_json.workflow.core.decide.reopen import fork, override, reopen
from openagents_json.workflow.core.decide.scheduling import (
    advance,
    catch_up,
    follow,
    run,
)
from openagents_json.workflow.core.decide.step_start import gates_of
from openagents_json.workflow.core.decide.takeover import import_run
from openagents_json.workflow.core.decide.unwind import cancel_open, end_failed
from openagents_json.workflow.core.paths import COMPENSATE
from openagents_json.workflow.errors import ExpressionFailed


def after_facts(turn: DecisionBuilder, steps: Iterable[str]) -> None:
    """Decide what facts about steps lead to, as the status of the run has it."""
    if turn.state.status in (st.RUNNING, st.FAILING):
        follow(turn, steps)
    elif turn.state.status == st.CANCELLING:
        _finish_cancel(turn, steps)


def catch_up_first(turn: DecisionBuilder) -> None:
    """Decide on what is on the log and nobody has decided on, before anything else happens to the run."""
    state = turn.state
    is_undecided = bool(state.pending or state.unsettled)
    match state.status:
        case st.FAILING:
            catch_up(turn)
        case st.RUNNING if is_undecided:
            catch_up(turn)
        case st.CANCELLING if is_undecided or not state.open_steps:
            pending = [path for path, _ in state.pending]
            unsettled = turn.in_order(state.unsettled)
            _finish_cancel(turn, [*pending, *unsettled])


def advance_run(turn: DecisionBuilder, _: cmd.Advance) -> None:
    """Decide whatever the state implies."""
    if turn.state.status in (st.RUNNING, st.FAILING):
        advance(turn)
    elif turn.state.status == st.CANCELLING:
        _finish_cancel(turn, turn.in_order(turn.state.open_steps))


def _finish_cancel(
    turn: DecisionBuilder, steps: Iterable[str], *, force: bool = False
) -> None:
    cancel_open(turn, keep_started=not force)
    turn.settle.extend(path for path in steps if path.endswith(COMPENSATE))
    run(turn)


def start(turn: DecisionBuilder, command: cmd.StartRun) -> None:
    """Begin a run, or have it wait for its turn."""
    if turn.state.status != st.NEW:
        status = turn.state.status
        raise cmd.Rejected("already_started", "the run exists already", status)
    plan = turn.plan
    started = ev.RunStarted(
        run=command.run,
        workflow=plan.id,
        version=plan.version,
        definition=plan.hash,
        inputs=command.inputs,
        labels=command.labels,
        parent=command.parent,
        budget=command.budget,
        name=command.name,
    )
    turn.emit(started)
    if command.cancelled:
        turn.emit(ev.RunCancelRequested(command.cancelled, False))
        turn.emit(ev.RunCancelled(command.cancelled))
        return
    try:
        gates = still_needed(gates_of(turn, plan.gates, ""), command.parent)
    except ExpressionFailed as error:
        end_failed(turn, expression_error(error), None)
        run(turn)
        return
    key, quiet_ms = command.debounced or ("", 0)
    if quiet_ms:
        gates = (*gates, ["debounce", key, 1, quiet_ms, "replace"])
    if not gates:
        advance(turn)
        return
    delay_ms = max([gate.per_ms for gate in plan.gates] + [quiet_ms])
    turn.emit(ev.RunQueued(gates, delay_ms))


def pause(turn: DecisionBuilder, command: cmd.PauseRun) -> None:
    """Let nothing more begin."""
    refuse_closed(turn.state, "pause")
    if turn.state.status in (st.CANCELLING, st.FAILING, st.QUEUED):
        status = turn.state.status
        raise cmd.Rejected(status, f"the run is {status} and cannot be paused", status)
    if turn.state.status == st.RUNNING:
        turn.emit(ev.RunPaused(command.reason))


def resume(turn: DecisionBuilder, command: cmd.ResumeRun) -> None:
    """Let a paused run go on."""
    refuse_closed(turn.state, "resume")
    if turn.state.status == st.PAUSED:
        turn.emit(ev.RunResumed(command.reason))
        advance(turn)
    elif turn.state.status in (st.CANCELLING, st.FAILING):
        status = turn.state.status
        raise cmd.Rejected(status, f"the run is {status} and cannot be resumed", status)


def cancel(turn: DecisionBuilder, command: cmd.CancelRun) -> None:
    """End a run, with what has to be undone."""
    if turn.state.status == st.CANCELLED:
        return
    refuse_closed(turn.state, "cancel")
    if turn.state.status == st.FAILING:
        what = "the run is failing already: what it did is being undone"
        raise cmd.Rejected("failing", what, turn.state.status)
    if turn.state.status != st.CANCELLING:
        turn.emit(ev.RunCancelRequested(command.reason, command.compensate))
    _finish_cancel(turn, (), force=command.force)


def time_out_run(turn: DecisionBuilder, _: cmd.TimeOutRun) -> None:
    """End a run whose time is over."""
    is_ending = turn.state.closed or turn.state.status in (st.FAILING, st.CANCELLING)
    if is_ending:
        return
    message = f"the run's time limit of {turn.plan.timeout_ms / 1000:g} s is over"
    end_failed(turn, terminal("TimeoutError", message, kind="run"), None)
    run(turn)


def refuse_run(turn: DecisionBuilder, command: cmd.RefuseRun) -> None:
    """End a queued run that is not let in."""
    if turn.state.status == st.QUEUED:
        turn.emit(ev.RunFailed(command.error))


def admit(turn: DecisionBuilder, command: cmd.Admit) -> None:
    """Let a run or a step begin that waited at gates."""
    if not command.step:
        if turn.state.status == st.QUEUED:
            turn.emit(ev.RunAdmitted(command.fences))
            advance(turn)
        return
    step = turn.state.steps.get(command.step, st.NO_STEP)
    if step.status == st.GATED:
        turn.emit(ev.StepAdmitted(command.step, command.fences))


def reopen_run(turn: DecisionBuilder, command: cmd.ReopenRun) -> None:
    """Let a closed run go on."""
    refuse_erased(turn.state)
    reopen(turn, command)
    advance(turn)


def override_step(turn: DecisionBuilder, command: cmd.OverrideStep) -> None:
    """Take from somebody how a step ended, and go on from there."""
    was_closed = turn.state.closed
    if was_closed and turn.events:
        # It ends with what nobody had decided on: that is stored before it opens again.
        refuse_closed(turn.state, "override in it now")
    refuse_erased(turn.state)
    override(turn, command)
    if was_closed:
        advance(turn)
    else:
        after_facts(turn, [command.step])


def fork_run(turn: DecisionBuilder, command: cmd.ForkRun) -> None:
    """Go another way than the run whose events these are."""
    fork(turn, command)
    advance(turn)


def import_history(turn: DecisionBuilder, command: cmd.ImportRun) -> None:
    """Take over a run from another store."""
    import_run(turn, command)
    advance_run(turn, cmd.Advance())
