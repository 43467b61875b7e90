"""Look at a run: what it is, how its steps stand, what it waits for, and what to do next."""

from __future__ import annotations

import click

from cli.options import Target, listing_options
from cli.render import console, print_json
from cli.run_ids import RUN


@click.command("show")
@click.argument("run", type=RUN)
@click.option("--all", "whole", is_flag=True, help="Show every item of a foreach.")
@listing_options
def show_run(target: Target, run: str, whole: bool) -> None:
    """Show a run: steps, waits, errors, and what to do next. With --json, all of it as JSON.

    \b
    Example: openagents runs show RUN
    """
    with target.engine() as engine:
        if target.as_json:
            print_json(engine.state(run))
            return
        seen = engine.overview(run)
    from cli.commands.runs.inspection import picture

    picture.draw(console(), seen, target, whole=whole)
