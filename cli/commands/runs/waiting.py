"""What waits for people: the steps of all runs that a signal lets go on, each with the command that sends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.options import Target, target_options
from cli.render import print_json, second
from cli.terminal import say
from openagents_json.errors import NotFound

if TYPE_CHECKING:
    from openagents_json.engine import Engine
    from openagents_json.engine.inspection.waits import StepWait


@click.command()
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@target_options
def waiting(target: Target, limit: int) -> None:
    """List the steps that wait for a signal, longest first, each with the command that answers it.

    \b
    Example: openagents runs waiting
    """
    from cli.commands.runs.picture import signal_command

    with target.engine() as engine:
        steps = sorted(
            engine.views.steps(status="wait"), key=lambda step: step.since_ms
        )
        waits = [
            (step, wait)
            for step in steps[:limit]
            for wait in _waits_of(engine, step.run)
            if wait.step == step.step and wait.signals
        ]
    if target.as_json:
        rows = [
            {"run": step.run, "workflow": step.workflow, "wait": wait}
            for step, wait in waits
        ]
        print_json(rows)
        return
    for step, wait in waits:
        say(f"{step.workflow}: step {wait.step} {wait.sentence()}")
        say(f"  since {second(step.since_ms)} UTC")
        for signal in wait.signals:
            say(f"    {signal_command(step.run, signal, target.place())}")
    if not waits:
        say("nothing waits for a signal")


def _waits_of(engine: Engine, run: str) -> tuple[StepWait, ...]:
    try:
        return engine.overview(run).waits
    except NotFound:  # it has left the store since the view was read
        return ()
