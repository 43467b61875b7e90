"""The edges of a document, and whether they go in circles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    is_graph = document.get("execution") == "graph" or document.get("connections")
    if is_graph:
        return False
    steps = [step for step in document.get("steps", ()) if isinstance(step, Mapping)]
    return not any(step.get("depends_on") for step in steps)


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
    sequential = is_sequential(document)
    previous = None
    for index, step in enumerate(document["steps"]):
        name = step["id"]
        at = f"{base}/steps/{index}"
        if sequential and previous is not None:
            edges.append(
                DocumentEdge(source=previous, target=name, kind="order", pointer=at)
            )
        previous = name
        edges += _dependencies(step, at)
        if not sequential:
            for source, pointer in references.get(name, ()):
                edges.append(DocumentEdge(source, name, "reference", pointer))
        edges += _gotos(step, at)
    edges += _connections(document, base)
    return _without_shadows(edges)


def _dependencies(step: Mapping[str, Any], pointer: str) -> Iterator[DocumentEdge]:
    for number, source in enumerate(step.get("depends_on", ())):
        at = f"{pointer}/depends_on/{number}"
        yield DocumentEdge(source=source, target=step["id"], kind="depends", pointer=at)


def _gotos(step: Mapping[str, Any], pointer: str) -> Iterator[DocumentEdge]:
    for number, handler in enumerate(step.get("on_error", ())):
        target = goto_target(handler)
        if isinstance(target, str):
            at = f"{pointer}/on_error/{number}"
            yield DocumentEdge(
                source=step["id"], target=target, kind="goto", pointer=at
            )


def _connections(document: Mapping[str, Any], base: str) -> Iterator[DocumentEdge]:
    for index, connection in enumerate(document.get("connections", ())):
        source, _ = split_end(connection["source"])
        target, _ = split_end(connection["target"])
        at = f"{base}/connections/{index}"
        yield DocumentEdge(
            source=source,
            target=target,
            kind="connection",
            pointer=at,
            connection=connection,
        )


def goto_target(handler: Json) -> str | None:
    """Return the step that an error handler goes to."""
    if not isinstance(handler, Mapping):
        return None
    then = handler.get("then")
    if isinstance(then, Mapping):
        target = then.get("goto")
        return target if isinstance(target, str) else None
    if isinstance(then, str) and then.startswith("goto"):
        in_text = then.removeprefix("goto").lstrip(" :-")
        return in_text or handler.get("goto") or handler.get("step")
    return None


def _without_shadows(edges: Sequence[DocumentEdge]) -> list[DocumentEdge]:
    """Leave out references that a connection or a dependency between the same steps says already."""
    seen = {
        (edge.source, edge.target)
        for edge in edges
        if edge.kind in ("connection", "depends")
    }
    kept = []
    for edge in edges:
        if edge.kind == "reference":
            pair = (edge.source, edge.target)
            if pair in seen:
                continue
            seen.add(pair)
        kept.append(edge)
    return kept


def find_cycle(steps: Sequence[str], edges: Iterable[DocumentEdge]) -> list[str] | None:
    """Return the steps of one cycle, first and last the same, or None (depth-first search without recursion)."""
    targets: dict[str, list[str]] = {step: [] for step in steps}
    for edge in edges:
        if edge.source in targets and edge.target in targets:
            targets[edge.source].append(edge.target)
    done: set[str] = set()
    for root in steps:
        cycle = _cycle_from(root, targets, done)
        if cycle is not None:
            return cycle
    return None


def _cycle_from(
    root: str, targets: Mapping[str, Sequence[str]], done: set[str]
) -> list[str] | None:
    """Return the first cycle on a way from a step; `done` are steps from which no way leads into one."""
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
