"""Check a store."""

from __future__ import annotations

import click

from cli.options import Target, target_options
from cli.render import print_json


@click.command()
@target_options
def doctor(target: Target) -> int:
    """Check the server, the workers, the clocks, and that every run can go on.

    Exit code: 0 when all is well, 1 when something needs attention.
    """
    from openagents_json.engine.diagnosis import diagnose

    with target.engine() as engine:
        found = diagnose(engine, target.settings)
    if target.as_json:
        print_json(found)
    else:
        for line in found.lines():
            click.echo(line)
    return 0 if found.healthy else 1
