"""Check a store."""

from __future__ import annotations

import click

from cli.options import Target, target_options
from cli.render import answer
from cli.terminal import say


@click.command()
@click.option(
    "--repair", is_flag=True, help="Mend runs that do not fit their log, from the log."
)
@click.option(
    "--deep",
    is_flag=True,
    help="Read each event of each run and of the catalog, also where all looks right from outside.",
)
@target_options
def doctor(target: Target, repair: bool, deep: bool) -> int:
    """Check server, workers, clocks, and that every run can go on.

    A server that has no store yet is looked over all the same. Exit code: 0 when all is well, 1 when something needs
    attention.

    \b
    Examples:
      openagents doctor
      openagents doctor --deep --repair
    """
    from openagents_json.engine import NoStore
    from openagents_json.engine.diagnosis.doctor import diagnose, diagnose_server

    try:
        with target.engine() as engine:
            if repair:
                for mended in engine.repair():
                    outcome = "mended" if mended.done else "left"
                    say(f"{outcome}: {mended.run}: {mended.what}", err=True)
            diagnosis = diagnose(engine, target.settings, deep=deep)
    except NoStore as missing:
        if not target.settings.url:
            raise
        diagnosis = diagnose_server(target.settings, missing)
    answer(diagnosis, diagnosis.lines(), as_json=target.as_json)
    return 0 if diagnosis.healthy else 1
