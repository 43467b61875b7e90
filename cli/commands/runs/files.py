"""Runs in files: export, import, open; and promote, which moves one to another store."""

from __future__ import annotations

from pathlib import Path

import click

from cli.commands.runs.replay import reason_option
from cli.options import Target, target_options
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
@target_options
def export_run(target: Target, run: str, output: str, force: bool) -> None:
    """Write a run to a file, with definitions, payloads and what the ledger proves of it.

    `runs open` and `runs import` read it, and `audit verify` checks it.
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
@reason_option
@target_options
def import_run(target: Target, file: Path, paused: bool, reason: str) -> None:
    """Bring a run from a file into this store; one that was open goes on here, from where it was."""
    from openagents_json.engine.archive.capsules import unpack

    capsule = unpack(file)
    with target.engine(create=True) as engine:
        done = engine.files.adopt(capsule, reason=reason, paused=paused)
    message = f"{done.run} {done.status}"
    if not done.changed:
        message += " (it was here already)"
    document = {"id": done.run, "status": done.status, "changed": done.changed}
    answer(document, message, as_json=target.as_json)


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
    "--wait",
    "wait_s",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    help="Seconds for steps under way to end.",
)
@target_options
def promote_run(
    target: Target,
    run: str,
    to: str,
    to_prefix: str,
    to_broker: str | None,
    wait_s: float,
) -> None:
    """Move an open run to another store, where it goes on; it ends here as cancelled.

    A promotion that was cut off halfway is finished by doing it again.
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
    ):
        promoted = promote(Move(source, there, run, int(wait_s * 1000)))
    answer(
        {"id": promoted.run, "status": promoted.status, "place": promoted.destination},
        f"{promoted.run} {promoted.status} at {promoted.destination}",
        as_json=target.as_json,
    )
