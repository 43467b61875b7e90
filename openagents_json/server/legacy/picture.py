"""A workflow as the nodes and edges that the diagram of 0.1.4 was drawn of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

_APART: Final = 200
_DOWN: Final = 100


class Node(BaseModel):
    """A step; `data` has its label, description, component, and the step itself."""

    id: str
    type: str
    position: dict[str, int]
    data: dict[str, Any]


class Edge(BaseModel):
    """A connection; `data` has its handles, label, condition, and the connection itself."""

    id: str
    source: str
    target: str
    data: dict[str, Any]


class Visualization(BaseModel):
    """What a diagram is drawn of."""

    nodes: list[Node]
    edges: list[Edge]
    metadata: dict[str, Any]


def visualization(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the diagram of a document, its steps beside one another."""
    connections = document.get("connections") or ()
    return {
        "nodes": [_node(*numbered) for numbered in enumerate(document["steps"])],
        "edges": [_edge(*numbered) for numbered in enumerate(connections)],
        "metadata": {
            "workflowId": document["id"],
            "workflowName": document.get("name") or document["id"],
            "workflowVersion": document.get("version", "1.0.0"),
        },
    }


def _node(number: int, step: Mapping[str, Any]) -> dict[str, Any]:
    data = {
        "label": step.get("name") or step["id"],
        "description": step.get("description") or "",
        "component": step.get("component") or "",
        "step": step,
    }
    position = {"x": number * _APART, "y": _DOWN}
    return {"id": step["id"], "type": "step", "position": position, "data": data}


def _edge(number: int, connection: Mapping[str, Any]) -> dict[str, Any]:
    """Return an edge, also where a connection names steps alone, which 0.1.4 left out."""
    source, _, output = str(connection["source"]).partition(".")
    target, _, given = str(connection["target"]).partition(".")
    data = {
        "sourceHandle": output,
        "targetHandle": given,
        "label": " \u2192 ".join(filter(None, (output, given))),
        "condition": connection.get("condition"),
        "connection": connection,
    }
    return {"id": f"edge-{number}", "source": source, "target": target, "data": data}
