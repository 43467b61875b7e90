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
        at, incoming = f"{pointer}/steps/{index}", into.get(step["id"], [])
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
    guarded = [
        way
        for way in incoming
        if way.kind == "goto" or (way.connection or {}).get("condition") is not None
    ]
    kept = {id(way) for way in guarded}
    plain = [way for way in incoming if id(way) not in kept and way.kind != "reference"]
    if not guarded or plain or "condition" in step:
        return
    guard = guarded[0]
    what = "is not gone to" if guard.kind == "goto" else "has a condition that is false"
    for way in incoming:
        if way.kind == "reference":
            message = (
                f"step {step['id']!r} refers to {way.source!r}, so it begins when that has completed, even where the "
                f"edge from {guard.source!r} {what}; give the step a condition, or say depends_on if that is meant"
            )
            collector.warn(
                "reference_is_edge",
                way.pointer,
                message,
                found=way.source,
                step_id=step["id"],
            )
