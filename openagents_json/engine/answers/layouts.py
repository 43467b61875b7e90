"""Where the steps of a workflow stand in its picture."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PlacedStep:
    """A step as a box, of which steps inside of others are further right and down; `path` is that without indexes.

    `texts` are its lines, the name first; the one that is empty has room for how the step stands.
    """

    path: str
    kind: str
    texts: tuple[str, ...]
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Line:
    """A part of a way between steps, straight down or across."""

    x: int
    y: int
    to_x: int
    to_y: int


@dataclass(frozen=True, slots=True)
class Head:
    """Where an arrow arrives from above."""

    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Layout:
    """The picture of a document, which is always the same; lengths are cells of a text in a monospaced font."""

    hash: str
    title: str
    width: int
    height: int
    steps: tuple[PlacedStep, ...]
    lines: tuple[Line, ...]
    heads: tuple[Head, ...]
