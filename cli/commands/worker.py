"""A process that works until it is told to stop."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

import click

from cli.options import Target, worker_options

Command = TypeVar("Command", bound=Callable[..., Any])

_LEVELS: Final = ["debug", "info", "warning", "error"]
_FORMATS: Final = ["text", "json"]


def log_options(command: Command) -> Command:
    """Add `--log-level` and `--log-format`."""
    level = click.option(
        "--log-level",
        type=click.Choice(_LEVELS),
        help="From which level on lines are logged; info has one for each start and end of a step.  [default: warning]",
    )
    form = click.option(
        "--log-format",
        type=click.Choice(_FORMATS),
        help="Lines for people, or JSON for machines.  [default: text]",
    )
    return level(form(command))


@click.command()
@click.option(
    "--queues",
    help="Worker types to serve, with commas, and no others.  [default: all]",
)
@click.option(
    "--type",
    "types",
    help="Worker types, with commas, each in processes of its own as it is configured.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 1000),
    help="How many steps run at a time.  [default: 4]",
)
@click.option(
    "--pool",
    type=click.Choice(["threads", "prefork", "solo"]),
    help="In threads of this process, in processes of their own, or one by one.  [default: threads]",
)
@click.option(
    "--grace-seconds",
    type=click.FloatRange(0, 86_400),
    help="Time for steps to end in.  [default: 10]",
)
@click.option("--name", default="", help="A name for this process, shown in histories.")
@click.option(
    "--telemetry",
    default="",
    metavar="MODULE:FUNCTION",
    help="What makes the receiver of metrics.",
)
@click.option(
    "--ready-file",
    metavar="PATH",
    help="A file that is there while the store answers, for probes.",
)
@log_options
@worker_options
def worker(
    target: Target,
    queues: str | None,
    types: str | None,
    concurrency: int | None,
    pool: str | None,
    grace_seconds: float | None,
    name: str,
    telemetry: str,
    ready_file: str | None,
    log_level: str | None,
    log_format: str | None,
) -> int:
    """Run a worker until it is told to stop.

    \b
    Examples:
      openagents worker -c components.py --url redis://localhost:6379 --concurrency 8
      openagents worker -c components.py --url redis://localhost:6379 --type agent,tool
    """
    from cli.logs.handlers import begin_logging, teller
    from openagents_json.engine.workers import run_worker

    if types is not None and queues is not None:
        raise click.UsageError("--type and --queues both say what is served: give one")

    given = {
        "queues": queues,
        "concurrency": concurrency,
        "grace_seconds": grace_seconds,
        "ready_file": ready_file,
        "log_level": log_level,
        "log_format": log_format,
    }
    changes = {option: value for option, value in given.items() if value is not None}
    settings = target.settings.model_copy(update=changes)
    if types is not None and settings.ready_file:
        raise click.UsageError("a ready file is of one process; --type begins several")
    begin_logging(settings.log_level, settings.log_format)
    if types is not None:
        from cli.commands.fleet.serving import serve_types

        options = {"concurrency": concurrency, "pool": pool}
        return serve_types(
            settings, target.components, types, options, name=name, telemetry=telemetry
        )
    work = partial(
        run_worker,
        components=target.components,
        pool=pool,
        name=name,
        telemetry=telemetry,
        tell=teller(settings.log_format),
    )
    if settings.url:
        return work(settings)
    with target.engine(create=True) as engine:
        return work(settings.model_copy(update={"url": engine.url}))
