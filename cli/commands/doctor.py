"""Check a store."""

from __future__ import annotations

import click

from cli.options import Target, target_options
from cli.render import print_json
from cli.terminal import say


@click.command()
@click.option(
    "--repair", is_flag=True, help="Mend runs that do not fit their log, from the log."
)
@click.option(
    "--deep",
    is_flag=True,
    help="Read each event of each run, also where a run looks right from outside.",
)
@target_options
def doctor(target: Target, repair: bool, deep: bool) -> int:
    """Check the server, the workers, the clocks, and that every run can go on.

    A server that has no store yet is looked over all the same. Exit code: 0 when all is well, 1 when something needs
    attention.
    """
    from openagents_json.engine import NoStore
    from openagents_json.engine.diagnosis.doctor import diagnose, diagnose_server

    try:
        with target.engine() as engine:
            for mended in engine.repair() if repair else ():
                say(
                    f"{'mended' if mended.done else 'left'}: {mended.run}: {mended.what}",
                    err=True,
                )
            found = diagnose(engine, target.settings, deep=deep)
    except NoStore as missing:
        if not target.settings.url:
            raise
        found = diagnose_server(target.settings, missing)
    if target.as_json:
        print_json(found)
    else:
        for line in found.lines():
            say(line)
    return 0 if found.healthy else 1
