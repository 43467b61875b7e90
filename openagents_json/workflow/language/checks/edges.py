"""What the edges of a block lead to that its author may not have meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from openagents_json.workflow.language.graph import DocumentEdge
from openagents_json.workflow.language.nested_steps import steps_in
from openagents_json.workflow.language.problems import Collector


def check_edges(
    block: Mapping[str, Any],
    edges: Sequence[DocumentEdge],
    pointer: str,
    collector: Collector,
) -> None:
    """Look for joins that want more edges than there are, and for references that let a step begin by themselves."""
    into: dict[str, list[DocumentEdge]] = {}
    for way in edges:
        into.setdefault(way.target, []).append(way)
    for index, step in steps_in(block):
        at = f"{pointer}/steps/{index}"
        incoming = into.get(step["id"], [])
        _check_join(step, at, incoming, collector)
        _check_references(step, incoming, collector)


def _check_join(
    step: Mapping[str, Any],
    at: str,
    incoming: Sequence[DocumentEdge],
    collector: Collector,
) -> None:
    join = step.get("join")
    needed = join.get("n") if isinstance(join, Mapping) else None
    if not isinstance(needed, int) or needed <= len(incoming):
        return
    sources = ", ".join(dict.fromkeys(way.source for way in incoming)) or "none"
    message = f"it waits for {needed} edges and has {len(incoming)} (from {sources}): the step could never begin"
    if incoming:
        collector.error(
            "impossible_join",
            f"{at}/join/n",
            message,
            found=needed,
            expected=len(incoming),
            step_id=step["id"],
        )
    else:  # it begins with the run, whatever the join says
        collector.warn(
            "ignored_option",
            f"{at}/join",
            "join means something with edges only",
            step_id=step["id"],
        )


def _check_references(
    step: Mapping[str, Any], incoming: Sequence[DocumentEdge], collector: Collector
) -> None:
    """A reference is an edge: it is alive when its source completed, whatever the conditions of other edges say."""
    guarded = [way for way in incoming if _is_guarded(way)]
    kept = {id(way) for way in guarded}
    plain = [way for way in incoming if id(way) not in kept and way.kind != "reference"]
    if not guarded or plain or "condition" in step:
        return
    references = [way for way in incoming if way.kind == "reference"]
    for reference in references:
        collector.warn(
            "reference_is_edge",
            reference.pointer,
            _begins_anyway(step["id"], reference, guarded[0]),
            found=reference.source,
            step_id=step["id"],
        )


def _is_guarded(way: DocumentEdge) -> bool:
    """Tell whether an edge may be closed though its source has completed."""
    if way.kind == "goto":
        return True
    if way.connection is None:
        return False
    return way.connection.get("condition") is not None


def _begins_anyway(step: str, reference: DocumentEdge, guard: DocumentEdge) -> str:
    when = "has a condition that is false"
    if guard.kind == "goto":
        when = "is not gone to"
    return (
        f"step {step!r} refers to {reference.source!r}, so it begins when that has completed, even where the "
        f"edge from {guard.source!r} {when}; give the step a condition, or say depends_on if that is meant"
    )
