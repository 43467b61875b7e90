"""The history of a run: as a table, as JSON, and for other systems."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from cli.histories import history_pages, print_history
from cli.options import RenamedOption, Target, listing_options
from cli.render import print_array, print_json, print_lines
from cli.run_ids import RUN
from cli.times import Time

if TYPE_CHECKING:
    from openagents_json.engine import HistoryEvent, Recorded

FORMATS = ("table", "json", "jsonl", "cloudevents", "otel")


@click.command()
@click.argument("run", type=RUN)
@click.option(
    "--after-event",
    "after",
    cls=RenamedOption,
    formerly="--after",
    type=click.IntRange(0),
    default=0,
    metavar="VERSION",
    help="Only events after this one.",
)
@click.option(
    "--type",
    "types",
    multiple=True,
    help="Only events of this type; several mean any of them.",
)
@click.option("--step", "steps", multiple=True, help="Only events of this step.")
@click.option(
    "--by",
    "actors",
    multiple=True,
    help="Only events that this actor led to, or whose name begins so.",
)
@click.option("--since", type=Time(), help="Only events from this time on.")
@click.option("--until", type=Time(), help="Only events before this time.")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="How to print.  [default: table]",
)
@listing_options
def history(
    target: Target,
    run: str,
    after: int,
    types: tuple[str, ...],
    steps: tuple[str, ...],
    actors: tuple[str, ...],
    since: int | None,
    until: int | None,
    form: str | None,
) -> None:
    """Show the events of a run: what happened, when, by whom. Each names the commit that led to it.

    `cloudevents` prints a CloudEvent on each line. They are read and printed a thousand at a time, however many there
    are, but for `otel`: that is the run as one trace in OTLP's JSON, of all its events, so they are all held in memory.

    \b
    Example: openagents runs history RUN --step pay --since 2h
    """
    fits = _EventFilter(
        types=types, steps=steps, actors=actors, since=since, until=until
    )
    with target.engine() as engine:
        form = form or ("json" if target.as_json else "table")
        if form == "otel":
            _print_trace(item for page in engine.replay.shown(run) for item in page)
            return
        if form == "cloudevents":
            source = f"openagents:{target.settings.prefix}"
            shown = engine.replay.shown(run, after=after)
            for page in shown:
                _print_cloud_events(filter(fits, page), source)
            return
        pages = history_pages(engine, run, after)
        _print(([item for item in page if fits(item)] for page in pages), form)


@dataclass(frozen=True, slots=True)
class _EventFilter:
    """Which events are shown; what is empty or None narrows nothing."""

    types: tuple[str, ...]
    steps: tuple[str, ...]
    actors: tuple[str, ...]
    since: int | None
    until: int | None

    def __call__(self, item: Recorded | HistoryEvent) -> bool:
        """Tell whether an event is to be shown."""
        if self.types and item.type not in self.types:
            return False
        if self.steps and _step(item) not in self.steps:
            return False
        if self.actors and not item.actor.startswith(self.actors):
            return False
        if self.since is not None and item.time_ms < self.since:
            return False
        return self.until is None or item.time_ms < self.until


def _step(item: Recorded | HistoryEvent) -> str | None:
    if isinstance(item.data, dict):
        return item.data.get("step")
    return None


def _print_trace(recorded: Iterable[Recorded]) -> None:
    from openagents_json.engine.inspection.formats import spans

    print_json(spans(list(recorded)))


def _print_cloud_events(recorded: Iterable[Recorded], source: str) -> None:
    from openagents_json.engine.inspection.formats import cloud_event

    print_lines(cloud_event(item, source) for item in recorded)


def _print(pages: Iterable[Sequence[HistoryEvent]], form: str) -> None:
    match form:
        case "jsonl":
            for page in pages:
                print_lines(page)
        case "json":
            print_array(pages)
        case _:
            print_history(pages)
