"""Lists from the views: runs by any combination, and what there is of steps, components, workers and failures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from cli.commands.runs.columns import (
    USUAL,
    columns_option,
    draw_rows,
    error_of,
    is_compact,
    standing,
    wide_option,
)
from cli.listing import Entry, draw_list
from cli.options import Target, target_options
from cli.render import console, second, short, show, text
from cli.run_ids import RUN, short_ids
from cli.terminal import say
from cli.times import Duration, Time, ago, lasting
from openagents_json.engine import STATUSES, RunFilter

if TYPE_CHECKING:
    from rich.text import Text

    from openagents_json.engine import RunRow
    from openagents_json.engine.inspection.queries import FailureClass

_STATUS = click.Choice(STATUSES)

_FILTERS = [
    click.option(
        "--status",
        multiple=True,
        type=_STATUS,
        help="Only runs of this status; several mean any of them.",
    ),
    click.option("--workflow", multiple=True, help="Only runs of this workflow."),
    click.option(
        "--workflow-version",
        "version",
        multiple=True,
        help="Only runs of this version.",
    ),
    click.option(
        "--label",
        "labels",
        multiple=True,
        metavar="NAME=VALUE",
        help="Only runs with this label.",
    ),
    click.option(
        "--fingerprint",
        multiple=True,
        help="Only runs that failed like this; see `runs failures`.",
    ),
    click.option(
        "--error", multiple=True, help="Only runs that failed with this type of error."
    ),
    click.option(
        "--parent",
        multiple=True,
        type=RUN,
        help="Only runs that a step of this run started.",
    ),
    click.option(
        "--forked-from",
        "source",
        multiple=True,
        type=RUN,
        help="Only forks of this run.",
    ),
    click.option("--reopened", is_flag=True, help="Only runs that were opened again."),
    click.option("--held", is_flag=True, help="Only runs that are held."),
    click.option(
        "--redacted", is_flag=True, help="Only runs of which something was erased."
    ),
    click.option(
        "--imported",
        is_flag=True,
        help="Only runs that were written in another store at first.",
    ),
    click.option("--started-after", "started_from", type=Time()),
    click.option("--started-before", "started_to", type=Time()),
    click.option("--ended-after", "ended_from", type=Time()),
    click.option("--ended-before", "ended_to", type=Time()),
    click.option("--took-over", "took_from", type=Duration()),
    click.option("--took-under", "took_to", type=Duration()),
]


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options by which runs are chosen; the command gets them as one `chosen`."""

    def with_filter(**values: Any) -> Any:
        given = {name: values.pop(name) for name in RunFilter.__dataclass_fields__}
        given["labels"] = _labels(given["labels"])
        return command(chosen=RunFilter(**given), **values)

    with_filter.__name__, with_filter.__doc__ = command.__name__, command.__doc__
    wrapped: Callable[..., Any] = with_filter
    for option in reversed([*_FILTERS]):
        wrapped = option(wrapped)
    own = getattr(command, "__click_params__", [])
    wrapped.__click_params__ = [*own, *getattr(wrapped, "__click_params__", [])]  # type: ignore[attr-defined]
    return wrapped


def _labels(texts: Iterable[str]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for pair in texts:
        name, equals, value = pair.partition("=")
        if not equals:
            raise click.BadParameter(
                f"{pair!r} must be NAME=VALUE", param_hint="--label"
            )
        earlier = labels.setdefault(name, value)
        if earlier != value:
            raise click.BadParameter(
                f"{name!r} cannot be both {earlier!r} and {value!r}",
                param_hint="--label",
            )
    return labels


@click.command("list")
@click.option("--as-of", type=Time(), help="As they were at a time.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option(
    "--after",
    default="",
    metavar="CURSOR",
    help="Behind the page that ended with this.",
)
@click.option("--count", "only_count", is_flag=True, help="Only how many there are.")
@click.option("--archived", is_flag=True, help="Those that are in the archive.")
@columns_option
@wide_option
@target_options
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
    wide: bool,
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
    if not target.as_json and (columns or is_compact(target, wide=wide)):
        draw_rows(page.items, columns or USUAL, now_ms=now_ms, wide=wide)
    else:
        show(page.items, _HEADER, map(_cells, page.items), as_json=target.as_json)
    if page.next:
        say(f"there are more: --after {page.next}", err=True)


def _list_archived(target: Target, chosen: RunFilter, limit: int, after: str) -> None:
    with target.views() as views:
        page = views.archived(chosen, limit=limit, after=after)
    rows = (
        (*_cells(item.run)[:6], second(item.archived_ms), item.url)
        for item in page.items
    )
    show(
        page.items,
        (*_HEADER[:6], "archived (UTC)", "file"),
        rows,
        as_json=target.as_json,
    )
    if page.next:
        say(f"there are more: --after {page.next}", err=True)


_HEADER = ("run", "workflow", "version", "status", "started (UTC)", "took", "error")


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
@wide_option
@target_options
def failures(target: Target, wide: bool) -> None:
    """List the classes of failures, the latest first: those of a class share workflow, step and message.

    \b
    Example: openagents runs failures
    """
    with target.views() as views:
        classes = views.failures()
        now_ms = views.now_ms()
    if is_compact(target, wide=wide):
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


@click.command()
@click.option(
    "--status",
    "step_status",
    default="",
    help="Only steps of this status, such as started, wait or gated.",
)
@click.option("--worker", default="", help="Only steps at this worker.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=200, show_default=True
)
@target_options
def steps(target: Target, step_status: str, worker: str, limit: int) -> None:
    """List the steps under way in all runs, those that have been so for longest first."""
    with target.views() as views:
        open_steps = views.steps(status=step_status, worker=worker)
    longest = sorted(open_steps, key=lambda step: step.since_ms)[:limit]
    rows = (
        (
            step.run,
            step.workflow,
            step.step,
            step.status,
            second(step.since_ms),
            str(step.attempt or ""),
            step.worker,
        )
        for step in longest
    )
    header = ("run", "workflow", "step", "status", "since (UTC)", "attempt", "worker")
    show(longest, header, rows, as_json=target.as_json)


@click.command()
@target_options
def components(target: Target) -> None:
    """List the components that have run, with counts of attempts and latencies."""
    with target.views() as views:
        statistics = views.components()
    rows = (
        (
            component.component,
            str(component.completed),
            str(component.failed),
            str(component.lost),
            f"{component.error_rate:.1%}",
            lasting(component.p50_ms),
            lasting(component.p95_ms),
            lasting(component.p99_ms),
        )
        for component in statistics
    )
    header = (
        "component",
        "completed",
        "failed",
        "lost",
        "error rate",
        "p50",
        "p95",
        "p99",
    )
    show(statistics, header, rows, as_json=target.as_json)


@click.command()
@target_options
def workers(target: Target) -> None:
    """List the worker processes on record, the latest first."""
    with target.views() as views:
        processes = views.workers()
    names = ("started", "completed", "failed", "lost", "ignored")
    rows = (
        (
            process.worker,
            "alive" if process.alive else "",
            *(str(process.counts.get(name, 0)) for name in names),
            _last(process.last_ms),
        )
        for process in processes
    )
    show(processes, ("worker", "", *names, "last (UTC)"), rows, as_json=target.as_json)


def _last(time_ms: int) -> str:
    return second(time_ms) if time_ms else ""
