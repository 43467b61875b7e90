"""How the steps of a graph stand in a run: their statuses, and what became of items, iterations and attempts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from operator import attrgetter
from typing import Final

from openagents_json.engine.answers.steps import NOT_BEGUN, StepRow
from openagents_json.engine.pictures.graph import Graph, Node
from openagents_json.statuses import OPEN_STEP
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.paths import compensation_of, static

RUNNING: Final = "running"
_WEIGHTS: Final = {st.FAILED: 0, st.COMPLETED: 1}
"""Of several steps that are over, the lightest says how they stand; all others weigh the same."""

Rows = Mapping[str, Sequence[StepRow]]
"""The steps of a run by their static paths."""


def with_standing(graph: Graph, rows: Iterable[StepRow]) -> Graph:
    """Return a graph with the statuses of a run."""
    by_path: dict[str, list[StepRow]] = defaultdict(list)
    for row in rows:
        if row.status == NOT_BEGUN:
            continue
        by_path[static(row.path)].append(row)
    return _graph(graph, by_path)


def _graph(graph: Graph, rows: Rows) -> Graph:
    with_status = partial(_node, rows=rows)
    return replace(
        graph,
        nodes=tuple(map(with_status, graph.nodes)),
        asides=tuple(map(with_status, graph.asides)),
    )


def _node(node: Node, rows: Rows) -> Node:
    if node.inner is not None:
        node = replace(node, inner=_graph(node.inner, rows))
    instances = rows.get(node.path, ())
    if not instances:
        return node
    # The step itself speaks for its items; a step inside of items or iterations has only them.
    own = filter(lambda row: row.path == node.path, instances)
    shown = list(own) or instances
    progress = _progress(shown)
    undos = rows.get(compensation_of(node.path))
    if undos:
        progress = f"{progress}, undo {undos[0].status}"
    return replace(node, status=_status(shown), progress=progress)


def _status(rows: Sequence[StepRow]) -> str:
    statuses: set[str] = set(map(attrgetter("status"), rows))
    if not statuses.isdisjoint(OPEN_STEP):
        return RUNNING
    return min(sorted(statuses), key=lambda status: _WEIGHTS.get(status, 2))


def _progress(rows: Sequence[StepRow]) -> str:
    if len(rows) > 1:
        counts = Counter(map(attrgetter("status"), rows))
        return _listed(counts)
    [row] = rows
    if row.counts is not None:
        return _of_group(row, row.counts)
    if row.attempts > 1:
        return f"{row.status}, {row.attempts} attempts"
    return row.status


def _of_group(row: StepRow, counts: Mapping[str, int]) -> str:
    """Say how many items or iterations completed, and what became of the others."""
    others = dict(counts)
    completed = others.pop(st.COMPLETED, 0)
    standing = f"{row.status}, {completed}"
    if row.total >= 0:
        standing += f" of {row.total}"
    rest = _listed(others)
    if rest:
        return f"{standing}, {rest}"
    return standing


def _listed(counts: Mapping[str, int]) -> str:
    parts = []
    for status, count in counts.items():
        if count:
            parts.append(f"{count} {status}")
    return ", ".join(parts)
