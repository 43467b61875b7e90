"""The edges of a document, and whether they go in circles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openagents_json.workflow.types import Json


@dataclass(frozen=True, slots=True)
class DocumentEdge:
    """An edge as the document writes it: `kind` is order, reference, depends, connection or goto."""

    source: str
    target: str
    kind: str
    pointer: str
    connection: Mapping[str, Any] | None = None


def is_sequential(document: Mapping[str, Any]) -> bool:
    """Tell whether array order is the order of execution."""
    steps = [step for step in document.get("steps", ()) if isinstance(step, Mapping)]
    edges = bool(document.get("connections")) or any(
        step.get("depends_on") for step in steps
    )
    return document.get("execution") != "graph" and not edges


def split_end(text: str) -> tuple[str, str | None]:
    """Split "step.output" into its two names."""
    step, dot, name = text.partition(".")
    return step, name if dot else None


def ways(
    document: Mapping[str, Any],
    references: Mapping[str, Iterable[tuple[str, str]]],
    base: str = "",
) -> list[DocumentEdge]:
    """List the edges of a document, or of a block in it at `base`, whose parts are of the right shape.

    `references` are the (step id, pointer) pairs that the templates of each step refer to.
    """
    edges: list[DocumentEdge] = []
    sequential, previous = is_sequential(document), None
    for index, step in enumerate(document["steps"]):
        name, at = step["id"], f"{base}/steps/{index}"
        if sequential and previous is not None:
            edges.append(DocumentEdge(previous, name, "order", at))
        previous = name
        for number, source in enumerate(step.get("depends_on", ())):
            edges.append(
                DocumentEdge(source, name, "depends", f"{at}/depends_on/{number}")
            )
        if not sequential:
            edges += [
                DocumentEdge(source, name, "reference", pointer)
                for source, pointer in references.get(name, ())
            ]
        for number, handler in enumerate(step.get("on_error", ())):
            if isinstance(target := goto_target(handler), str):
                edges.append(
                    DocumentEdge(name, target, "goto", f"{at}/on_error/{number}")
                )
    for index, connection in enumerate(document.get("connections", ())):
        source, target = (
            split_end(connection["source"])[0],
            split_end(connection["target"])[0],
        )
        edges.append(
            DocumentEdge(
                source, target, "connection", f"{base}/connections/{index}", connection
            )
        )
    return _without_shadows(edges)


def goto_target(handler: Json) -> str | None:
    """Return the step that an error handler goes to."""
    then = handler.get("then") if isinstance(handler, Mapping) else None
    if isinstance(then, Mapping):
        target = then.get("goto")
        return target if isinstance(target, str) else None
    if isinstance(then, str) and then.startswith("goto"):
        return (
            then.removeprefix("goto").lstrip(" :-")
            or handler.get("goto")
            or handler.get("step")
        )
    return None


def _without_shadows(edges: Sequence[DocumentEdge]) -> list[DocumentEdge]:
    """Leave out references that a connection or a dependency between the same steps says already."""
    explicit = {
        (w.source, w.target) for w in edges if w.kind in ("connection", "depends")
    }
    kept, seen = [], set()
    for way in edges:
        pair = (way.source, way.target)
        if way.kind == "reference" and (pair in explicit or pair in seen):
            continue
        if way.kind == "reference":
            seen.add(pair)
        kept.append(way)
    return kept


def find_cycle(steps: Sequence[str], edges: Iterable[DocumentEdge]) -> list[str] | None:
    """Return the steps of one cycle, first and last the same, or None (depth-first search without recursion)."""
    targets: dict[str, list[str]] = {step: [] for step in steps}
    for way in edges:
        if way.source in targets and way.target in targets:
            targets[way.source].append(way.target)
    done: set[str] = set()
    for root in steps:
        trail: list[str] = []
        on_trail: set[str] = set()
        stack = [(root, False)]
        while stack:
            step, leaving = stack.pop()
            if leaving:
                trail.pop()
                on_trail.discard(step)
                done.add(step)
            elif step in on_trail:
                return [*trail[trail.index(step) :], step]
            elif step not in done:
                trail.append(step)
                on_trail.add(step)
                stack.append((step, True))
                stack += [(target, False) for target in reversed(targets[step])]
    return None
