"""Runs in files: export, import, open; and promote, which moves one to another store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cli.commands.outcomes import GoingOn, wait_options
from cli.failing.interrupts import notice_at_interrupt, notice_of_repeatable
from cli.options import (
    RenamedOption,
    Target,
    reading_options,
    reason_option,
    starting_options,
    target_options,
)
from cli.render import answer
from cli.run_ids import RUN
from cli.terminal import bytes_out
from cli.urls import Url, lasting


@click.command("export")
@click.argument("run", type=RUN)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    help="Where to; - is the standard output.",
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@reading_options
def export_run(target: Target, run: str, output: str, force: bool) -> None:
    """Write a run to a file. Definitions, payloads and what the ledger proves of it go with it.

    `runs open` and `runs import` read it, and `audit verify` checks it.

    \b
    Example: openagents runs export RUN --output run.oac
    """
    from openagents_json.engine import is_there, replacing

    path = Path(output)
    if output == "-":
        with target.engine() as engine, bytes_out("a capsule") as out:
            engine.files.export(run, out)
        return
    if is_there(path) and not force:
        raise click.ClickException(f"{path} is there already; --force replaces it")
    with target.engine() as engine, replacing(path) as file:
        capsule = engine.files.export(run, file)
    size = path.stat().st_size
    answer(
        {**capsule.manifest, "file": str(path), "bytes": size},
        f"{run} {len(capsule.events)} events, {size} bytes in {path}",
        as_json=target.as_json,
    )


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--paused", is_flag=True, help="Let a run that is open wait until it is resumed."
)
@wait_options
@reason_option
@target_options
def import_run(
    target: Target, file: Path, paused: bool, reason: str, **options: Any
) -> int:
    """Bring a run from a file into this store. One that was open goes on here, from where it was.

    Exit code with --wait: 0 completed, 1 failed, 3 cancelled, 8 timed out.

    \b
    Example: openagents runs import run.oac --paused
    """
    from openagents_json.engine.archive.capsules import unpack

    then = GoingOn(target, **options)
    capsule = unpack(file)
    with then.engine(create=True) as engine:
        done = engine.files.adopt(capsule, reason=reason, paused=paused)
        if then.wait:
            return then.tell(engine, done.run, after=len(capsule.events))
        message = f"{done.run} {done.status}"
        if not done.changed:
            message += " (it was here already)"
        document = {"id": done.run, "status": done.status, "changed": done.changed}
        answer(document, message, as_json=target.as_json)
        then.tell_if_nobody_works(engine, done.run, done.status)
    return 0


@click.command("promote")
@click.argument("run", type=RUN)
@click.option(
    "--to",
    type=Url(),
    required=True,
    metavar="URL",
    help="The server where the run goes on.",
)
@click.option(
    "--to-prefix",
    default="oa",
    show_default=True,
    help="The prefix of the store's keys there.",
)
@click.option(
    "--to-broker",
    type=Url(),
    metavar="URL",
    help="The Celery broker there.  [default: the store's server]",
)
@click.option(
    "--timeout",
    "wait_s",
    cls=RenamedOption,
    formerly="--wait",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    help="Seconds to wait for steps under way to end.",
)
@starting_options
def promote_run(
    target: Target,
    run: str,
    to: str,
    to_prefix: str,
    to_broker: str | None,
    wait_s: float,
) -> None:
    """Move an open run to another store, where it goes on. It ends here as cancelled.

    A promotion that was cut off halfway is finished by doing it again.

    \b
    Example: openagents runs promote RUN --to redis://localhost:6379
    """
    from openagents_json.engine import Engine, Registry
    from openagents_json.engine.archive.promotion import Move, promote

    if not to:  # without a URL, the engine would open the store of the data directory
        raise click.BadParameter("there is no URL", param_hint="--to")
    lasting(to)
    changes = {
        "url": to,
        "broker": to_broker or to,
        "prefix": to_prefix,
        "actor": target.actor,
    }
    settings = target.settings.model_copy(update=changes)
    with (
        target.engine() as source,
        Engine.open(settings, components=Registry()) as there,
        notice_at_interrupt(notice_of_repeatable),
    ):
        promoted = promote(Move(source, there, run, int(wait_s * 1000)))
    answer(
        {"id": promoted.run, "status": promoted.status, "place": promoted.destination},
        f"{promoted.run} {promoted.status} at {promoted.destination}",
        as_json=target.as_json,
    )
