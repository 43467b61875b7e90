"""The events of a run as a table, page by page: however many there are, no more than two pages are held."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from cli.listing import Entry, draw_entries, draw_titles, widths_of
from cli.render import console, details, table, text, when, who
from cli.terminal import say_lines

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from openagents_json.engine import Engine, HistoryEvent

NUMBER: Final = "#"
DETAILS: Final = "details"
HEADER: Final = (NUMBER, "time (UTC)", "event", "step", "attempt", "by", DETAILS)
SHARED: Final = ("step", "by")
"""Columns that take a fixed share of a terminal's width where a table comes in pages."""

OTHERS: Final = 72
"""About what the other columns take of it, with a beginning of the details."""

NARROW: Final = 110
"""On a narrower terminal, details beside all the rest could not be read."""

NUMBERS: Final = 6
"""How wide the numbers of events become."""

GAP: Final = 2
PAGE: Final = 1_000


def history_table(events: Iterable[HistoryEvent]) -> Table:
    """Return a table of events."""
    return table(HEADER, map(_row, events))


def history_pages(
    engine: Engine, run: str, after: int
) -> Iterator[Sequence[HistoryEvent]]:
    """Return the events of a run behind a version, page by page.

    Raises RunNotFound.
    """
    page: Sequence[HistoryEvent] = engine.history(run, after=after, limit=PAGE)
    while len(page) == PAGE:
        yield page
        page = engine.history(run, after=page[-1].version, limit=PAGE)
    yield page


def print_history(pages: Iterable[Sequence[HistoryEvent]]) -> None:
    """Print events as a table."""
    terminal = console()
    filled = (page for page in pages if page)
    if not terminal.is_terminal:
        _write(filled)
        return
    if terminal.width < NARROW:
        _draw_with_details_below(terminal, filled)
        return
    first = next(filled, ())
    second = next(filled, None)
    if second is None:
        terminal.print(history_table(first))
    else:
        _draw(terminal, first, itertools.chain((second,), filled))


def _draw_with_details_below(
    terminal: Console, pages: Iterator[Sequence[HistoryEvent]]
) -> None:
    """Draw events with their details on a line of their own, all in columns as wide as the first page needs them."""
    first = list(map(_entry, next(pages, ())))
    header = HEADER[:-1]
    widths = widths_of(header, first, frozenset(SHARED), terminal.width - NUMBERS)
    widths[0] = NUMBERS
    draw_titles(terminal, header, widths)
    draw_entries(terminal, first, widths)
    for page in pages:
        draw_entries(terminal, list(map(_entry, page)), widths)


def _entry(event: HistoryEvent) -> Entry:
    *cells, about = _row(event)
    return Entry([text(cell) for cell in cells], text(about).plain)


def _draw(
    terminal: Console,
    first: Sequence[HistoryEvent],
    others: Iterable[Sequence[HistoryEvent]],
) -> None:
    """Draw several pages for people, in columns as wide as the first one needs them."""
    share = max(8, (terminal.width - OTHERS) // 4)
    widths = _widest(map(_row, first), [0] * len(HEADER))
    drawn = history_table(first)
    _set_widths(drawn, widths, share)
    terminal.print(drawn)
    for page in others:
        drawn = history_table(page)
        drawn.show_header = False
        _set_widths(drawn, widths, share)
        terminal.print(drawn)


def _set_widths(drawn: Table, widths: Sequence[int], share: int) -> None:
    for name, width, column in zip(HEADER, widths, drawn.columns, strict=True):
        needed = max(width, len(name))
        if name in SHARED:
            column.min_width = column.max_width = min(share, needed)
        elif name == NUMBER:
            column.min_width = max(needed, NUMBERS)
        elif name != DETAILS:
            column.min_width = needed


def _write(pages: Iterator[Sequence[HistoryEvent]]) -> None:
    """Write pages for other programs: no cell is cut, so columns grow where one does not fit."""
    from rich.cells import set_cell_size

    widths = [0] * len(HEADER)
    rows: list[Sequence[str]] = [HEADER]
    for page in itertools.chain((next(pages, ()),), pages):
        rows += [_plain_row(event) for event in page]
        widths = _widest(rows, widths)
        lines = []
        for row in rows:
            cells = zip(row, widths, strict=True)
            padded = [set_cell_size(cell, width + GAP) for cell, width in cells]
            lines.append("".join(padded).rstrip())
        say_lines("\n".join(lines))
        rows = []


def _plain_row(event: HistoryEvent) -> tuple[str, ...]:
    return tuple(text(cell).plain for cell in _row(event))


def _widest(rows: Iterable[Sequence[str]], widths: Sequence[int]) -> list[int]:
    from rich.cells import cell_len

    columns = zip(*rows, strict=True)
    return [
        max(width, *map(cell_len, column))
        for width, column in zip(widths, columns, strict=True)
    ]


def _row(event: HistoryEvent) -> tuple[str, ...]:
    attempt = "" if event.attempt is None else str(event.attempt)
    return (
        str(event.version),
        when(event.time_ms),
        event.type,
        event.step or "",
        attempt,
        who(event),
        details(event),
    )
