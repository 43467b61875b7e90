"""What templates may see: the port between expressions and a run's state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import Struct

from openagents_json.workflow.expressions.budget import Together
from openagents_json.workflow.types import Json


class StepView(Struct, frozen=True, gc=False):
    """A resolved step: completed, failed, skipped or cancelled.

    `outputs` are its named outputs, None when it declares none. References to a skipped step are null. `items` is how
    many items a foreach has had, and `item_errors` finds the errors of those that failed; None for all other steps.
    """

    status: str
    output: Json
    outputs: Mapping[str, Json] | None
    error: Mapping[str, Json] | None
    attempts: int
    items: int = 0
    item_errors: Callable[[], list[Json]] | None = None

    @property
    def has_no_result(self) -> bool:
        """Tell whether whatever is looked up in its result is null: it did not complete, and nothing stands for it."""
        return (
            self.status != "completed" and self.output is None and self.outputs is None
        )


class Scope(Protocol):
    """The names of a run."""

    @property
    def inputs(self) -> Mapping[str, Json]:
        """Return the run's input."""
        ...

    @property
    def workflow(self) -> Mapping[str, Json]:
        """Return id, version, run_id and status, and the workflow outputs set so far."""
        ...

    def step(self, step_id: str) -> StepView | None:
        """Return a resolved step, None while it is not."""
        ...

    @property
    def local(self) -> Mapping[str, Json]:
        """Return the names of the place, such as the item of a foreach."""
        ...

    @property
    def together(self) -> Together:
        """Return what counts all evaluations of a decision."""
        ...
