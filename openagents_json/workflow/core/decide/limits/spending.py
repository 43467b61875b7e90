"""Runs that have used more than their budget allows: they fail, pause or ask before anything more begins.

What is under way is not stopped: its usage is known when it ends. So a run of parallel steps may go over its budget by
what was under way when it was used up.
"""

from __future__ import annotations

from typing import Final

from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.decide.decision import DecisionBuilder, terminal
from openagents_json.workflow.core.decide.unwind import end_failed
from openagents_json.workflow.core.usage import (
    ANSWER,
    ASK,
    PAUSE,
    Budget,
    excess,
    together,
)

EXCEEDED: Final = "BudgetExceeded"
"""The type of the error of a run that has used more than it may."""

QUESTION: Final = f'; it asks: signal {ANSWER!r} with {{"approve": true}} lets it use as much again, false ends it'
QUESTIONS: Final = {PAUSE: "", ASK: QUESTION}
"""What a run that pauses says behind the reason, by what its budget wants."""


def stops_for_budget(turn: DecisionBuilder) -> bool:
    """End or pause a run that has used too much; tell whether it did.

    A run that has nothing more to begin is left to end: what is paid for should not be lost.
    """
    budget = together(turn.plan.budget, turn.state.budget)
    if budget is None:  # nearly no run has one
        return False
    since = turn.state.used.minus(turn.state.granted_at)
    over = excess(budget, since)
    # Whether anything is left to begin takes a look at all steps: only a run that is over its budget is asked.
    stops = bool(over) and _goes_on(turn)
    if stops:
        _stop(turn, budget, ", ".join(over))
    return stops


def _goes_on(turn: DecisionBuilder) -> bool:
    """Tell whether something more may begin in a run."""
    state = turn.state
    is_begun = map(state.steps.__contains__, turn.plan.order)
    is_left = bool(state.open_steps) or not all(is_begun)
    return state.status == st.RUNNING and is_left


def _stop(turn: DecisionBuilder, budget: Budget, over: str) -> None:
    reason = f"the run is over its budget: {over}"
    turn.forget()
    turn.unfinished = False
    question = QUESTIONS.get(budget.on_exceeded)
    if question is None:
        end_failed(turn, terminal(EXCEEDED, reason), None)
        return
    paused = ev.RunPaused(reason + question, budget.on_exceeded)
    turn.emit(paused)


def is_answer(turn: DecisionBuilder, command: cmd.SendSignal) -> bool:
    """Tell whether a signal answers a run that asks whether it may go on.

    Raises Rejected when it says neither yes nor no.
    """
    state = turn.state
    asking = (st.PAUSED, ASK, ANSWER)
    answers = (state.status, state.over_budget, command.name) == asking
    if answers:
        _approval(command, state.status)
    return answers


def take_answer(turn: DecisionBuilder, command: cmd.SendSignal) -> bool:
    """Let a run that asked go on, or end it; tell whether it goes on."""
    approved = _approval(command, turn.state.status)
    if approved:
        turn.emit(ev.RunResumed(command.reason))
    else:
        reason = turn.state.reason.removesuffix(QUESTION)
        error = terminal(EXCEEDED, reason)
        end_failed(turn, error, None)
    return approved


def _approval(command: cmd.SendSignal, status: str) -> bool:
    """Return what an answer says.

    Raises Rejected when it says neither yes nor no.
    """
    match command.payload:
        case {"approve": bool(approved)}:
            return approved
    yes_or_no = '{"approve": true} or {"approve": false}'
    what = f"signal {ANSWER!r}: the payload is {yes_or_no}"
    raise cmd.Rejected("invalid_payload", what, status)
