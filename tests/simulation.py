"""Runs without a store: the core is driven by hand, one command at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openagents_json.simulation.lives import Lives, SimulatedRun
from openagents_json.statuses import CLAIMED_RUN
from openagents_json.work_index import DueKey, DueKind
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.plan import Plan
from openagents_json.workflow.language.compile import compile_plan
from openagents_json.workflow.language.validate import validate


def plan_of(document: Mapping[str, Any]) -> Plan:
    """Compile a document whose components need no lookup."""
    report = validate(document)
    assert report.valid, report.errors
    return compile_plan({"document": document, "bindings": {}})


class Simulation:
    """A run in a store in memory, moved by hand: time goes on only where a retry has to be claimed."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.now_ms = 0
        self.overtaken = False
        self._life = SimulatedRun("0-r", plan)
        self._runs = Lives(lambda: self.now_ms)

    @property
    def state(self) -> st.RunState:
        return self._life.state

    @property
    def history(self) -> list[ev.Event]:
        return [event for _, event in self._life.events]

    @property
    def claimable(self) -> dict[str, None]:
        """Return what workers may claim, now or when the wait for a retry is over."""
        waits = [
            key.subject for key, _ in self._runs.due() if key.kind is DueKind.RETRY
        ]
        open_run = self.state.status in CLAIMED_RUN
        return dict.fromkeys(
            [*self._runs.claimable(self._life), *(waits if open_run else [])]
        )

    def give(self, command: cmd.Command) -> list[ev.Event]:
        """Decide on a command and commit what happens."""
        return self._runs.give(self._life, command)

    def give_facts(self, command: cmd.RecordOutcomes) -> None:
        """Store the facts of a command without its decision: what a worker leaves that others overtook."""
        self.overtaken = True
        self._runs.give_facts(self._life, command)

    def start(self, **inputs: Any) -> list[ev.Event]:
        return self.give(cmd.StartRun("0-r", inputs))

    def claim(self, step: str) -> st.StepState:
        """Take a claimable step, once its time has come."""
        retry = DueKey(DueKind.RETRY, self._life.id, step)
        for key, at in list(self._runs.due()):
            if key == retry:
                self.now_ms = max(self.now_ms, at)
                self._runs.take(key)
        return self._runs.claim(self._life, step)

    def complete(self, step: str, output: Any = None) -> list[ev.Event]:
        attempt = (
            self.claim(step).attempt
            if step in self.claimable
            else self.state.steps[step].attempt
        )
        return self.give(cmd.RecordOutcomes((cmd.Completed(step, attempt, output),)))

    def fail(self, step: str, kind: str = "Boom", **error: Any) -> list[ev.Event]:
        attempt = (
            self.claim(step).attempt
            if step in self.claimable
            else self.state.steps[step].attempt
        )
        described = {"type": kind, "message": "it failed", "retryable": True, **error}
        return self.give(cmd.RecordOutcomes((cmd.Failed(step, attempt, described),)))

    def statuses(self) -> dict[str, str]:
        return {name: step.status for name, step in self.state.steps.items()}


def steps(*specs: Mapping[str, Any], **document: Any) -> dict[str, Any]:
    """Make a document of steps that call a component `c`."""
    return {
        "id": "w",
        "steps": [{"component": "c", **spec} for spec in specs],
        **document,
    }
