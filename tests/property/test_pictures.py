"""Whoever follows the lines of a picture comes to what the document says, and nowhere else."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as some

from openagents_json.engine.pictures.canvas import (
    BOX_LINES,
    DOWN,
    LEFT,
    RIGHT,
    UP,
    VERTICAL,
    text_of,
)
from openagents_json.engine.pictures.drawing import drawing_of
from openagents_json.engine.pictures.graph import Arrow, Graph, Node
from openagents_json.engine.pictures.shapes import Box, Drawing
from tests.examples import examples

SIDES = {character: sides for sides, character in BOX_LINES.items()}
STEPS = {DOWN: (0, 1), LEFT: (-1, 0), RIGHT: (1, 0)}
OPPOSITE = {UP: DOWN, DOWN: UP, LEFT: RIGHT, RIGHT: LEFT}

Pairs = set[tuple[str, str]]


def graph(names: list[str], pairs: Pairs) -> Graph:
    nodes = tuple(Node(name, name, "component") for name in names)
    arrows = tuple(Arrow(source, target) for source, target in sorted(pairs))
    return Graph("w 1.0.0", nodes, arrows)


def lines(drawing: Drawing) -> list[str]:
    return ["".join(piece.text for piece in row) for row in text_of(drawing)]


def traced(drawing: Drawing) -> Pairs:
    """Follow all lines from the lower edge of each box to the heads of arrows."""
    cells = {
        (x, y): character
        for y, row in enumerate(lines(drawing))
        for x, character in enumerate(row)
    }
    tops = {
        (x, box.y): box.node.name
        for box in drawing.boxes
        for x in range(box.x, box.x + box.width)
    }
    edges = {
        (x, box.y + box.height - 1)
        for box in drawing.boxes
        for x in range(box.x, box.x + box.width)
    }
    pairs = set()
    for box in drawing.boxes:
        for target in ends(box, cells, edges):
            pairs.add((box.node.name, tops[target]))
    return pairs


def ends(
    box: Box, cells: dict[tuple[int, int], str], edges: set[tuple[int, int]]
) -> set[tuple[int, int]]:
    bottom = box.y + box.height - 1
    todo = [
        ((x, bottom + 1), DOWN)
        for x in range(box.x, box.x + box.width)
        if cells[x, bottom] == "┬"
    ]
    reached, seen = set(), set()
    while todo:
        at, direction = todo.pop()
        if (at, direction) in seen or at in edges:
            continue
        seen.add((at, direction))
        if cells[at] == "▼":
            reached.add((at[0], at[1] + 1))
            continue
        sides = SIDES[cells[at]]
        if sides == VERTICAL and direction in (LEFT, RIGHT):
            ways = {direction}  # it passes below the other line
        else:
            assert sides & OPPOSITE[direction], (at, cells[at])
            # Lines run down: one that comes up to a junction is where another one arrives.
            ways = {side for side in (DOWN, LEFT, RIGHT) if sides & side}
            ways -= {OPPOSITE[direction]}
        for way in ways:
            x, y = STEPS[way]
            todo.append(((at[0] + x, at[1] + y), way))
    return reached


def told(drawing: Drawing) -> Pairs:
    """Return what is said in words where lines would need more room than there is."""
    return {
        (source, box.node.name)
        for box in drawing.boxes
        for text in box.texts
        if text.startswith("after ")
        for source in text.removeprefix("after ").split(", ")
    }


@some.composite
def documents(draw: some.DrawFn) -> tuple[list[str], Pairs]:
    count = draw(some.integers(1, 9))
    names = [f"s{number}" for number in draw(some.permutations(range(count)))]
    ways = [(a, b) for at, a in enumerate(names) for b in names[at + 1 :]]
    chosen = draw(some.lists(some.sampled_from(ways), max_size=16)) if ways else []
    return sorted(names), set(chosen)


FAN = [f"s{number}" for number in range(9)]


@given(documents(), some.integers(30, 100))
@example((FAN, {("s0", x) for x in FAN[1:8]} | {(x, "s8") for x in FAN[1:8]}), 40)
@example((FAN, {(a, b) for a in FAN[:3] for b in FAN[3:6]} | {("s0", "s8")}), 60)
@example(
    (
        [f"s{number}" for number in range(9)],
        {("s0", "s4"), ("s0", "s7"), ("s1", "s3"), ("s1", "s7"), ("s3", "s8")}
        | {("s4", "s8"), ("s7", "s8")},
    ),
    30,
)
@settings(max_examples=examples(50), deadline=None)
def test_lines_lead_from_each_step_to_those_that_follow_it(
    document: tuple[list[str], Pairs], room: int
) -> None:
    names, pairs = document
    drawing = drawing_of(graph(names, pairs), room)
    text = lines(drawing)
    assert traced(drawing) | told(drawing) == pairs, "\n" + "\n".join(text)
    assert max(map(len, text)) <= room
    assert sorted(box.node.name for box in drawing.boxes) == names
