"""Projections: how they stand, building them anew, and comparing them with the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import click

from cli.options import Target, target_options
from cli.render import print_json, short, show
from cli.terminal import say


@click.group()
def projections() -> None:
    """Look at read models, build them anew, and compare them with the log."""


@projections.command("list")
@target_options
def list_projections(target: Target) -> int:
    """List projections. Exit code: 1 when one of them stands still."""
    with target.engine(projections=True) as engine:
        found = engine.projections.status()
    rows = (
        (
            x.name,
            str(x.version),
            str(x.generation),
            str(x.lag),
            ""
            if x.rebuilding is None
            else f"generation {x.rebuilding}, {x.rebuild_lag} to go",
            short(_troubles(x.trouble), 200),
        )
        for x in found
    )
    header = (
        "projection",
        "version",
        "generation",
        "events behind",
        "rebuilding",
        "stands still",
    )
    show(found, header, rows, as_json=target.as_json)
    return 1 if any(x.trouble for x in found) else 0


def _troubles(trouble: Mapping[int, Mapping[str, Any]]) -> str:
    return "; ".join(
        f"partition {p}, {t['type']} of {t['run']}: {t['error']}"
        for p, t in trouble.items()
    )


@projections.command()
@click.argument("name")
@click.option(
    "--wait/--no-wait",
    default=True,
    show_default=True,
    help="Build here and now, beside the workers.",
)
@target_options
def rebuild(target: Target, name: str, wait: bool) -> int:
    """Build a view anew from the log, beside the one in use; readers change over when it has caught up."""
    with target.engine(projections=True) as engine:
        views = engine.projections
        generation = views.rebuild(name)
        done = views.finish_rebuild(name) if wait else False
    said = f"{name}: generation {generation} is {'in use' if done else 'being built'}"
    print_json(
        {"projection": name, "generation": generation, "in_use": done}
    ) if target.as_json else say(said)
    return 0 if done or not wait else 1


@projections.command()
@click.argument("name")
@target_options
def verify(target: Target, name: str) -> int:
    """Compare a view with a fold of the whole log. Exit code: 1 when they differ."""
    with target.engine(projections=True) as engine:
        found, left = engine.projections.verify(name), engine.projections.left()
    if target.as_json:
        print_json(found)
    else:
        for drift in found:
            say(
                f"partition {drift.partition}: {drift.what}: the view has {drift.view}, the log {drift.log}"
            )
        say(
            f"{name}: {len(found)} differences; build it anew"
            if found
            else f"{name}: as the log has it"
        )
        if left:
            where = ", ".join(map(str, left))
            say(
                f"sums of partitions {where} count archived and deleted runs too, and are not compared",
                err=True,
            )
    return 1 if found else 0


@projections.command("show")
@click.argument("name")
@click.argument("key", required=False)
@target_options
def show_projection(target: Target, name: str, key: str | None) -> None:
    """Print the documents of a view, or those under a key, as JSON."""
    with target.engine(projections=True) as engine:
        views = engine.projections
        if key is None:
            documents = {row.key: row.document for row in views.documents(name)}
            counts = Counter[str]()
            for tally in views.tallies(name, stale=True):
                counts.update(
                    {
                        key: value
                        for key, value in tally.items()
                        if isinstance(value, int)
                    }
                )
            print_json({"documents": documents, "counts": counts})
        else:
            print_json(views.get(name, key))
