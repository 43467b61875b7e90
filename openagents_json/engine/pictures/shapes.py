"""What a picture consists of, on a grid of characters: boxes, lines and heads of arrows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple

from openagents_json.engine.pictures.graph import Node


@dataclass(frozen=True, slots=True)
class Box:
    """A step at its column and row; `texts` are its lines, the first of them its name."""

    x: int
    y: int
    width: int
    height: int
    texts: tuple[str, ...]
    node: Node

    def shifted(self, x: int, y: int) -> Box:
        """Return the box further to the right and down."""
        return replace(self, x=self.x + x, y=self.y + y)


class Wire(NamedTuple):
    """A line from one cell to another in the same row or column; wires of one `bundle` may run into each other."""

    bundle: int
    x: int
    y: int
    to_x: int
    to_y: int

    def shifted(self, x: int, y: int) -> Wire:
        """Return the line further to the right and down."""
        return Wire(
            bundle=self.bundle,
            x=self.x + x,
            y=self.y + y,
            to_x=self.to_x + x,
            to_y=self.to_y + y,
        )


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture; `heads` are the cells with the head of an arrow that points down.

    It is not `clear` where two lines would have to lie on each other.
    """

    width: int = 0
    height: int = 0
    boxes: tuple[Box, ...] = ()
    wires: tuple[Wire, ...] = ()
    heads: tuple[tuple[int, int], ...] = ()
    clear: bool = True

    def shifted(self, x: int, y: int) -> Drawing:
        """Return the picture further to the right and down."""
        if x == y == 0:
            return self
        return Drawing(
            width=self.width + x,
            height=self.height + y,
            boxes=tuple(box.shifted(x, y) for box in self.boxes),
            wires=tuple(wire.shifted(x, y) for wire in self.wires),
            heads=tuple((head_x + x, head_y + y) for head_x, head_y in self.heads),
            clear=self.clear,
        )


def stacked(drawings: Iterable[Drawing]) -> Drawing:
    """Return pictures below each other, as one."""
    y = 0
    parts = []
    for drawing in drawings:
        part = drawing.shifted(0, y)
        parts.append(part)
        y = part.height + 1
    return joined(parts)


def joined(parts: Sequence[Drawing]) -> Drawing:
    """Return pictures that stand where they belong already, as one."""
    widths = map(attrgetter("width"), parts)
    heights = map(attrgetter("height"), parts)
    return Drawing(
        width=max(widths, default=0),
        height=max(heights, default=0),
        boxes=_all(parts, "boxes"),
        wires=_all(parts, "wires"),
        heads=_all(parts, "heads"),
        clear=all(map(attrgetter("clear"), parts)),
    )


def _all(parts: Sequence[Drawing], name: str) -> tuple[Any, ...]:
    """Return what all pictures have of a kind."""
    return tuple(chain.from_iterable(map(attrgetter(name), parts)))
