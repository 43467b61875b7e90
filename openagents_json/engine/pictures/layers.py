"""Steps in rows, so that all ways lead down; a way that passes a row takes a column of it."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from operator import itemgetter
from typing import Final, NamedTuple

Pair = tuple[str, str]
"""The names of two steps, from one to the other."""

GAP: Final = 3
"""How many columns are free between two things in a row."""

SWEEPS: Final = 4


@dataclass(slots=True, eq=False)
class Slot:
    """What stands in a row: a step, or a line that passes it; a `shared` one is that of several steps above.

    Each is there once, so it is compared by what it is, not by what it says.
    """

    name: str
    row: int
    is_line: bool = False
    is_shared: bool = False


Links = dict[Slot, list[Slot]]
"""What each thing of a row is joined with in the next one."""


class Rows(NamedTuple):
    """The rows from above, and between each two of them what is joined."""

    slots: list[list[Slot]]
    links: list[Links]


def in_order(names: Sequence[str], pairs: Iterable[Pair]) -> list[str]:
    """Return names so that each stands behind those that lead to it, and otherwise as they are."""
    number = dict(zip(names, count(), strict=False))
    targets: dict[str, list[str]] = defaultdict(list)
    missing = dict.fromkeys(names, 0)
    for source, target in dict.fromkeys(pairs):
        targets[source].append(target)
        missing[target] += 1
    ready = [number[name] for name in names if not missing[name]]
    ordered: list[str] = []
    while ready:
        name = names[heapq.heappop(ready)]
        ordered.append(name)
        for target in targets[name]:
            missing[target] -= 1
            if not missing[target]:
                heapq.heappush(ready, number[target])
    return ordered


def rows_of(widths: Mapping[str, int], pairs: Sequence[Pair], room: int) -> Rows:
    """Put steps into rows that are not wider than the room, as far as that is possible."""
    row_of = _row_of(widths, pairs, room)
    rows = _joined(row_of, pairs)
    for sweep in range(SWEEPS):
        _sort(rows, downwards=sweep % 2 == 0)
    return rows


def _row_of(
    widths: Mapping[str, int], pairs: Sequence[Pair], room: int
) -> dict[str, int]:
    """Return the row of each step: the first below those that lead to it in which there is room."""
    first_row: dict[str, int] = defaultdict(int)
    targets: dict[str, list[str]] = defaultdict(list)
    for source, target in pairs:
        targets[source].append(target)
    row_of: dict[str, int] = {}
    used: list[int] = []
    for name in in_order(list(widths), pairs):
        width = widths[name] + GAP
        row = first_row[name]
        while row < len(used) and used[row] + width > room:
            row += 1
        if row == len(used):
            used.append(-GAP)
        used[row] += width
        row_of[name] = row
        for target in targets[name]:
            first_row[target] = max(first_row[target], row + 1)
    return row_of


def _joined(row_of: Mapping[str, int], ways: Sequence[Pair]) -> Rows:
    """Join steps row by row; long ways from one step, or to one step, share their line."""
    rows = range(max(row_of.values(), default=-1) + 1)
    slots: list[list[Slot]] = [[] for _ in rows]
    links: list[dict[Slot, dict[Slot, None]]] = [{} for _ in rows]
    steps: dict[str, Slot] = {}
    passings: list[dict[str, Slot]] = [{} for _ in rows]
    for name, row in row_of.items():
        steps[name] = Slot(name, row)
        slots[row].append(steps[name])
    leaving = Counter(map(itemgetter(0), ways))
    arriving = Counter(map(itemgetter(1), ways))
    for source, target in ways:
        is_shared = leaving[source] < arriving[target]
        line = f"to {target}" if is_shared else f"from {source}"
        above = steps[source]
        last = row_of[target]
        for row in range(above.row + 1, last):
            passing = passings[row].get(line)
            if passing is None:
                passing = passings[row][line] = Slot(line, row, True, is_shared)
                slots[row].append(passing)
            links[row - 1].setdefault(above, {})[passing] = None
            above = passing
        links[last - 1].setdefault(above, {})[steps[target]] = None
    return Rows(slots, list(map(_listed, links)))


def _listed(links: Mapping[Slot, Iterable[Slot]]) -> Links:
    return {upper: list(lowers) for upper, lowers in links.items()}


def _sort(rows: Rows, *, downwards: bool) -> None:
    """Sort each row by the middle of what its things are joined with, so that few lines cross."""
    joined = zip(rows.slots, rows.slots[1:], rows.links, strict=False)
    channels = list(joined)
    if downwards:
        for above, below, links in channels:
            _by_middle(below, above, upwards(links))
        return
    for above, below, links in reversed(channels):
        _by_middle(above, below, links)


def upwards(links: Links) -> Links:
    """Return links the other way round."""
    turned: Links = defaultdict(list)
    for upper, lowers in links.items():
        for lower in lowers:
            turned[lower].append(upper)
    return turned


def _by_middle(slots: list[Slot], fixed: Sequence[Slot], joined: Links) -> None:
    if len(slots) == 1:
        return
    number = dict(zip(fixed, count(), strict=False))
    middle: dict[Slot, float] = {}
    for at, slot in enumerate(slots):
        others = list(map(number.__getitem__, joined.get(slot, ())))
        middle[slot] = sum(others) / len(others) if others else at
    slots.sort(key=middle.__getitem__)
