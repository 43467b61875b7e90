"""Columns of the list of runs: which there are, and what each says."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from cli.listing import Entry, draw_list
from cli.options import Target
from cli.render import console, second, status, text
from cli.run_ids import short_ids
from cli.terminal import is_wide
from cli.times import ago, lasting

if TYPE_CHECKING:
    from rich.text import Text

    from openagents_json.engine import RunRow
    from openagents_json.engine.answers.lists import ArchivedRun

USUAL: Final = ("run", "workflow", "status", "started", "took")
"""What a list on a terminal shows of each run; an error stands on a line below it."""


@dataclass(frozen=True, slots=True)
class Page:
    """What all rows of a page share: their ids as they are shown, the time, and whether all is shown in full."""

    ids: Mapping[str, str]
    now_ms: int
    wide: bool

    def moment(self, time_ms: int | None) -> str:
        """Return a time: how long ago it was, or in full."""
        if time_ms is None:
            return ""
        if self.wide:
            return second(time_ms)
        return ago(time_ms, self.now_ms)


def error_of(row: RunRow) -> str:
    """Return the error of a run on one line, empty for none."""
    if row.error:
        return f"{row.error['type']}: {row.error['message']}"
    return ""


def standing(row: RunRow) -> Text:
    """Return the status; of a run that was written elsewhere, nobody here knows whether it is true."""
    shown = status(row.status)
    if row.imported:
        return shown.append(" (imported)")
    return shown


def _labels(row: RunRow) -> str:
    return ", ".join(f"{name}={value}" for name, value in row.labels.items())


def _parent(row: RunRow, page: Page) -> str:
    run = str((row.parent or {}).get("run", ""))
    if page.wide:
        return run
    return page.ids.get(run, run)


COLUMNS: Final[Mapping[str, Callable[[RunRow, Page], Text]]] = {
    "run": lambda row, page: text(page.ids.get(row.id, row.id)),
    "workflow": lambda row, _: text(row.workflow),
    "version": lambda row, _: text(row.version),
    "status": lambda row, _: standing(row),
    "started": lambda row, page: text(page.moment(row.started_ms)),
    "ended": lambda row, page: text(page.moment(row.ended_ms)),
    "took": lambda row, _: text(lasting(row.took_ms)),
    "step": lambda row, _: text(row.step or ""),
    "error": lambda row, _: text(error_of(row)),
    "fingerprint": lambda row, _: text(row.fingerprint or ""),
    "labels": lambda row, _: text(_labels(row)),
    "parent": lambda row, page: text(_parent(row, page)),
    "events": lambda row, _: text(str(row.events)),
}

_CUT: Final = frozenset({"workflow", "version", "step", "error", "labels", "parent"})


class Columns(click.ParamType[tuple[str, ...]]):
    """Names of columns with commas between them."""

    name = "NAME,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Read the names."""
        if isinstance(value, tuple):
            return value
        names = tuple(name.strip() for name in str(value).split(",") if name.strip())
        for name in names:
            if name not in COLUMNS:
                there_are = ", ".join(COLUMNS)
                self.fail(
                    f"there is no column {name!r}; there are {there_are}", param, ctx
                )
        return names


columns_option = click.option(
    "--columns",
    type=Columns(),
    default=(),
    help=f"Which columns, in this order: {', '.join(COLUMNS)}.",
)


def is_compact(target: Target) -> bool:
    """Tell whether a list is for a person at a terminal, who has not asked for all of it."""
    return sys.stdout.isatty() and not is_wide() and not target.as_json


def draw_rows(rows: Sequence[RunRow], names: Sequence[str], *, now_ms: int) -> None:
    """Draw runs; an error that is no column stands below its run, unless columns were chosen."""
    compact = sys.stdout.isatty() and not is_wide()
    ids = short_ids(row.id for row in rows) if compact else {}
    page = Page(ids, now_ms, not compact)
    entries = [
        Entry(
            [COLUMNS[name](row, page) for name in names],
            error_of(row) if tuple(names) == USUAL else "",
        )
        for row in rows
    ]
    terminal = console()
    draw_list(terminal, names, entries, cut=_CUT if compact else frozenset())


def draw_archived(items: Sequence[ArchivedRun], now_ms: int) -> None:
    """Draw archived runs; the file of each stands below it."""
    ids = short_ids(item.run.id for item in items)
    header = ("run", "workflow", "status", "archived", "took")
    entries: list[Entry] = []
    for item in items:
        row = item.run
        cells = [
            text(ids[row.id]),
            text(row.workflow),
            standing(row),
            text(ago(item.archived_ms, now_ms)),
            text(lasting(row.took_ms)),
        ]
        entries.append(Entry(cells, item.url))
    draw_list(console(), header, entries, cut=_CUT)
