"""`decide(plan, state, command) -> events`: everything that may happen to a run is decided here and nowhere else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from immutables import Map
from msgspec import Struct

from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.bounds import DEFAULT, Bounds
from openagents_json.workflow.core.decide import lifecycle, outcomes
from openagents_json.workflow.core.decide.annotations import (
    hold,
    note_ignored,
    redact,
)
from openagents_json.workflow.core.decide.decision import (
    ChildId,
    DecisionBuilder,
)
from openagents_json.workflow.core.decide.limits.length_limit import (
    end_at_limit,
    refuse_beyond,
)
from openagents_json.workflow.core.plan import Plan
from openagents_json.workflow.dispatch import entry
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
        lifecycle.catch_up_first(turn)
        decider = BEHIND_THE_REST[type(command)]
    decider(turn, command)
    is_too_long = version + len(turn.events) >= bounds.events and not turn.state.closed
    if is_too_long:
        end_at_limit(turn, version)
    return Decision(
        events=tuple(turn.events),
        state=turn.state,
        facts=turn.facts,
        open_after_facts=turn.open_after_facts,
        unfinished=turn.unfinished,
    )


def _start(turn: DecisionBuilder, command: cmd.StartRun) -> None:
    """Begin a run, and give it the signal that comes with it."""
    lifecycle.start(turn, command)
    if command.signal is not None:
        outcomes.send_signal(turn, command.signal)


BY_THEMSELVES: Final[Mapping[type[cmd.Command], Decider]] = dict(
    (
        entry(cmd.StartRun, _start),
        entry(cmd.RecordOutcomes, outcomes.record),
        entry(cmd.Advance, lifecycle.advance_run),
        entry(cmd.ReopenRun, lifecycle.reopen_run),
        entry(cmd.ForkRun, lifecycle.fork_run),
        entry(cmd.RedactRun, redact),
        entry(cmd.HoldRun, hold),
        entry(cmd.ImportRun, lifecycle.import_history),
        entry(cmd.NoteIgnored, note_ignored),
    )
)
"""How those commands are decided that decide on everything there is anyway, or on nothing."""

BEHIND_THE_REST: Final[Mapping[type[cmd.Command], Decider]] = dict(
    (
        entry(cmd.LoseLease, outcomes.lose_lease),
        entry(cmd.TimeOutStep, outcomes.time_out_step),
        entry(cmd.TimeOutRun, lifecycle.time_out_run),
        entry(cmd.PauseRun, lifecycle.pause),
        entry(cmd.ResumeRun, lifecycle.resume),
        entry(cmd.CancelRun, lifecycle.cancel),
        entry(cmd.FireTimer, outcomes.fire_timer),
        entry(cmd.SendSignal, outcomes.send_signal),
        entry(cmd.CloseChild, outcomes.close_child),
        entry(cmd.Admit, lifecycle.admit),
        entry(cmd.RefuseRun, lifecycle.refuse_run),
        entry(cmd.OverrideStep, lifecycle.override_step),
    )
)
"""How those are decided before which what is on the log, and nobody has decided on, is decided on."""
