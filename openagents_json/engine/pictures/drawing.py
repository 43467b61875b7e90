"""A graph as a picture on a grid of characters, for any kind of paper."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from operator import attrgetter
from typing import Final

from openagents_json.engine.pictures.graph import Arrow, Graph, Node
from openagents_json.engine.pictures.grid import Sized, in_rows
from openagents_json.engine.pictures.layers import (
    Links,
    Pair,
    Rows,
    Slot,
    in_order,
    rows_of,
)
from openagents_json.engine.pictures.shapes import Drawing, stacked
from openagents_json.engine.pictures.widths import cut, width_of

NARROWEST: Final = 24
"""No picture is narrower, whatever room there is."""

TEXT: Final = 36
"""How wide a line in a box is at most."""

MARGIN: Final = 2
"""The columns on each side of what is in a box: its border, and a space."""

TRIES: Final = 5
MOST_STEPS: Final = 2000
MOST_ARROWS: Final = 5000
"""Of more, nobody could follow the lines: the steps stand one below the other."""


def drawing_of(graph: Graph, room: int, *, overlaps: bool = False) -> Drawing:
    """Draw a graph, not wider than the room; where lines would need more, words say what follows what.

    With `overlaps`, lines may lie on each other for a part of their way rather than be words.
    """
    room = max(room, NARROWEST)
    parts = [_drawn(graph.nodes, graph.arrows, room, overlaps=overlaps)]
    parts += [_drawn((node,), (), room, overlaps=overlaps) for node in graph.asides]
    return stacked(parts)


def _drawn(
    nodes: Sequence[Node], arrows: Sequence[Arrow], room: int, *, overlaps: bool
) -> Drawing:
    conditions = _conditions(arrows)
    sized = {}
    for node in nodes:
        labels = conditions.get(node.name, [])
        sized[node.name] = _sized(node, labels, room, overlaps=overlaps)
    pairs = [(arrow.source, arrow.target) for arrow in arrows]
    is_clear = len(nodes) <= MOST_STEPS and len(pairs) <= MOST_ARROWS
    widths = dict(zip(sized, map(attrgetter("width"), sized.values()), strict=True))
    width = room
    for _ in range(TRIES if is_clear else 0):
        drawing = in_rows(sized, rows_of(widths, pairs, width))
        if drawing.width <= room and (drawing.clear or overlaps):
            return drawing
        # In other rows, there may be room for all lines.
        width -= max(drawing.width - room, 1)
    return _listed(sized, pairs, room)


def _conditions(arrows: Iterable[Arrow]) -> dict[str, list[str]]:
    conditions: dict[str, list[str]] = defaultdict(list)
    for arrow in arrows:
        if arrow.label:
            conditions[arrow.target].append(f"from {arrow.source}: {arrow.label}")
    return conditions


def _sized(
    node: Node, conditions: Sequence[str], room: int, *, overlaps: bool
) -> Sized:
    inside = room - 2 * MARGIN
    inner = None
    notes = [*node.notes, *conditions, node.progress]
    if node.inner is not None and inside >= NARROWEST:
        inner = drawing_of(node.inner, inside, overlaps=overlaps)
    elif node.inner is not None:
        notes.append(f"{steps_inside(node.inner)} steps inside")
    most = inside if inner else min(TEXT, inside)
    texts = tuple(cut(text, most) for text in (node.name, *notes) if text)
    width = max(map(width_of, texts))
    height = len(texts) + 2
    if inner is not None:
        width = max(width, inner.width)
        height = height + inner.height
    return Sized(
        node=node, texts=texts, inner=inner, width=width + 2 * MARGIN, height=height
    )


def steps_inside(graph: Graph) -> int:
    """Return how many steps a graph has, with those inside of others."""
    inner = (node.inner for node in graph.nodes if node.inner is not None)
    return len(graph.nodes) + sum(map(steps_inside, inner))


def _listed(sized: dict[str, Sized], pairs: Sequence[Pair], room: int) -> Drawing:
    """Draw steps one below the other: lines join neighbours, words say the rest."""
    order = in_order(list(sized), pairs)
    following = dict(pairwise(order))
    near: dict[str, str] = {}
    others: dict[str, list[str]] = defaultdict(list)
    for source, target in pairs:
        if following.get(source) == target:
            near[source] = target
        else:
            others[target].append(source)
    noted: dict[str, Sized] = {}
    slots = {name: Slot(name, row) for row, name in enumerate(order)}
    rows: list[list[Slot]] = []
    links: list[Links] = []
    for name, slot in slots.items():
        rows.append([slot])
        links.append({slot: [slots[near[name]]]} if name in near else {})
        noted[name] = _after(sized[name], others[name], room)
    return in_rows(noted, Rows(rows, links))


def _after(step: Sized, sources: Sequence[str], room: int) -> Sized:
    """Say in the box of a step what it comes after."""
    if not sources:
        return step
    note = cut(f"after {', '.join(sources)}", room - 2 * MARGIN)
    width = max(step.width, width_of(note) + 2 * MARGIN)
    texts = (*step.texts, note)
    return replace(step, texts=texts, width=width, height=step.height + 1)
