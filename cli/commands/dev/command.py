"""The command `dev`: one terminal that shows what happens while files are edited in another."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from cli.commands.worker import log_options
from cli.inputs.components import USUAL, usual_components
from cli.options import Target, worker_options
from cli.terminal import is_quiet, note

if TYPE_CHECKING:
    from openagents_json.engine import Settings

_APART: Final = (
    "all worker types share one process here: pools, processes, slots and memory limits of types are for "
    "`openagents worker --type`; leases, limits of time and of attempts hold"
)


@click.command()
@click.option(
    "--concurrency",
    type=click.IntRange(1, 1000),
    help="How many steps run at a time.  [default: 4]",
)
@click.option(
    "--reload/--no-reload",
    default=True,
    show_default=True,
    help="Load components and check documents anew when their files change.",
)
@click.option(
    "--serve/--no-serve",
    "serves",
    default=True,
    show_default=True,
    help="Serve the HTTP API and the web page to this machine.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Where to serve them.  [default: any that is free]",
)
@log_options
@worker_options
def dev(
    target: Target,
    concurrency: int | None,
    reload: bool,
    serves: bool,
    port: int | None,
    log_level: str | None,
    log_format: str | None,
) -> int:
    """Work on runs, show what happens, load what is edited.

    It works until Ctrl-C, without --url with a server of its own. It serves the HTTP API and the web page to programs
    of this machine, and says where. Without -c, components are those of components.py, if that is here. They are loaded
    anew when their files change, specs in JSON or YAML too; steps that run then end with the components that they began
    with. Documents in this folder are checked when they change. With --log-format json, the log stands in the place of
    the lines.

    \b
    Examples:
      openagents dev
      openagents dev -c components.py
    """
    from cli.commands.dev.documents import DocumentChecks
    from cli.commands.dev.lines import LiveLines
    from cli.commands.dev.page import served
    from cli.commands.dev.supervisor import Supervisor
    from cli.commands.dev.worker_process import WorkerProcess, orders_of
    from openagents_json.engine import Engine, load_components
    from openagents_json.engine.development.sources import source_paths

    given = {
        "concurrency": concurrency,
        "log_level": log_level,
        "log_format": log_format,
        "actor": target.actor,
    }
    changes = {option: value for option, value in given.items() if value is not None}
    settings = target.settings.model_copy(update=changes)
    has_lines = settings.log_format != "json" and not is_quiet()
    # This process never imports the components: what it has imported, it could not load anew.
    components = target.components or usual_components()
    with Engine.open(settings, components=load_components(())) as engine:
        note(f"store and broker: {engine.where}")
        if not target.components:
            note(_what_is_loaded(components))
        note("start a run from another terminal: openagents run FILE")
        serving = served(engine, port) if serves else nullcontext()
        orders = orders_of(
            _of_one_process(settings), components, name="dev", pool="threads"
        )
        supervisor = Supervisor(
            start=lambda: WorkerProcess(orders),
            grace_seconds=settings.grace_seconds,
            steady_ms=engine.clock.steady_ms,
            folder=Path.cwd(),
            sources=source_paths(components),
            documents=DocumentChecks(engine, Path.cwd()),
            reloads=reload,
        )
        with serving, LiveLines(engine, shown=has_lines):
            return supervisor.run()


def _of_one_process(settings: Settings) -> Settings:
    """Return settings by which one process serves all types, in threads, and say so where theirs differ."""
    from openagents_json.engine.worker_types.settle import in_threads

    alike = in_threads(settings)
    if alike.worker_types != settings.worker_types:
        note(_APART)
    return alike


def _what_is_loaded(components: tuple[str, ...]) -> str:
    """Say where components come from that nobody has named."""
    if components:
        return f"components: {USUAL}, as no others are named with -c"
    return f"no components: there is no {USUAL} here, and none are named with -c"
