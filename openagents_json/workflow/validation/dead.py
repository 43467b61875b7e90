"""Steps of a block that can never run, as no edge leads to them that can be alive, or the run has ended before them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from openagents_json.workflow.language.graph import DocumentEdge, is_sequential
from openagents_json.workflow.language.nested_steps import steps_in
from openagents_json.workflow.language.problems import Collector
from openagents_json.workflow.validation.constants import is_never_true

_MAY_NOT_END = ("condition", "foreach")
"""What may keep a step from ending the run."""


def check_dead_steps(
    block: Mapping[str, Any],
    edges: Sequence[DocumentEdge],
    pointer: str,
    collector: Collector,
) -> None:
    """Warn of steps that can never run, whatever their own conditions say."""
    _check_closed_ways(block, edges, pointer, collector)
    jumps = [edge for edge in edges if edge.kind == "goto"]
    if is_sequential(block) and not jumps:
        _check_behind_end(block, pointer, collector)


def _check_behind_end(
    block: Mapping[str, Any], pointer: str, collector: Collector
) -> None:
    """Look for steps behind one that always ends the run."""
    end = ""
    for index, step in steps_in(block):
        name = step["id"]
        if end:
            message = f"step {end!r} always ends the run, so step {name!r} never runs"
            at = f"{pointer}/steps/{index}"
            collector.warn("never_runs", at, message, step_id=name)
        elif "terminate" in step and not any(key in step for key in _MAY_NOT_END):
            end = name


def _check_closed_ways(
    block: Mapping[str, Any],
    edges: Sequence[DocumentEdge],
    pointer: str,
    collector: Collector,
) -> None:
    """Look for steps whose edges are closed by conditions, so that none is alive, or fewer than the step waits for."""
    closed = {id(edge) for edge in edges if _is_closed(edge)}
    if not closed:
        return
    targets = {edge.target for edge in edges if id(edge) in closed}
    for index, step in _named(block, targets):
        incoming = [edge for edge in edges if edge.target == step["id"]]
        alive = sum(id(edge) not in closed for edge in incoming)
        at = f"{pointer}/steps/{index}"
        _check_join(step, at, alive, collector)


def _check_join(
    step: Mapping[str, Any], at: str, alive: int, collector: Collector
) -> None:
    name = step["id"]
    if not alive:
        message = f"every edge to step {name!r} is closed, so it never runs"
        collector.warn("never_runs", at, message, step_id=name)
        return
    join = step.get("join")
    needed = join.get("n") if isinstance(join, Mapping) else None
    if isinstance(needed, int) and needed > alive:
        message = f"it waits for {needed} edges, and only {alive} can be alive"
        collector.warn(
            "never_joins",
            f"{at}/join/n",
            message,
            found=needed,
            expected=alive,
            step_id=name,
        )


def _is_closed(edge: DocumentEdge) -> bool:
    connection = edge.connection or {}
    return is_never_true(connection.get("condition"), {}, frozenset())


def _named(
    block: Mapping[str, Any], names: set[str]
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    return (item for item in steps_in(block) if item[1]["id"] in names)
