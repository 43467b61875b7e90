"""A workflow as boxes and lines with their places, for whoever draws it; made once for each document."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Final

from openagents_json.engine.answers.layouts import Head, Layout, Line, PlacedStep
from openagents_json.engine.pictures.drawing import drawing_of
from openagents_json.engine.pictures.graph import Graph, Node, graph_of
from openagents_json.engine.pictures.shapes import Box

if TYPE_CHECKING:
    from openagents_json.engine.facade import Engine
    from openagents_json.workflow.core.plan import Plan

ROOM: Final = 100_000
"""A picture that can be scrolled may have any width."""

STANDING: Final = " " * 22
"""A line as wide as most of what is said of how a step stands."""

CAPACITY: Final = 128


class Layouts:
    """The pictures of documents that were asked for last, by their hashes; safe for threads."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._lock = Lock()
        self._kept: OrderedDict[str, Layout] = OrderedDict()

    def of_run(self, engine: Engine, run: str) -> Layout:
        """Return the picture of the workflow of a run.

        Raises RunNotFound and StoreUnavailable.
        """
        return self.of(engine.core.sessions.load(run).plan)

    def of(self, plan: Plan) -> Layout:
        """Return the picture of a workflow."""
        with self._lock:
            kept = self._kept.get(plan.hash)
        if kept is not None:
            return kept
        layout = layout_of(plan)
        with self._lock:
            self._kept[plan.hash] = layout
            if len(self._kept) > self._capacity:
                self._kept.popitem(last=False)
        return layout


def layout_of(plan: Plan) -> Layout:
    """Place the steps of a workflow, and the ways between them."""
    graph = _with_standing(graph_of(plan))
    drawing = drawing_of(graph, ROOM, overlaps=True)
    return Layout(
        hash=plan.hash,
        title=graph.title,
        width=drawing.width,
        height=drawing.height,
        steps=tuple(map(_placed, drawing.boxes)),
        lines=tuple(
            Line(x=wire.x, y=wire.y, to_x=wire.to_x, to_y=wire.to_y)
            for wire in drawing.wires
        ),
        heads=tuple(Head(x, y) for x, y in drawing.heads),
    )


def _with_standing(graph: Graph) -> Graph:
    """Leave a line free in each box."""
    return replace(
        graph,
        nodes=tuple(map(_node_with_standing, graph.nodes)),
        asides=tuple(map(_node_with_standing, graph.asides)),
    )


def _node_with_standing(node: Node) -> Node:
    inner = None if node.inner is None else _with_standing(node.inner)
    return replace(node, inner=inner, progress=STANDING)


def _placed(box: Box) -> PlacedStep:
    texts = ("" if text == STANDING else text for text in box.texts)
    return PlacedStep(
        path=box.node.path,
        kind=box.node.kind,
        texts=tuple(texts),
        x=box.x,
        y=box.y,
        width=box.width,
        height=box.height,
    )
