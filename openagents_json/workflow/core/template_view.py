"""What templates see of a run: a lazy view over its state, from the place of one step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.paths import (
    COMPENSATE,
    ON_FAILURE,
    container_of,
    frames_of,
    inside,
    is_item,
)
from openagents_json.workflow.core.plan import Plan
from openagents_json.workflow.expressions.budget import Together
from openagents_json.workflow.expressions.scope import StepView
from openagents_json.workflow.types import Json

_NO_NAMES: Final[Mapping[str, Json]] = {}


class HoldsRun(Protocol):
    """Anything that has a run's plan and current state, and counts what is evaluated for it."""

    plan: Plan
    state: st.RunState
    together: Together


class RunView:
    """A `Scope`: names are looked up when a template asks for them, never copied."""

    __slots__ = ("_holder", "_path", "_status")

    def __init__(self, holder: HoldsRun, path: str = "", status: str = "") -> None:
        self._holder = holder
        self._path = path
        self._status = status

    def at(self, path: str) -> RunView:
        """Return the view from the place of a step."""
        return (
            self
            if "." not in path and path[-1:] != "]"
            else RunView(self._holder, path, self._status)
        )

    def within(self, frame: str) -> RunView:
        """Return the view from inside of a frame."""
        return RunView(self._holder, frame, self._status)

    def closing(self) -> RunView:
        """Return the view that the run's output sees: the status is what it is about to be."""
        return RunView(self._holder, "", st.COMPLETED)

    @property
    def together(self) -> Together:
        """Return what counts all evaluations of the decision."""
        return self._holder.together

    @property
    def inputs(self) -> Mapping[str, Json]:
        """Return the run's input."""
        return self._holder.state.inputs

    @property
    def workflow(self) -> Mapping[str, Json]:
        """Return id, version, run_id, status and the workflow outputs set so far."""
        state = self._holder.state
        return {
            **state.sets,
            "id": state.workflow,
            "version": state.version,
            "run_id": state.run,
            "status": self._status or state.status,
        }

    def step(self, step_id: str) -> StepView | None:
        """Return a resolved step, the nearest of its name, None while it is not resolved."""
        step = self._holder.state.steps.get(self._instance(step_id))
        if step is None or step.status in st.OPEN_STEP:
            return None
        return StepView(
            step.status, step.output, step.outputs, step.error, step.attempt
        )

    def _instance(self, step_id: str) -> str:
        if not self._path:
            return step_id
        home = self._holder.plan.homes.get(step_id, step_id)
        depth = home.count(".")
        frames = frames_of(self._path)
        return inside(frames[depth], step_id) if 0 < depth < len(frames) else step_id

    @property
    def local(self) -> Mapping[str, Json]:
        """Return the names of the place: items, indexes and iterations around it."""
        if not self._path:
            return _NO_NAMES
        path = self._path.removesuffix(COMPENSATE)
        names: dict[str, Json] = {}
        if path.startswith(ON_FAILURE):
            state = self._holder.state
            names = {"error": state.error, "failed_step": state.failed_step}
        for frame in frames_of(path) if "[" in path else ():
            if is_item(frame):
                names |= item_locals(self._holder, frame)
        return names


def item_locals(holder: HoldsRun, path: str) -> dict[str, Json]:
    """Return what an item or iteration adds to the names that templates see."""
    container, index = container_of(path)
    step, plan = holder.state.steps.get(container), holder.plan.of(container)
    if plan.foreach is None:
        first = step.inputs if step and step.inputs else None
        previous = st.last_result(holder.state, container) if index else first
        return {"index": index, "iteration": index, "previous": previous}
    items = step.inputs.get("items") if step else None
    if isinstance(items, Mapping):
        key = sorted(items)[index]
        return {plan.foreach.item: items[key], plan.foreach.index: key}
    return {
        plan.foreach.item: items[index] if items else None,
        plan.foreach.index: index,
    }
