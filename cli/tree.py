"""Steps as a tree: who stands inside of whom by their paths, and which of many items are worth a line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar


class HasPath(Protocol):
    """A step by its path, with its status."""

    @property
    def path(self) -> str:
        """Return the path."""
        ...

    @property
    def status(self) -> str:
        """Return the status."""
        ...


Row = TypeVar("Row", bound=HasPath)

ITEMS: Final = 5
"""How many items of a step are shown; those that failed or are under way come first."""

_SETTLED: Final = frozenset({"completed", "skipped", "cancelled"})


@dataclass(frozen=True, slots=True)
class Branch(Generic[Row]):
    """A step in the tree; `lasts` tells of itself and each step around it whether it is the last one there."""

    row: Row
    lasts: tuple[bool, ...]

    def drawn(self, *, plain: bool = False) -> str:
        """Return its name with the lines of the tree before it."""
        name = self.row.path[len(parent_of(self.row.path)) :].lstrip(".")
        if len(self.lasts) == 1:
            return name
        through, branch, end = ("| ", "|-", "`-") if plain else ("│ ", "├─", "└─")
        before = "".join("  " if last else through for last in self.lasts[1:-1])
        return f"{before}{end if self.lasts[-1] else branch} {name}"


def parent_of(path: str) -> str:
    """Return the path of the step around a step, empty for one of the run itself."""
    if path.endswith("]"):
        return path[: path.rindex("[")]
    return path.rpartition(".")[0]


def branches(
    rows: Sequence[Row], *, whole: bool = False
) -> tuple[list[Branch[Row]], int]:
    """Return the steps as a tree, and how many items were left out of it."""
    present = {row.path for row in rows}
    inside: dict[str, list[Row]] = {}
    for row in rows:
        inside.setdefault(_present_parent(row.path, present), []).append(row)
    drawn: list[Branch[Row]] = []
    # A stack, not a recursion: how deep blocks stand in blocks is the document's to say.
    stack = _branches_of(inside, "", (), whole)
    while stack:
        branch = stack.pop()
        drawn.append(branch)
        stack += _branches_of(inside, branch.row.path, branch.lasts, whole)
    return drawn, len(rows) - len(drawn)


def _present_parent(path: str, present: set[str]) -> str:
    parent = parent_of(path)
    while parent and parent not in present:
        parent = parent_of(parent)
    return parent


def _branches_of(
    inside: dict[str, list[Row]],
    parent: str,
    lasts: tuple[bool, ...],
    whole: bool,
) -> list[Branch[Row]]:
    rows = inside.get(parent, [])
    if not whole:
        rows = _worth_a_line(rows)
    last = len(rows) - 1
    return [Branch(rows[at], (*lasts, at == last)) for at in range(last, -1, -1)]


def _worth_a_line(rows: Iterable[Row]) -> list[Row]:
    """Return the steps, of items the first few: those that failed, then those under way, then the others."""
    rows = list(rows)
    items = [row for row in rows if row.path.endswith("]")]
    if len(items) <= ITEMS:
        return rows
    first = sorted(items, key=_rank)[:ITEMS]
    chosen = {row.path for row in first}
    return [row for row in rows if row.path in chosen or not row.path.endswith("]")]


def _rank(row: HasPath) -> int:
    if row.status == "failed":
        return 0
    return 2 if row.status in _SETTLED else 1
