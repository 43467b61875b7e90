"""Graphs of what there is: a document, a published workflow, a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openagents_json.engine.cataloging.written_plans import written_plan
from openagents_json.engine.documents import Document
from openagents_json.engine.inspection.overview import step_rows
from openagents_json.engine.pictures.graph import Graph, graph_of
from openagents_json.engine.pictures.standing import with_standing

if TYPE_CHECKING:
    from openagents_json.engine.facade import Engine


def document_graph(document: Document) -> Graph:
    """Return the graph of a document, whether anybody has its components or not.

    Raises DocumentUnreadable and InvalidDefinition.
    """
    return graph_of(written_plan(document))


def workflow_graph(engine: Engine, reference: str) -> Graph:
    """Return the graph of a published workflow: `id`, `id@range` or `id@alias`.

    Raises UnknownWorkflow.
    """
    return graph_of(engine.plan(reference))


def run_graph(engine: Engine, run: str) -> Graph:
    """Return the graph of the workflow of a run, with how its steps stand.

    Raises RunNotFound.
    """
    recorded = engine.replay.recorded(run)
    session = engine.replay.folded(run, recorded)
    return with_standing(graph_of(session.plan), step_rows(session, recorded))
