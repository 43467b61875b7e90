"""Lists from the views: runs by any combination, and what there is of steps, components, workers and failures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from cli.commands.runs.columns import (
    USUAL,
    columns_option,
    draw_archived,
    draw_rows,
    error_of,
    is_compact,
    standing,
)
from cli.commands.runs.filters import filter_options
from cli.listing import Entry, draw_list
from cli.options import Target, listing_options, page_options
from cli.render import console, second, short, show, text
from cli.run_ids import short_ids
from cli.terminal import note, say
from cli.times import Time, ago, lasting
from openagents_json.engine import RunFilter

if TYPE_CHECKING:
    from rich.text import Text

    from openagents_json.engine import RunRow
    from openagents_json.engine.answers.lists import ArchivedRun, FailureClass


@click.command("list")
@click.option("--as-of", type=Time(), help="As they were at a time.")
@page_options
@click.option("--count", "only_count", is_flag=True, help="Only how many there are.")
@click.option("--archived", is_flag=True, help="Those that are in the archive.")
@columns_option
@listing_options
@filter_options
def list_runs(
    target: Target,
    chosen: RunFilter,
    as_of: int | None,
    limit: int,
    after: str,
    only_count: bool,
    archived: bool,
    columns: tuple[str, ...],
) -> None:
    """List runs, newest first. A time is 2026-11-23T08:00 (UTC), or how long ago: 90s, 15m, 2h, 7d.

    On a terminal, ids are short, which every command takes, and times say how long ago; --wide shows both in full.

    \b
    Examples:
      openagents runs list --status failed --started-after 1d
      openagents runs list --columns run,status,labels
    """
    if (as_of is not None) + only_count + archived > 1:
        raise click.UsageError("--as-of, --count and --archived do not go together")
    if columns and (only_count or archived):
        raise click.UsageError("--columns is for lists of runs that are in the store")
    if archived:
        _list_archived(target, chosen, limit, after)
        return
    with target.views() as views:
        if only_count:
            say(views.count(chosen))
            return
        if as_of is None:
            page = views.runs(chosen, limit=limit, after=after)
        else:
            page = views.as_of(as_of, chosen, limit=limit, after=after)
        now_ms = views.now_ms()
    if not target.as_json and (columns or is_compact(target)):
        draw_rows(page.items, columns or USUAL, now_ms=now_ms)
    else:
        show(page.items, _HEADER, map(_cells, page.items), as_json=target.as_json)
    if page.next:
        note(f"there are more: --after {page.next}")


def _list_archived(target: Target, chosen: RunFilter, limit: int, after: str) -> None:
    with target.views() as views:
        page = views.archived(chosen, limit=limit, after=after)
        now_ms = views.now_ms()
    if is_compact(target):
        draw_archived(page.items, now_ms)
    else:
        header = (*_HEADER[:6], "archived (UTC)", "file")
        show(
            page.items, header, map(_archived_cells, page.items), as_json=target.as_json
        )
    if page.next:
        note(f"there are more: --after {page.next}")


_HEADER = ("run", "workflow", "version", "status", "started (UTC)", "took", "error")


def _archived_cells(item: ArchivedRun) -> tuple[str | Text, ...]:
    return (*_cells(item.run)[:6], second(item.archived_ms), item.url)


def _cells(row: RunRow) -> tuple[str | Text, ...]:
    return (
        row.id,
        row.workflow,
        row.version,
        standing(row),
        second(row.started_ms),
        lasting(row.took_ms),
        short(error_of(row), 60),
    )


@click.command()
@listing_options
def failures(target: Target) -> None:
    """List the classes of failures, the latest first. Those of a class share workflow, step and message.

    \b
    Example: openagents runs failures
    """
    with target.views() as views:
        classes = views.failures()
        now_ms = views.now_ms()
    if is_compact(target):
        _draw_failures(classes, now_ms)
        return
    header = (
        "fingerprint",
        "workflow",
        "step",
        "error",
        "ever",
        "now",
        "last (UTC)",
        "last run",
    )
    rows = (
        (
            item.fingerprint,
            item.workflow,
            item.step or "",
            short(f"{item.type}: {item.message}", 60),
            str(item.count),
            str(item.now),
            second(item.last_ms),
            item.last_run,
        )
        for item in classes
    )
    show(classes, header, rows, as_json=target.as_json)


def _draw_failures(classes: Sequence[FailureClass], now_ms: int) -> None:
    ids = short_ids(item.last_run for item in classes)
    header = ("fingerprint", "workflow", "step", "ever", "now", "last", "last run")
    entries = [
        Entry(
            [
                text(item.fingerprint),
                text(item.workflow),
                text(item.step or ""),
                text(str(item.count)),
                text(str(item.now)),
                text(ago(item.last_ms, now_ms)),
                text(ids[item.last_run]),
            ],
            f"{item.type}: {item.message}",
        )
        for item in classes
    ]
    draw_list(console(), header, entries, cut=frozenset({"workflow", "step"}))
