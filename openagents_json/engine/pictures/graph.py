"""A workflow as a graph to be drawn: its steps, what is said of each, and the ways between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from openagents_json.engine.pictures.notes import notes_of, short_expression
from openagents_json.workflow.core.paths import ON_FAILURE, inside
from openagents_json.workflow.core.plan import Edge, Plan
from openagents_json.workflow.language.nested_steps import all_steps

FAILURE: Final = "on failure"
"""The name of what is done when the run has failed; it has a space, so no step has that name."""


@dataclass(frozen=True, slots=True)
class Node:
    """A step: what is said of it, and its inner steps; `status` and `progress` are those of a run."""

    path: str
    name: str
    kind: str
    notes: tuple[str, ...] = ()
    inner: Graph | None = None
    status: str = ""
    progress: str = ""


@dataclass(frozen=True, slots=True)
class Arrow:
    """A way from one step to another of the same graph; `label` is the condition under which it is taken."""

    source: str
    target: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """Steps and the ways between them; `asides` are steps to which no way leads."""

    title: str
    nodes: tuple[Node, ...]
    arrows: tuple[Arrow, ...]
    asides: tuple[Node, ...] = ()


def graph_of(plan: Plan) -> Graph:
    """Return the graph of a workflow."""
    document: Mapping[str, Any] = plan.definition["document"]
    steps = {location.path: location.step for location in all_steps(document)}
    title = f"{plan.id} {plan.version}"
    graph = _block(plan, steps, "", plan.order, title)
    failure = plan.steps.get(ON_FAILURE)
    if failure is None or failure.block is None:
        return graph
    inner = _block(plan, steps, ON_FAILURE, failure.block.order)
    aside = Node(ON_FAILURE, FAILURE, "block", inner=inner)
    return replace(graph, asides=(aside,))


def _block(
    plan: Plan,
    steps: Mapping[str, Mapping[str, Any]],
    frame: str,
    order: tuple[str, ...],
    title: str = "",
) -> Graph:
    nodes: list[Node] = []
    arrows: list[Arrow] = []
    for name in order:
        path = inside(frame, name)
        planned = plan.steps[path]
        inner = None
        if planned.block is not None:
            inner = _block(plan, steps, path, planned.block.order)
        notes = tuple(notes_of(planned.kind, steps[path]))
        nodes.append(
            Node(path=path, name=name, kind=planned.kind, notes=notes, inner=inner)
        )
        arrows += _arrows(planned.incoming)
    return Graph(title, tuple(nodes), tuple(arrows))


def _arrows(incoming: tuple[Edge, ...]) -> Iterator[Arrow]:
    """Return one arrow for all edges between two steps; where an error handler goes, the notes of its step say."""
    labels: dict[tuple[str, str], list[str]] = {}
    for edge in incoming:
        if edge.goto:
            continue
        conditions = labels.setdefault((edge.source, edge.target), [])
        if edge.condition is not None:
            sources = (part.source for part in edge.condition.parts)
            conditions += [short_expression(source) for source in sources]
    for (source, target), conditions in labels.items():
        yield Arrow(source, target, " and ".join(conditions))
