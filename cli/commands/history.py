"""The history of a run: as a table, as JSON, and for other systems."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from cli.options import Target, target_options
from cli.render import console, history_table, print_json, print_line
from cli.times import Time

if TYPE_CHECKING:
    from eventstore.event import Recorded

FORMATS = ("table", "json", "jsonl", "cloudevents", "otel")


@click.command()
@click.argument("run")
@click.option("--after", type=click.IntRange(0), default=0, help="Only events after this version.")
@click.option("--type", "types", multiple=True, help="Only events of this type; several mean any of them.")
@click.option("--step", "steps", multiple=True, help="Only events of this step.")
@click.option("--by", "actors", multiple=True, help="Only events that this actor led to, or whose name begins so.")
@click.option("--since", type=Time(), help="Only events from this time on.")
@click.option("--until", type=Time(), help="Only events before this time.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="How to print.  [default: table]")
@target_options
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
    """Show the events of a run: what happened, when, by whom, and which commit led to it.

    `cloudevents` prints a CloudEvent on each line, `otel` the run as a trace in OTLP's JSON (of all its events).
    """
    with target.engine() as engine:
        recorded, source = engine.replay.shown(run), f"openagents:{target.settings.prefix}"
    chosen = [
        item
        for item in recorded
        if item.version > after
        and (not types or item.type in types)
        and (not steps or _step(item) in steps)
        and (not actors or item.actor.startswith(actors))
        and (since is None or item.time_ms >= since)
        and (until is None or item.time_ms < until)
    ]
    _print(recorded, chosen, form or ("json" if target.as_json else "table"), source)


def _step(item: Recorded) -> str | None:
    return item.data.get("step") if isinstance(item.data, dict) else None


def _print(recorded: Sequence[Recorded], chosen: Sequence[Recorded], form: str, source: str) -> None:
    from openagents_json.engine.exports import cloud_event, spans
    from openagents_json.engine.views import history_event

    match form:
        case "otel":
            print_json(spans(recorded))
        case "cloudevents":
            for item in chosen:
                print_line(cloud_event(item, source))
        case "jsonl":
            for item in chosen:
                print_line(history_event(item))
        case "json":
            print_json([history_event(item) for item in chosen])
        case _:
            console().print(history_table([history_event(item) for item in chosen]))
