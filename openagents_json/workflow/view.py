"""What templates see of a run: a lazy view over its state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from openagents_json.workflow import state as st
from openagents_json.workflow.scope import StepView
from openagents_json.workflow.types import Json


class HoldsState(Protocol):
    """Anything that has a run's current state."""

    state: st.RunState


class RunView:
    """A `Scope`: names are looked up when a template asks for them, never copied."""

    __slots__ = ("_holder", "_status")

    def __init__(self, holder: HoldsState, status: str = "") -> None:
        self._holder, self._status = holder, status

    def closing(self) -> RunView:
        """Give the view that the run's output sees: the status is what it is about to be."""
        return RunView(self._holder, st.COMPLETED)

    @property
    def inputs(self) -> Mapping[str, Json]:
        """Give the run's input."""
        return self._holder.state.inputs

    @property
    def workflow(self) -> Mapping[str, Json]:
        """Give id, version, run_id, status and the workflow outputs set so far."""
        state = self._holder.state
        return {
            **state.sets,
            "id": state.workflow,
            "version": state.version,
            "run_id": state.run,
            "status": self._status or state.status,
        }

    def step(self, step_id: str) -> StepView | None:
        """Give a resolved step, None while it is not."""
        step = self._holder.state.steps.get(step_id)
        if step is None or step.status in st.OPEN_STEP:
            return None
        return StepView(step.status, step.output, step.outputs, step.error, step.attempt)
