"""Lists for people: a line for each thing, as wide as the terminal, with what does not fit on a line below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cli.render import text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

GAP: Final = 2
INDENT: Final = "  "
NARROWEST: Final = 6
"""A column is not cut further than that; what is behind it then goes over the end of the line."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing of a list: its cells, and what stands below them, empty for nothing."""

    cells: Sequence[Text]
    below: str = ""


def draw_list(
    terminal: Console,
    header: Sequence[str],
    entries: Sequence[Entry],
    *,
    cut: frozenset[str],
) -> None:
    """Draw a list; where there is no room, the columns of `cut` are cut, the widest first."""
    widths = widths_of(header, entries, cut, terminal.width)
    draw_titles(terminal, header, widths)
    draw_entries(terminal, entries, widths)


def draw_titles(
    terminal: Console, header: Sequence[str], widths: Sequence[int]
) -> None:
    """Draw the first line of a list."""
    titles = [text(name, "bold") for name in header]
    terminal.print(_line(titles, widths), soft_wrap=True)


def draw_entries(
    terminal: Console, entries: Sequence[Entry], widths: Sequence[int]
) -> None:
    """Draw the lines of a list, or more of them, in columns of given widths."""
    for entry in entries:
        terminal.print(_line(entry.cells, widths), soft_wrap=True)
        if entry.below:
            below = text(INDENT + entry.below, "dim")
            below.truncate(terminal.width, overflow="ellipsis")
            terminal.print(below, soft_wrap=True)


def widths_of(
    header: Sequence[str], entries: Sequence[Entry], cut: frozenset[str], room: int
) -> list[int]:
    """Return how wide the columns of a list are in the room that there is."""
    widths = [len(name) for name in header]
    for entry in entries:
        for at, cell in enumerate(entry.cells):
            widths[at] = max(widths[at], cell.cell_len)
    cuttable = [at for at, name in enumerate(header) if name in cut]
    while cuttable and sum(widths) + GAP * (len(widths) - 1) > room:
        widest = max(cuttable, key=lambda at: widths[at])
        if widths[widest] <= NARROWEST:
            break
        widths[widest] -= 1
    return widths


def _line(cells: Sequence[Text], widths: Sequence[int]) -> Text:
    drawn = text("")
    for at, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        fitted = cell.copy()
        fitted.truncate(width, overflow="ellipsis", pad=True)
        drawn.append_text(fitted)
        if at < len(widths) - 1:
            drawn.append(" " * GAP)
    drawn.rstrip()
    return drawn
