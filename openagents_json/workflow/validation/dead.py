"""Steps of a block that can never run, as no edge leads to them that can be alive, or the run has ended before them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any, Final

from openagents_json.workflow.language.checks.shapes import object_of
from openagents_json.workflow.language.graph import DocumentEdge, is_sequential
from openagents_json.workflow.language.nested_steps import steps_in
from openagents_json.workflow.language.problems import Collector
from openagents_json.workflow.validation.constants import is_never_true
from openagents_json.workflow.validation.exclusions import most_together

_MAY_NOT_END: Final = ("condition", "foreach")
"""What may keep a step from ending the run."""

_MAY_GO_ON: Final = (*_MAY_NOT_END, "on_error")


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
        elif "terminate" in step and step.keys().isdisjoint(_MAY_NOT_END):
            end = name


def _check_closed_ways(
    block: Mapping[str, Any],
    edges: Sequence[DocumentEdge],
    pointer: str,
    collector: Collector,
) -> None:
    """Look for steps whose edges are dead, so that none is alive, or fewer than the step waits for."""
    ends = _DeadEnds(edges)
    # Where each step follows the one before it, one whose condition is false is passed over.
    skipped = () if is_sequential(block) else _skipped(block)
    ends.follow(skipped)
    for index, step in _named(block, ends.touched):
        at = f"{pointer}/steps/{index}"
        _check_join(step, at, ends.alive[step["id"]], collector)
    _check_exclusions(block, edges, pointer, ends.touched, collector)


def _check_exclusions(
    block: Mapping[str, Any],
    edges: Sequence[DocumentEdge],
    pointer: str,
    told: Set[str],
    collector: Collector,
) -> None:
    """Look for steps that wait for more edges than can be alive together; `told` are those with dead ones."""
    waiting = [x for x in steps_in(block) if _edges_needed(x[1]) > 1]
    conditions = _conditions_of(block) if waiting else {}
    for index, step in waiting:
        name = step["id"]
        into = [edge for edge in edges if edge.target == name]
        together = most_together(into, conditions)
        needed = _edges_needed(step)
        if name not in told and together < needed <= len(into):
            message = f"it waits for {needed} edges, and no more than {together} can be alive together"
            collector.warn(
                "never_joins",
                f"{pointer}/steps/{index}/join/n",
                message,
                found=needed,
                expected=together,
                step_id=name,
            )


def _conditions_of(block: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the conditions by which steps of a block are skipped; in a foreach, one is for the items."""
    # Where each step follows the one before it, one whose condition is false is passed over.
    steps = [] if is_sequential(block) else steps_in(block)
    return {s["id"]: s.get("condition") for _, s in steps if "foreach" not in s}


def _edges_needed(step: Mapping[str, Any]) -> int:
    """Return for how many edges a step waits by its `join`, 0 where that says no number."""
    needed = object_of(step.get("join")).get("n")
    return needed if isinstance(needed, int) else 0


class _DeadEnds:
    """Which edges of a block are dead: closed ones, and those from steps that never run.

    `alive` says how many edges to a step may be alive, `touched` are the steps to which one is not.
    """

    def __init__(self, edges: Sequence[DocumentEdge]) -> None:
        self.alive = Counter(edge.target for edge in edges)
        self.touched: set[str] = set()
        self._open: dict[str, list[str]] = defaultdict(list)
        self._closed: list[str] = []
        for edge in edges:
            if _is_closed(edge):
                self._closed.append(edge.target)
            else:
                self._open[edge.source].append(edge.target)

    def follow(self, skipped: Iterable[str]) -> None:
        """Find what dies with closed edges, and with steps that are skipped by themselves."""
        todo = [*self._closed]
        for step in skipped:
            todo += self._open.pop(step, ())
        while todo:
            target = todo.pop()
            self.touched.add(target)
            self.alive[target] -= 1
            if not self.alive[target]:
                todo += self._open.pop(target, ())


def _skipped(block: Mapping[str, Any]) -> Iterator[str]:
    """Yield the steps behind which nothing begins: their own condition never holds, or they always end the run."""
    return (step["id"] for _, step in steps_in(block) if _is_skipped(step))


def _is_skipped(step: Mapping[str, Any]) -> bool:
    is_end = "terminate" in step and step.keys().isdisjoint(_MAY_GO_ON)
    return is_end or is_never_true(step.get("condition"), {}, frozenset())


def _check_join(
    step: Mapping[str, Any], at: str, alive: int, collector: Collector
) -> None:
    name = step["id"]
    if not alive:
        message = f"every edge to step {name!r} is closed, so it never runs"
        collector.warn("never_runs", at, message, step_id=name)
        return
    needed = _edges_needed(step)
    if needed > alive:
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
    condition = object_of(edge.connection).get("condition")
    return is_never_true(condition, {}, frozenset())


def _named(
    block: Mapping[str, Any], names: set[str]
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    return (item for item in steps_in(block) if item[1]["id"] in names)
