"""Processes that work: `worker`, and `dev` with a server of its own."""

from __future__ import annotations

import click

from cli.options import Target, target_options
from cli.terminal import say


def tell(line: str) -> None:
    """Print a line beside the results."""
    say(line, err=True)


@click.command()
@click.option(
    "--queues",
    help="Worker types to serve, with commas, and no others.  [default: all]",
)
@click.option(
    "--concurrency", type=click.IntRange(1, 1000), default=4, show_default=True
)
@click.option(
    "--pool",
    type=click.Choice(["threads", "prefork", "solo"]),
    default="threads",
    show_default=True,
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
@target_options
def worker(
    target: Target,
    queues: str | None,
    concurrency: int,
    pool: str,
    grace_seconds: float | None,
    name: str,
    telemetry: str,
) -> int:
    """Run a worker until it is told to stop."""
    from openagents_json.engine.workers import run_worker

    given = {
        "queues": queues,
        "concurrency": concurrency,
        "grace_seconds": grace_seconds,
    }
    changes = {option: value for option, value in given.items() if value is not None}
    settings = target.settings.model_copy(update=changes)
    if settings.url:
        return run_worker(
            settings,
            target.components,
            pool=pool,
            name=name,
            telemetry=telemetry,
            tell=tell,
        )
    with target.engine(create=True) as engine:
        settings = settings.model_copy(update={"url": engine.url})
        return run_worker(
            settings,
            target.components,
            pool=pool,
            name=name,
            telemetry=telemetry,
            tell=tell,
        )


@click.command()
@click.option(
    "--concurrency", type=click.IntRange(1, 1000), default=4, show_default=True
)
@target_options
def dev(target: Target, concurrency: int) -> int:
    """Run an embedded server with a worker and a relay until Ctrl-C."""
    from openagents_json.engine.workers import run_worker

    with target.engine(create=True) as engine:
        say(f"store and broker: {engine.where}", err=True)
        say("start a run from another terminal: openagents run FILE", err=True)
        settings = target.settings.model_copy(
            update={"url": engine.url, "concurrency": concurrency}
        )
        return run_worker(settings, target.components, name="dev", tell=tell)
