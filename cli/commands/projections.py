"""Projections: how they stand, building them anew, and comparing them with the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import click

from cli.failing.interrupts import notice_at_interrupt, notice_of_repeatable
from cli.options import Target, knowing_listing_options, knowing_options
from cli.render import answer, print_json, short, show
from cli.terminal import say


@click.group()
def projections() -> None:
    """Look at read models, build them anew, check them."""


@projections.command("list")
@knowing_listing_options
def list_projections(target: Target) -> int:
    """List projections. Exit code: 1 when one of them stands still.

    \b
    Example: openagents projections list
    """
    with target.engine(projections=True) as engine:
        statuses = engine.projections.status()
    rows = (
        (
            status.name,
            str(status.version),
            str(status.generation),
            str(status.lag),
            _rebuilding(status.rebuilding, status.rebuild_lag),
            short(_troubles(status.trouble), 200),
        )
        for status in statuses
    )
    header = (
        "projection",
        "version",
        "generation",
        "events behind",
        "rebuilding",
        "stands still",
    )
    show(statuses, header, rows, as_json=target.as_json)
    return 1 if any(status.trouble for status in statuses) else 0


def _rebuilding(generation: int | None, lag: int) -> str:
    if generation is None:
        return ""
    return f"generation {generation}, {lag} to go"


def _troubles(trouble: Mapping[int, Mapping[str, Any]]) -> str:
    return "; ".join(
        f"partition {partition}, {cause['type']} of {cause['run']}: {cause['error']}"
        for partition, cause in trouble.items()
    )


@projections.command()
@click.argument("name")
@click.option(
    "--wait/--no-wait",
    default=True,
    show_default=True,
    help="Build here and now, beside the workers.",
)
@knowing_options
def rebuild(target: Target, name: str, wait: bool) -> int:
    """Build a view anew from the log, beside the one in use. Readers change over when it has caught up.

    \b
    Example: openagents projections rebuild runs
    """
    with (
        target.engine(projections=True) as engine,
        notice_at_interrupt(notice_of_repeatable),
    ):
        views = engine.projections
        generation = views.rebuild(name)
        in_use = views.finish_rebuild(name) if wait else False
    state = "in use" if in_use else "being built"
    answer(
        {"projection": name, "generation": generation, "in_use": in_use},
        f"{name}: generation {generation} is {state}",
        as_json=target.as_json,
    )
    return 0 if in_use or not wait else 1


@projections.command()
@click.argument("name")
@knowing_options
def verify(target: Target, name: str) -> int:
    """Compare a view with a fold of the whole log. Exit code: 1 when they differ.

    \b
    Example: openagents projections verify runs
    """
    with target.engine(projections=True) as engine:
        drifts = engine.projections.verify(name)
        left = engine.projections.left()
    verdict = "as the log has it"
    if drifts:
        verdict = f"{len(drifts)} differences; build it anew"
    messages = [
        f"partition {drift.partition}: {drift.what}: the view has {drift.view}, the log {drift.log}"
        for drift in drifts
    ]
    answer(drifts, [*messages, f"{name}: {verdict}"], as_json=target.as_json)
    if left and not target.as_json:
        where = ", ".join(map(str, left))
        say(
            f"sums of partitions {where} count archived and deleted runs too, and are not compared",
            err=True,
        )
    return 1 if drifts else 0


@projections.command("show")
@click.argument("name")
@click.argument("key", required=False)
@knowing_options
def show_projection(target: Target, name: str, key: str | None) -> None:
    """Print the documents of a view, or those under a key, as JSON.

    \b
    Example: openagents projections show runs RUN
    """
    with target.engine(projections=True) as engine:
        views = engine.projections
        if key is not None:
            print_json(views.get(name, key))
            return
        documents = {row.key: row.document for row in views.documents(name)}
        counts = Counter[str]()
        for tally in views.tallies(name, stale=True):
            counts.update(_whole_numbers(tally))
        print_json({"documents": documents, "counts": counts})


def _whole_numbers(tally: Mapping[str, Any]) -> dict[str, int]:
    """Return the counts of a view without the values that it keeps beside them."""
    return {name: value for name, value in tally.items() if isinstance(value, int)}
