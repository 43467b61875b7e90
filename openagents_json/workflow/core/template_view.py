"""What templates see of a run: a lazy view over its state, from the place of one step."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
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
        is_of_the_run = "." not in path and not is_item(path)
        if is_of_the_run:
            return self
        return RunView(self._holder, path, self._status)

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
        state = self._holder.state
        path = self._instance(step_id)
        step = state.steps.get(path)
        if step is None or step.status in st.OPEN_STEP:
            return None
        facts = (step.status, step.output, step.outputs, step.error, step.attempt)
        if step.kind != st.FOREACH or step.group is None:
            return StepView(*facts)
        errors = partial(st.item_errors, state, path)
        return StepView(*facts, step.group.opened, errors)

    def _instance(self, step_id: str) -> str:
        """Return the path of the nearest step of a name."""
        if not self._path:
            return step_id
        home = self._holder.plan.homes.get(step_id, step_id)
        depth = home.count(".")
        frames = frames_of(self._path)
        if not 0 < depth < len(frames):
            return step_id
        return inside(frames[depth], step_id)

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
        if "[" in path:
            for item in filter(is_item, frames_of(path)):
                names |= item_locals(self._holder, item)
        return names


def item_locals(holder: HoldsRun, path: str) -> dict[str, Json]:
    """Return what an item or iteration adds to the names that templates see."""
    container, index = container_of(path)
    inputs = holder.state.steps.get(container, st.NO_STEP).inputs
    foreach = holder.plan.of(container).foreach
    if foreach is None:
        previous: Json = inputs or None  # of the first iteration
        if index:
            previous = st.last_result(holder.state, container)
        return {"index": index, "iteration": index, "previous": previous}
    items = inputs.get("items")
    if isinstance(items, Mapping):
        key = sorted(items)[index]
        return {foreach.item: items[key], foreach.index: key}
    item = items[index] if items else None
    return {foreach.item: item, foreach.index: index}
