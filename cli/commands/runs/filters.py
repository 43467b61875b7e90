"""The options by which lists choose runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import click

from cli.completion.types import WORKFLOW_ID
from cli.options import labels_of
from cli.run_ids import RUN
from cli.times import Duration, Time
from openagents_json.engine import STATUSES, RunFilter

_STATUS = click.Choice(STATUSES)

_BOUNDS: Final[Sequence[tuple[str, str, click.ParamType[int], str]]] = (
    ("--started-after", "started_from", Time(), "began from this time on"),
    ("--started-before", "started_to", Time(), "began before this time"),
    ("--ended-after", "ended_from", Time(), "ended from this time on"),
    ("--ended-before", "ended_to", Time(), "ended before this time"),
    ("--took-over", "took_from", Duration(), "took this long, or longer"),
    ("--took-under", "took_to", Duration(), "took less than this"),
)
"""Options for the bounds of times: the name, the field of a filter, how it is read, and which runs it leaves."""

_FILTERS = [
    click.option(
        "--status",
        multiple=True,
        type=_STATUS,
        help="Only runs of this status; several mean any of them.",
    ),
    click.option(
        "--workflow",
        multiple=True,
        type=WORKFLOW_ID,
        metavar="ID",
        help="Only runs of this workflow.",
    ),
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
    *(
        click.option(name, field, type=kind, help=f"Only runs that {which}.")
        for name, field, kind, which in _BOUNDS
    ),
]


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options by which runs are chosen; the command gets them as one `chosen`."""

    def with_filter(**values: Any) -> Any:
        given = {name: values.pop(name) for name in RunFilter.__dataclass_fields__}
        given["labels"] = labels_of(given["labels"])
        return command(chosen=RunFilter(**given), **values)

    with_filter.__name__ = command.__name__
    with_filter.__doc__ = command.__doc__
    wrapped: Callable[..., Any] = with_filter
    for option in reversed(_FILTERS):
        wrapped = option(wrapped)
    own = getattr(command, "__click_params__", [])
    wrapped.__click_params__ = [*own, *getattr(wrapped, "__click_params__", [])]  # type: ignore[attr-defined]
    return wrapped
