"""How things look in a terminal; JSON goes to stdout untouched by colour."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from openagents_json.engine import HistoryEvent

WHOLE = frozenset({"run", "last run", "fingerprint", "status"})
"""Columns that are never cut: people copy from them."""

COLOURS = {"completed": "green", "failed": "red", "cancelled": "yellow", "running": "cyan", "paused": "magenta"}


def plain(value: Any) -> Any:
    """Give a value as JSON types."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return value


def print_json(value: Any) -> None:
    """Print JSON, indented when a person reads it."""
    click.echo(_printable(json.dumps(plain(value), ensure_ascii=False, indent=2, sort_keys=True)))


def print_line(value: Any) -> None:
    """Print JSON on one line."""
    click.echo(_printable(json.dumps(plain(value), ensure_ascii=False, sort_keys=True)))


def _printable(text: str) -> str:
    """Escape halves of characters, as JSON does: a terminal takes none."""
    return text.encode("utf-8", "backslashreplace").decode()


def when(time_ms: int) -> str:
    """Give a time as people read it, in UTC."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def status(text: str) -> str:
    """Give a status in its colour."""
    return f"[{COLOURS[text]}]{text}[/]" if text in COLOURS else text


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> Table:
    """Give a table of texts."""
    made = Table()
    for name in header:
        made.add_column(name, no_wrap=name in WHOLE)
    for row in rows:
        made.add_row(*row)
    return made


def history_table(events: Iterable[HistoryEvent]) -> Table:
    """Give a table of events."""
    table = Table("#", "time (UTC)", "event", "step", "attempt", "by", "details")
    for event in events:
        attempt = "" if event.attempt is None else str(event.attempt)
        table.add_row(
            str(event.version), when(event.time_ms), event.type, event.step or "", attempt, event.actor, details(event)
        )
    return table


def details(event: HistoryEvent, width: int = 60) -> str:
    """Give what an event says, short."""
    hidden = ("step", "attempt", "worker", "fence")
    rest = {key: value for key, value in event.data.items() if key not in hidden}
    error = rest.get("error")
    if isinstance(error, Mapping):
        rest["error"] = f"{error.get('type')}: {error.get('message')}"
    text = json.dumps(rest, ensure_ascii=False, sort_keys=True) if rest else ""
    return text if len(text) <= width else text[: width - 1] + "…"


def console(*, error: bool = False) -> Console:
    """Give a terminal to draw on."""
    return Console(stderr=error, highlight=False)


def show(value: Any, table: Table | None, *, as_json: bool) -> None:
    """Print a value as JSON or as a table."""
    if as_json or table is None:
        print_json(value)
    else:
        console().print(table)
