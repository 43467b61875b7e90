"""Where the things of rows begin: near to what they are joined with, and apart from each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from openagents_json.engine.pictures.layers import GAP, Links, Rows, Slot, upwards

PASSES = 3
"""How often all rows are gone through; a picture is settled after that, or is a tangle anyway."""


def columns_of(rows: Rows, widths: Mapping[Slot, int]) -> dict[Slot, int]:
    """Return the column in which each thing begins; the first one is 0."""
    begins: dict[Slot, int] = {}
    for slots in rows.slots:
        column = 0
        for slot in slots:
            begins[slot] = column
            column += widths[slot] + GAP
    count = len(rows.slots)
    above = [upwards(links) for links in rows.links]
    before: dict[Slot, int] = {}
    for _ in range(PASSES):
        # A pass that moves nothing is the last: the next one would do the same.
        if begins == before:
            break
        before = dict(begins)
        for row in range(1, count):
            _align(rows.slots[row], above[row - 1], begins, widths)
        for row in range(count - 2, -1, -1):
            _align(rows.slots[row], rows.links[row], begins, widths)
    first = min(begins.values(), default=0)
    return {slot: column - first for slot, column in begins.items()}


def _align(
    slots: Sequence[Slot],
    joined: Links,
    begins: dict[Slot, int],
    widths: Mapping[Slot, int],
) -> None:
    """Move the things of a row to the middle of what they are joined with, as far as others leave room."""
    ideal = []
    for slot in slots:
        centres = [begins[other] + widths[other] // 2 for other in joined.get(slot, ())]
        middle = sum(centres) // len(centres) if centres else None
        half = widths[slot] // 2
        ideal.append(begins[slot] if middle is None else middle - half)
    if len(slots) == 1:  # nothing is beside it
        begins[slots[0]] = ideal[0]
        return
    rightmost = _pushed_right(slots, ideal, widths)
    leftmost = _pushed_left(slots, ideal, widths)
    # Both keep the distances, so their middle does, and it prefers no side.
    for slot, right, left in zip(slots, rightmost, leftmost, strict=True):
        begins[slot] = (right + left) // 2


def _pushed_right(
    slots: Sequence[Slot], ideal: Sequence[int], widths: Mapping[Slot, int]
) -> list[int]:
    columns: list[int] = []
    least = min(ideal, default=0)
    for slot, column in zip(slots, ideal, strict=True):
        columns.append(max(column, least))
        least = columns[-1] + widths[slot] + GAP
    return columns


def _pushed_left(
    slots: Sequence[Slot], ideal: Sequence[int], widths: Mapping[Slot, int]
) -> list[int]:
    columns: list[int] = []
    most: int | None = None
    for slot, column in zip(reversed(slots), reversed(ideal), strict=True):
        room = column if most is None else most - widths[slot] - GAP
        columns.append(min(column, room))
        most = columns[-1]
    return columns[::-1]
