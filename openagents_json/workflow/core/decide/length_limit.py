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
    opens = isinstance(command, cmd.ForkRun) or (
        turn.state.closed and isinstance(command, _OPENS)
    )
    if opens and version >= turn.bounds.events:
        raise cmd.Rejected("event_limit", event_limit(turn.bounds), turn.state.status)


def end_at_limit(turn: DecisionBuilder, version: int) -> None:
    """End a run at its bound; to undo what it did, it may have as many events again, and then it is closed at once."""
    if turn.state.status == st.RUNNING:
        turn.unfinished = False
        end_failed(turn, terminal(EVENT_LIMIT, event_limit(turn.bounds)), None)
        run(turn)
    elif (
        turn.state.status in (st.FAILING, st.CANCELLING)
        and version + len(turn.events) >= 2 * turn.bounds.events
    ):
        _close(turn)


def _close(turn: DecisionBuilder) -> None:
    state, limit = turn.state, event_limit(turn.bounds)
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
