"""Whether a signal can be for a run: its name against the document, its payload against the schema."""

from __future__ import annotations

import difflib

from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.evaluate import value_of
from openagents_json.workflow.core.plan import Plan, SignalWait
from openagents_json.workflow.core.template_view import RunView
from openagents_json.workflow.errors import ExpressionFailed
from openagents_json.workflow.expressions.budget import Together
from openagents_json.workflow.expressions.payload_schema import first_problem


class _Holder:
    """A plan and a state, for a view of them."""

    def __init__(self, plan: Plan, state: st.RunState) -> None:
        self.plan = plan
        self.state = state
        self.together = Together()


def check_signal(plan: Plan, state: st.RunState, command: cmd.SendSignal) -> None:
    """Refuse a signal that no step of the document can take.

    Raises Rejected.
    """
    view = RunView(_Holder(plan, state))
    named = [(wait, _name(wait, view)) for wait in plan.signals]
    fits = [wait for wait, name in named if name in (None, command.name)]
    if not fits:
        names = sorted({name for _, name in named if name is not None})
        raise cmd.Rejected(
            "unknown_signal", _unknown(state, command.name, names), state.status
        )
    problems = [first_problem(wait.schema, command.payload) for wait in fits]
    if all(problems):
        raise cmd.Rejected(
            "invalid_payload", f"signal {command.name!r}: {problems[0]}", state.status
        )


def _name(wait: SignalWait, view: RunView) -> str | None:
    """Return the name that a step waits for, None while it depends on what is not known here."""
    if wait.name.parts:
        try:
            name = value_of(wait.name, view)
        except ExpressionFailed:
            return None
        return name if isinstance(name, str) else None
    return str(value_of(wait.name, view))


def _unknown(state: st.RunState, name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    waits = (
        f"it waits for {', '.join(map(repr, names))}"
        if names
        else "it waits for no signals"
    )
    return f"no step of workflow {state.workflow!r} waits for signal {name!r}: {waits}{hint}"
