"""When the steps of a run were worked on: a bar for each, with its waits and its attempts."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from math import ceil
from operator import attrgetter
from typing import TYPE_CHECKING, Final

import click

from cli.options import Target, reading_options
from cli.render import console, print_json, status, text
from cli.run_ids import RUN
from cli.terminal import line
from cli.times import lasting
from cli.tree import branches

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from openagents_json.engine.answers.times import Bar, Span, Timeline

TOOK: Final = 9
"""How wide the column of durations is."""

NARROWEST: Final = 20
"""How wide bars are at least."""

GAP: Final = "   "
ITEM: Final = "]"
"""How the path of an item or iteration ends."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a time looks like, and what it means; later ones of `MARKS` are drawn over those before them."""

    sign: str
    plain: str
    style: str
    meaning: str


MARKS: Final = {
    "group": Mark(sign="┄", plain=".", style="dim", meaning="holds other steps"),
    "queued": Mark(sign="░", plain=":", style="dim", meaning="waits for a worker"),
    "gated": Mark(
        sign="▒", plain="%", style="magenta", meaning="waits for a lock or a rate"
    ),
    "retry": Mark(
        sign="·", plain=",", style="yellow", meaning="waits to be tried again"
    ),
    "wait": Mark(
        sign="─",
        plain="-",
        style="yellow",
        meaning="waits for a signal, a time or a run",
    ),
    "attempt": Mark(sign="█", plain="#", style="cyan", meaning="is worked on"),
    "failed": Mark(sign="✗", plain="x", style="red", meaning="ends badly"),
}
BAD: Final = frozenset({"failed", "timed out", "lost"})


@click.command("timeline")
@click.argument("run", type=RUN)
@click.option("--all", "whole", is_flag=True, help="A bar for each item and iteration.")
@reading_options
def show_timeline(target: Target, run: str, whole: bool) -> None:
    """Show when steps of a run were worked on, and when they waited. Items of a foreach share one bar.

    \b
    Example: openagents runs timeline RUN
    """
    with target.engine() as engine:
        seen = engine.timeline(run)
    if target.as_json:
        print_json(seen)
    else:
        draw(console(), seen, shutil.get_terminal_size().columns, whole=whole)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the picture: the bars that share it, the first of which gives it its name."""

    path: str
    status: str
    bars: Sequence[Bar]


def draw(terminal: Console, seen: Timeline, width: int, *, whole: bool) -> None:
    """Draw the times of a run."""
    heading = text(f"run {seen.run} of {seen.workflow} ", "bold")
    terminal.print(heading.append_text(status(seen.status)), soft_wrap=True)
    plain = terminal.options.ascii_only
    shown = branches(_rows(seen.bars, whole=whole), whole=True)[0]
    names = [line(branch.drawn(plain=plain)) for branch in shown]
    widest = max(map(len, (*names, "step")))
    page = _page(seen, min(widest, width // 3), width, plain=plain)
    terminal.print(text(page.axis(), "bold"), soft_wrap=True)
    used: set[str] = set()
    for name, branch in zip(names, shown, strict=True):
        cells = page.scale.cells(branch.row.bars, page.last_ms)
        used.update(cells)
        _draw_row(terminal, page, name, branch.row, cells)
    _draw_legend(terminal, used, page)


@dataclass(frozen=True, slots=True)
class Page:
    """What all lines share: how wide names and all of it are, the time until which they go, and their scale."""

    names: int
    width: int
    last_ms: int
    scale: Scale
    plain: bool

    def axis(self) -> str:
        """Return the line above the bars."""
        took = lasting(self.last_ms - self.scale.first_ms)
        room = self.scale.room - len(took)
        return f"{'step':<{self.names}}  {'0':<{room}}{took}  {'took':>{TOOK}}"

    def sign(self, kind: str) -> Text:
        """Return the sign of a kind of times."""
        if not kind:
            return text(" ")
        mark = MARKS[kind]
        return text(mark.plain if self.plain else mark.sign, mark.style)


def _page(seen: Timeline, names: int, width: int, *, plain: bool) -> Page:
    last_ms = seen.now_ms if seen.ended_ms is None else seen.ended_ms
    room = max(NARROWEST, width - names - TOOK - 4)
    scale = Scale(seen.began_ms, max(last_ms, seen.began_ms + 1), room)
    return Page(names=names, width=width, last_ms=last_ms, scale=scale, plain=plain)


def _draw_row(
    terminal: Console, page: Page, name: str, row: Row, cells: Sequence[str]
) -> None:
    drawn = text(f"{_fitted(name, page.names)}  ")
    for kind in cells:
        drawn.append_text(page.sign(kind))
    drawn.append_text(text(f"  {_took(row, page.last_ms):>{TOOK}}"))
    terminal.print(drawn, soft_wrap=True)
    note = _note(row)
    if note:
        below = text(f"{' ' * page.names}  {note}", "dim")
        below.truncate(page.width, overflow="ellipsis")
        terminal.print(below, soft_wrap=True)


def _rows(bars: Iterable[Bar], *, whole: bool) -> list[Row]:
    """Return the lines of the picture; what is inside of an item or iteration is on the line of what holds it."""
    rows: dict[str, list[Bar]] = {}
    for bar in bars:
        path = bar.path if whole else bar.path.partition("[")[0]
        rows.setdefault(path, []).append(bar)
    shown: list[Row] = []
    for path, shared in rows.items():
        first = shared[0]
        row = Row(path, first.status, shared)
        shown.append(row)
    return shown


@dataclass(frozen=True, slots=True)
class Scale:
    """Times as columns."""

    first_ms: int
    last_ms: int
    room: int

    def column(self, time_ms: int) -> float:
        """Return where a time is, 0 at the beginning."""
        passed = (time_ms - self.first_ms) / (self.last_ms - self.first_ms)
        return min(max(passed, 0.0), 1.0) * self.room

    def cells(self, bars: Sequence[Bar], now_ms: int) -> list[str]:
        """Return the kinds of times in the columns of a line, empty where there is none."""
        cells = [""] * self.room
        spans = list(chain.from_iterable(map(attrgetter("spans"), bars)))
        # What matters most is drawn last, over what shares its column.
        for span in sorted(spans, key=_weight):
            first, last = self._columns(span, now_ms)
            cells[first : last + 1] = [span.kind] * (last + 1 - first)
        for span in spans:
            if span.end in BAD:
                cells[self._columns(span, now_ms)[1]] = "failed"
        return cells

    def _columns(self, span: Span, now_ms: int) -> tuple[int, int]:
        """Return the first and the last column of a time: each has one at least."""
        ended_ms = now_ms if span.ended_ms is None else span.ended_ms
        first = min(int(self.column(span.began_ms)), self.room - 1)
        last = min(ceil(self.column(ended_ms)), self.room) - 1
        return first, max(first, last)


def _weight(span: Span) -> int:
    return list(MARKS).index(span.kind)


def _fitted(name: str, width: int) -> str:
    if len(name) > width:
        return f"{name[: width - 1]}…"
    return f"{name:<{width}}"


def _took(row: Row, last_ms: int) -> str:
    """Return how long a step took; it goes on where there is a plus behind it."""
    spans = row.bars[0].spans
    if not spans:
        return ""
    began_ms = spans[0].began_ms
    ended_ms = spans[-1].ended_ms
    if ended_ms is None:
        return f"{lasting(max(0, last_ms - began_ms))}+"
    return lasting(max(0, ended_ms - began_ms))


def _note(row: Row) -> str:
    """Say what the line of a step does not show: how its items or its attempts ended."""
    if len(row.bars) > 1:
        return _of_items(row)
    attempts = row.bars[0].attempts
    if len(attempts) < 2:
        return ""
    ends = [span.end or "under way" for span in attempts]
    return f"{len(attempts)} attempts: {', '.join(ends)}"


def _of_items(row: Row) -> str:
    items = [bar for bar in row.bars if bar.path.endswith(ITEM)]
    counts = Counter(map(attrgetter("status"), items))
    parts = [f"{len(items)} items"]
    for name, count in counts.items():
        parts.append(f"{count} {name}")
    return ", ".join(parts)


def _draw_legend(terminal: Console, used: set[str], page: Page) -> None:
    """Say what the signs mean, as many on a line as there is room for."""
    drawn = text("")
    for kind, mark in MARKS.items():
        if kind not in used:
            continue
        meaning = text(f" {mark.meaning}", "dim")
        entry = page.sign(kind).append_text(meaning)
        if drawn.cell_len + len(GAP) + entry.cell_len > page.width:
            terminal.print(drawn, soft_wrap=True)
            drawn = text("")
        if drawn.cell_len:
            drawn.append(GAP)
        drawn.append_text(entry)
    terminal.print(drawn, soft_wrap=True)
