"""What workflows and runs declare of what they are given: inputs by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from executor.clock import ulid
from openagents_json.engine.documents import Document, names_published
from openagents_json.workflow.types import Json

if TYPE_CHECKING:
    from openagents_json.engine.facade import Engine


@dataclass(frozen=True, slots=True)
class Declared:
    """The workflow to start, and its inputs by name, empty where it declares none and takes anything."""

    workflow: Document
    parameters: Mapping[str, Json]


def declared_inputs(
    engine: Engine, workflow: Document, key: str | None = None
) -> Declared:
    """Return the inputs that a workflow declares; what is to be started with them is the same version of it.

    Raises InvalidDefinition and UnknownWorkflow.
    """
    plan = engine.plan(workflow, seed=key or ulid(engine.clock.now_ms()))
    # Without a key, the canary has been decided here: asked for by its alias again, it could be decided otherwise.
    # With one, the alias has to stay: it is a part of the request that the key stands for.
    if key is None and names_published(workflow):
        return Declared(f"{plan.id}@{plan.version}", plan.parameters)
    return Declared(workflow, plan.parameters)


def inputs_of_run(engine: Engine, run: str) -> Mapping[str, Json]:
    """Return the inputs that the workflow of a run declares.

    Raises RunNotFound.
    """
    return engine.core.sessions.load(run).plan.parameters
