"""A picture as text: box characters on a grid, as runs of characters that have one style."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import reduce
from itertools import groupby, repeat
from operator import itemgetter
from typing import Final, NamedTuple

from openagents_json.engine.pictures.shapes import Box, Drawing, Wire
from openagents_json.engine.pictures.widths import cells

UP, DOWN, LEFT, RIGHT = 1, 2, 4, 8
VERTICAL: Final = UP | DOWN
HORIZONTAL: Final = LEFT | RIGHT

BOX_LINES: Final = dict(enumerate(" │││─┘┐┤─└┌├─┴┬┼"))
PLAIN_LINES: Final = dict(enumerate(" |||-+++-+++-+++"))
"""The characters for lines to some sides, by the sum of these sides; the second for what has no box characters."""

BORDER: Final = -2
"""The bundle of all borders."""


class Piece(NamedTuple):
    """Characters of one status, empty for none; `is_name` tells that they are the name of a step."""

    text: str
    status: str = ""
    is_name: bool = False


BLANK: Final = Piece(" ")


class _Cell(NamedTuple):
    sides: int = 0
    status: str = ""

    def joined(self, other: _Cell) -> _Cell:
        """Return both lines as one."""
        return _Cell(self.sides | other.sides, self.status or other.status)


Lines = dict[tuple[int, int], dict[int, _Cell]]
"""The lines at each place, by their bundle: only when all are there it can be said which cross."""


def text_of(drawing: Drawing, *, plain: bool = False) -> Iterator[list[Piece]]:
    """Return the lines of a picture, `plain` without box characters."""
    lines: Lines = {}
    texts: dict[tuple[int, int], Piece] = {}
    for box in drawing.boxes:
        _border(lines, box)
        _write(texts, box)
    for wire in drawing.wires:
        _segment(lines, wire)
    head = Piece("v" if plain else "▼")
    texts |= dict.fromkeys(drawing.heads, head)
    characters = PLAIN_LINES if plain else BOX_LINES
    drawn = {at: _visible(bundles.values()) for at, bundles in lines.items()}
    shown = {at: Piece(characters[x.sides], x.status) for at, x in drawn.items()}
    shown |= texts
    columns = range(drawing.width)
    for y in range(drawing.height):
        cells_of_row = zip(columns, repeat(y), strict=False)
        yield _line([shown.get(cell, BLANK) for cell in cells_of_row])


def _line(pieces: list[Piece]) -> list[Piece]:
    """Join pieces of one style; nothing stands at the end that cannot be seen."""
    while pieces and pieces[-1] == BLANK:
        pieces.pop()
    line = []
    for style, group in groupby(pieces, key=itemgetter(slice(1, None))):
        text = "".join(map(itemgetter(0), group))
        line.append(Piece(text, *style))
    return line


def _border(lines: Lines, box: Box) -> None:
    status = box.node.status
    right = box.x + box.width - 1
    bottom = box.y + box.height - 1
    for y in (box.y, bottom):
        _segment(lines, Wire(bundle=BORDER, x=box.x, y=y, to_x=right, to_y=y), status)
    for x in (box.x, right):
        _segment(lines, Wire(bundle=BORDER, x=x, y=box.y, to_x=x, to_y=bottom), status)


def _segment(lines: Lines, wire: Wire, status: str = "") -> None:
    if wire.y == wire.to_y:
        for x in range(wire.x, wire.to_x + 1):
            left = LEFT * (x > wire.x)
            right = RIGHT * (x < wire.to_x)
            _add(lines, (x, wire.y), wire.bundle, _Cell(left | right, status))
        return
    for y in range(wire.y, wire.to_y + 1):
        up = UP * (y > wire.y)
        down = DOWN * (y < wire.to_y)
        _add(lines, (wire.x, y), wire.bundle, _Cell(up | down, status))


def _add(lines: Lines, at: tuple[int, int], bundle: int, cell: _Cell) -> None:
    """Add a line to a place; it may be half of one that goes on with the next wire of its bundle."""
    bundles = lines.setdefault(at, {})
    bundles[bundle] = bundles.get(bundle, _Cell()).joined(cell)


def _visible(cells: Collection[_Cell]) -> _Cell:
    """Return what is drawn of the lines at a place: one that crosses another is broken, so as not to look joined."""
    by_sides = {cell.sides: cell for cell in cells}
    if by_sides.keys() == {VERTICAL, HORIZONTAL}:
        return by_sides[VERTICAL]
    return reduce(_Cell.joined, cells)


def _write(texts: dict[tuple[int, int], Piece], box: Box) -> None:
    """Write the lines of a box; the first is the name of its step."""
    status = box.node.status
    x = box.x + 2
    y = box.y + 1
    for row, text in enumerate(box.texts, y):
        style = Piece("", status, row == y)
        _write_line(texts, (x, row), text, style)


def _write_line(
    texts: dict[tuple[int, int], Piece], at: tuple[int, int], text: str, style: Piece
) -> None:
    """Write a line: what takes two columns leaves nothing for the second, and a mark stands with what it is on."""
    x, y = at
    for character in text:
        width = cells(character)
        if not width:
            marked = texts.get((x - 1, y), BLANK)
            texts[x - 1, y] = marked._replace(text=marked.text + character)
            continue
        texts[x, y] = style._replace(text=character)
        for column in range(x + 1, x + width):
            texts[column, y] = style
        x += width
