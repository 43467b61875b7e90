"""Runs without a store: the core is driven by hand, one command at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from openagents_json.work_index import IndexChanges
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.decide.decider import decision
from openagents_json.workflow.core.event_types import from_data, to_data, type_name
from openagents_json.workflow.core.evolve import evolve
from openagents_json.workflow.core.indexes.changes import changes
from openagents_json.workflow.core.plan import Plan
from openagents_json.workflow.language.compile import compile_plan
from openagents_json.workflow.language.validate import validate


def plan_of(document: Mapping[str, Any]) -> Plan:
    """Compile a document whose components need no lookup."""
    report = validate(document)
    assert report.valid, report.errors
    return compile_plan({"document": document, "bindings": {}})


@dataclass
class Simulation:
    """A run in memory, with the index that the store would keep."""

    plan: Plan
    state: st.RunState = field(default_factory=st.initial)
    history: list[ev.Event] = field(default_factory=list)
    claimable: dict[str, None] = field(default_factory=dict)
    fence: int = 0
    overtaken: bool = False

    def give(self, command: cmd.Command) -> list[ev.Event]:
        """Decide on a command and apply what happens; each event has to change the state."""
        made = decision(self.plan, self.state, command)
        moved = changes(self.plan, self.state, made.events, made.state)
        for event in made.events:
            after = evolve(self.state, from_data(type_name(event), to_data(event)))
            assert after is not self.state, f"{event} does not apply to {self.state}"
            self.state = after
            self.history.append(event)
        assert self.state == made.state
        self._index(moved)
        return list(made.events)

    def give_facts(self, command: cmd.Command) -> None:
        """Store the facts of a command without its decision: what a worker leaves that others overtook."""
        made = decision(self.plan, self.state, command)
        self.overtaken = True
        for event in made.events[: made.facts]:
            self.state = evolve(self.state, event)
            self.history.append(event)

    def _index(self, moved: IndexChanges) -> None:
        for step in (*moved.closed, *moved.suspended):
            self.claimable.pop(step, None)
        for opened in moved.ready:
            self.claimable[opened.step] = None
        for reopened in moved.requeued:
            self.claimable[reopened.step] = None
        for step in moved.resumed:
            self.claimable[step] = None

    def start(self, **inputs: Any) -> list[ev.Event]:
        return self.give(cmd.StartRun("0-r", inputs))

    def claim(self, step: str) -> st.StepState:
        """Take a claimable step."""
        del self.claimable[step]
        self.fence += 1
        event = ev.StepStarted(step, self.state.steps[step].attempt + 1, str(self.fence), "w")
        after = evolve(self.state, event)
        assert after is not self.state
        self.state = after
        self.history.append(event)
        return self.state.steps[step]

    def complete(self, step: str, output: Any = None) -> list[ev.Event]:
        attempt = self.claim(step).attempt if step in self.claimable else self.state.steps[step].attempt
        return self.give(cmd.RecordOutcomes((cmd.Completed(step, attempt, output),)))

    def fail(self, step: str, kind: str = "Boom", **error: Any) -> list[ev.Event]:
        attempt = self.claim(step).attempt if step in self.claimable else self.state.steps[step].attempt
        described = {"type": kind, "message": "it failed", "retryable": True, **error}
        return self.give(cmd.RecordOutcomes((cmd.Failed(step, attempt, described),)))

    def statuses(self) -> dict[str, str]:
        return {name: step.status for name, step in self.state.steps.items()}


def steps(*specs: Mapping[str, Any], **document: Any) -> dict[str, Any]:
    """Make a document of steps that call a component `c`."""
    return {"id": "w", "steps": [{"component": "c", **spec} for spec in specs], **document}
