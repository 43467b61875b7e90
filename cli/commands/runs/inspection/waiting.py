"""What waits for people: the steps of all runs that a signal lets go on, each with the command that sends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.commands.runs.inspection.answers import wait_lines
from cli.options import Target, reading_options
from cli.render import print_json, second
from cli.terminal import say

if TYPE_CHECKING:
    from openagents_json.engine.answers.waits import WaitingStep


@click.command()
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    help="How many at most.",
)
@reading_options
def waiting(target: Target, limit: int) -> None:
    """List the steps that wait for a signal, longest first. Each comes with the command that answers it.

    \b
    Example: openagents runs waiting
    """
    with target.engine() as engine:
        waits = engine.waiting(limit=limit)
        now_ms = engine.now_ms()
    if target.as_json:
        print_json(waits)
        return
    store = target.place()
    for waiting_step in waits:
        _say(waiting_step, now_ms, store)
    if not waits:
        say("nothing waits for a signal")


def _say(waiting_step: WaitingStep, now_ms: int, store: str) -> None:
    """Say what a step waits for, and since when."""
    first, *others = wait_lines(waiting_step.run, waiting_step.wait, now_ms, store)
    say(f"{waiting_step.workflow}: {first}")
    say(f"  since {second(waiting_step.since_ms)} UTC")
    for sentence in others:
        say(sentence)
