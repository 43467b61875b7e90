"""What is noted about a run beside its course: holds, and payloads that are no more."""

from __future__ import annotations

from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.decide.decision import DecisionBuilder


def redact(turn: DecisionBuilder, command: cmd.RedactRun) -> None:
    """Note that payloads are no more.

    Raises Rejected when the run is open, or held.
    """
    state = turn.state
    if not state.closed:
        what = f"the run is {state.status}: its steps still need what would be erased; cancel it, or wait for its end"
        raise cmd.Rejected("open", what, state.status)
    if state.held:
        what = "the run is held: release it before anything of it is erased"
        raise cmd.Rejected("held", what, state.status)
    redacted = ev.RunRedacted(
        how=command.how,
        erased=command.erased,
        failures=command.failures,
        labels=command.labels,
        reason=command.reason,
        metadata=command.metadata,
    )
    turn.emit(redacted)


def hold(turn: DecisionBuilder, command: cmd.HoldRun) -> None:
    """Hold the run or release it; what is so already stays so."""
    if turn.state.held == command.on:
        return
    change = ev.RunHeld if command.on else ev.RunHoldReleased
    turn.emit(change(command.reason))


def refuse_erased(state: st.RunState) -> None:
    """Refuse to go on with a run whose payloads are no more.

    Raises Rejected.
    """
    if state.erased:
        what = "payloads of the run are erased: what it would go on with is not there; start a new run"
        raise cmd.Rejected("erased", what, state.status)


def refuse_closed(state: st.RunState, what: str) -> None:
    """Refuse what only an open run can do.

    Raises Rejected.
    """
    if state.closed:
        message = f"the run is {state.status}: there is nothing to {what}"
        raise cmd.Rejected("closed", message, state.status)


def note_ignored(turn: DecisionBuilder, command: cmd.NoteIgnored) -> None:
    """Keep on record that a late outcome was refused, as long as the run is open."""
    if turn.state.closed or command.step not in turn.state.steps:
        return
    ignored = ev.StepOutcomeIgnored(
        step=command.step,
        attempt=command.attempt,
        worker=command.worker,
        outcome=command.outcome,
        usage=command.usage,
    )
    turn.emit(ignored)
