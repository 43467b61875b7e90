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
from openagents_json.workflow.types import Json


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
    named = _named(plan, state)
    fits = [wait for wait, name in named if name in (None, command.name)]
    if not fits:
        names = {name for _, name in named} - {None}
        what = _unknown(state, command.name, sorted(map(str, names)))
        raise cmd.Rejected("unknown_signal", what, state.status)
    problems = [first_problem(wait.schema, command.payload) for wait in fits]
    if all(problems):
        what = f"signal {command.name!r}: {problems[0]}"
        raise cmd.Rejected("invalid_payload", what, state.status)


def schemas_of(plan: Plan, state: st.RunState, name: str) -> list[Json]:
    """Return the schemas, None for none, of the steps that may take a signal of that name."""
    named = _named(plan, state)
    return [wait.schema for wait, awaited in named if awaited in (None, name)]


def _named(plan: Plan, state: st.RunState) -> list[tuple[SignalWait, str | None]]:
    view = RunView(_Holder(plan, state))
    return [(wait, _name(wait, view)) for wait in plan.signals]


def _name(wait: SignalWait, view: RunView) -> str | None:
    """Return the name that a step waits for, None while it depends on what is not known here."""
    if not wait.name.parts:
        return str(value_of(wait.name, view))
    try:
        name = value_of(wait.name, view)
    except ExpressionFailed:
        return None
    return name if isinstance(name, str) else None


def _unknown(state: st.RunState, name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    awaited = ", ".join(map(repr, names)) or "no signals"
    return f"no step of workflow {state.workflow!r} waits for signal {name!r}: it waits for {awaited}{hint}"
