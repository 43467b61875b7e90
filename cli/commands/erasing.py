"""Erasing what runs worked with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.commands.replaying import reason_option
from cli.options import Target, target_options
from cli.render import print_json

if TYPE_CHECKING:
    from openagents_json.engine import Engine


@click.command()
@click.argument("run")
@click.option("--step", "steps", multiple=True, help="Only what belongs to this step; several are erased together.")
@click.option("--event", "events", multiple=True, type=click.IntRange(1), help="Only this event, by its number.")
@click.option("--labels", is_flag=True, help="The labels of the run as well.")
@reason_option
@target_options
def redact(
    target: Target, run: str, steps: tuple[str, ...], events: tuple[int, ...], labels: bool, reason: str
) -> None:
    """Erase for good what a closed run worked with: inputs, outputs, signals and messages of errors.

    Who did what and when stays, and the ledger verifies as before. What is erased cannot be brought back.
    """
    with target.engine() as engine:
        done = engine.redact(run, reason, steps=steps, events=events, labels=labels)
        others = _copies(engine, run)
    if target.as_json:
        print_json(
            {"id": run, "events": done.events, "payloads": done.payloads, "rewritten": done.rewritten, "copies": others}
        )
        return
    click.echo(f"{run}: {done.events} events and {done.payloads} payloads beside the log are erased")
    if done.events and not done.rewritten:
        click.echo("the server's append-only file holds them until it is rewritten: have BGREWRITEAOF run", err=True)
    if others:
        click.echo(f"these may hold copies of it, redact them as well: {', '.join(others)}", err=True)


def _copies(engine: Engine, run: str) -> list[str]:
    """Give the runs that were given something of a run: its forks, and those that its steps started."""
    from openagents_json.engine import RunFilter

    chosen = (RunFilter(source=(run,)), RunFilter(parent=(run,)))
    return [row.id for filter_ in chosen for row in engine.views.runs(filter_, limit=100).items]
