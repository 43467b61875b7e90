"""Runs that have as many events as they may have: they fail, undo what they did, and are not opened again."""

from __future__ import annotations

from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.bounds import EVENT_LIMIT, event_limit
from openagents_json.workflow.core.decide.decision import (
    DecisionBuilder,
    terminal,
    withdraw,
)
from openagents_json.workflow.core.decide.scheduling import run
from openagents_json.workflow.core.decide.unwind import end_failed

_OPENS = (cmd.ReopenRun, cmd.OverrideStep)
"""Commands that open a closed run again."""


def refuse_beyond(turn: DecisionBuilder, command: cmd.Command, version: int) -> None:
    """Refuse to go on with a run that would end at its bound again.

    Raises Rejected.
    """
    if version < turn.bounds.events:
        return
    state = turn.state
    opens = state.closed and isinstance(command, _OPENS)
    if opens or isinstance(command, cmd.ForkRun):
        what = event_limit(turn.bounds)
        raise cmd.Rejected("event_limit", what, state.status)


def end_at_limit(turn: DecisionBuilder, version: int) -> None:
    """End a run at its bound; to undo what it did, it may have as many events again, and then it is closed at once."""
    if turn.state.status == st.RUNNING:
        turn.unfinished = False
        reason = event_limit(turn.bounds)
        error = terminal(EVENT_LIMIT, reason)
        end_failed(turn, error, None)
        run(turn)
        return
    is_unwinding = turn.state.status in (st.FAILING, st.CANCELLING)
    length = version + len(turn.events)
    if is_unwinding and length >= 2 * turn.bounds.events:
        _close(turn)


def _close(turn: DecisionBuilder) -> None:
    state = turn.state
    limit = event_limit(turn.bounds)
    withdraw(turn, state.open_steps, "the run has reached its limit of events")
    turn.forget()
    turn.unfinished = False
    if state.status == st.CANCELLING:
        turn.emit(ev.RunCancelled(state.reason))
        return
    error = dict(state.error or terminal(EVENT_LIMIT, limit))
    if error.get("type") != EVENT_LIMIT:
        error["message"] = f"{error.get('message')}; {limit}"
    turn.emit(ev.RunFailed(error, state.failed_step))
