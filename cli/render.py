"""How things look in a terminal; JSON goes to stdout untouched by colour."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cli.terminal import is_wide, line, say, say_json
from openagents_json.engine import plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from openagents_json.engine import HistoryEvent

WHOLE = frozenset({"run", "event", "last run", "fingerprint", "status"})
"""Columns that are never cut, and no times are: people copy from them."""

FOLDED = frozenset({"details", "why", "stands still"})
"""Columns that take several lines where there is no room for one; others are cut."""

UNBOUNDED = 100_000
"""Columns of what is no terminal: lines for other programs are not cut or folded."""

COLOURS = {
    "completed": "green",
    "failed": "red",
    "cancelled": "yellow",
    "running": "cyan",
    "paused": "magenta",
}


def print_json(value: Any) -> None:
    """Print JSON, indented when a person reads it."""
    say_json(json.dumps(plain(value), ensure_ascii=False, indent=2, sort_keys=True))


def print_line(value: Any) -> None:
    """Print JSON on one line."""
    say_json(json.dumps(plain(value), ensure_ascii=False, sort_keys=True))


def print_lines(values: Iterable[Any]) -> None:
    """Print JSON, one value on each line, all at once."""
    lines = [
        json.dumps(plain(value), ensure_ascii=False, sort_keys=True) for value in values
    ]
    if lines:
        say_json("\n".join(lines))


def print_array(pages: Iterable[Sequence[Any]]) -> None:
    """Print an array as `print_json` does, page by page."""
    begin = "["
    for page in filter(None, pages):
        items = [
            json.dumps(plain(value), ensure_ascii=False, indent=2, sort_keys=True)
            for value in page
        ]
        indented = [f"\n{textwrap.indent(item, '  ')}" for item in items]
        say_json(begin + ",".join(indented), nl=False)
        begin = ","
    say_json("[]" if begin == "[" else "\n]")


def answer(value: Any, message: str | Iterable[str], *, as_json: bool) -> None:
    """Print a value as JSON, or the lines that say it to people."""
    if as_json:
        print_json(value)
        return
    messages = [message] if isinstance(message, str) else message
    for sentence in messages:
        say(sentence)


def when(time_ms: int) -> str:
    """Return a time as people read it, in UTC."""
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def second(time_ms: int) -> str:
    """Return a time as lists show it, in UTC."""
    return when(time_ms)[:-4]


def status(name: str) -> Text:
    """Return a status in its colour."""
    return text(name, COLOURS.get(name.strip(), ""))


def text(value: str, style: str = "") -> Text:
    """Return what a user or a component wrote: nothing in it is markup, and nothing moves the cursor of a terminal."""
    from rich.text import Text

    return Text(line(value), style)


def table(header: Iterable[str], rows: Iterable[Iterable[str | Text]]) -> Table:
    """Return a table of texts."""
    from rich.table import Table

    names = tuple(header)
    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in names:
        no_wrap = name in WHOLE or name.endswith("(UTC)")
        drawn.add_column(_cell(name, name), no_wrap=no_wrap, overflow="fold")
    for row in rows:
        cells = [_cell(name, value) for name, value in zip(names, row, strict=True)]
        drawn.add_row(*cells)
    return drawn


def _cell(column: str, value: str | Text) -> Text:
    cell = text(value) if isinstance(value, str) else value
    if column not in FOLDED:
        cell.no_wrap = True
        cell.overflow = "ellipsis"
    return cell


def who(event: HistoryEvent) -> str:
    """Name the actor of an event; nobody here knows whether that is true of one that was written elsewhere."""
    if event.imported:
        return f"{event.actor} (imported)"
    return event.actor


def short(value: str, width: int) -> str:
    """Cut a text for people; what another program reads is never cut."""
    if len(value) <= width or not sys.stdout.isatty() or is_wide():
        return value
    return value[: width - 1] + "…"


def details(event: HistoryEvent, width: int = 60) -> str:
    """Return what an event says, short in a terminal."""
    hidden = ("step", "attempt", "worker", "fence")
    rest = {key: value for key, value in event.data.items() if key not in hidden}
    error = rest.get("error")
    if isinstance(error, Mapping):
        rest["error"] = f"{error.get('type')}: {error.get('message')}"
    if not rest:
        return ""
    return short(json.dumps(rest, ensure_ascii=False, sort_keys=True), width)


def console(*, error: bool = False) -> Console:
    """Return a terminal to draw on; a pipe or a file has lines of any length."""
    from cli import drawing

    terminal = drawing.console(error=error)
    if not terminal.is_terminal or is_wide():
        terminal.width = UNBOUNDED
    return terminal


def show(
    value: Any,
    header: Iterable[str],
    rows: Iterable[Iterable[str | Text]],
    *,
    as_json: bool,
) -> None:
    """Print a value as JSON, or as a table of rows."""
    if as_json:
        print_json(value)
    else:
        console().print(table(header, rows))
