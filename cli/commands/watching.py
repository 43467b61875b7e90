"""Look at a run: as it is, as it goes on, and what its components show."""

from __future__ import annotations

import json

import click

from cli.commands.run import progress
from cli.options import Target, target_options
from cli.render import console, print_json, print_line


@click.command("show")
@click.argument("run")
@target_options
def show_run(target: Target, run: str) -> None:
    """Show a run with its steps, as JSON."""
    with target.engine() as engine:
        print_json(engine.state(run))


@click.command()
@click.argument("run")
@target_options
def watch(target: Target, run: str) -> None:
    """Follow a run until it ends; with --json, a line of JSON for each event."""
    terminal, after = console(), 0
    with target.engine() as engine:
        engine.state(run)
        while True:
            for event in engine.watch(run, after=after, block_ms=1000):
                after = event.version
                if target.as_json:
                    print_line(event)
                else:
                    terminal.print(progress(event))
                if event.type in ("RunCompleted", "RunFailed", "RunCancelled"):
                    return


@click.command()
@click.argument("run")
@target_options
def output(target: Target, run: str) -> None:
    """Follow what the components of a run show while they run, such as progress or tokens, until it ends.

    With --json, a line of JSON for each; otherwise texts are printed one after the other.
    """
    after = "0-0"
    with target.engine() as engine:
        closed = False
        while not closed:
            closed = engine.state(run).status in ("completed", "failed", "cancelled")
            for item in engine.emitted(run, after=after, block_ms=0 if closed else 500):
                after = item.id
                if target.as_json:
                    print_line(item)
                else:
                    click.echo(item.value if isinstance(item.value, str) else json.dumps(item.value), nl=False)
        if not target.as_json:
            click.echo()
