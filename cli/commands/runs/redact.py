"""Erasing what runs worked with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from cli.inputs.questions import is_wanted
from cli.options import (
    RenamedOption,
    Target,
    changing_options,
    reason_option,
    yes_option,
)
from cli.remote.stores import need_store
from cli.render import print_json
from cli.run_ids import RUN
from cli.terminal import say

if TYPE_CHECKING:
    from openagents_json.engine import Engine
    from openagents_json.engine.archive.redaction import Redacted
    from openagents_json.engine.archive.shredding import Shredded

wait_option = click.option(
    "--timeout",
    "wait_s",
    cls=RenamedOption,
    formerly="--wait",
    type=click.FloatRange(0),
    default=10.0,
    show_default=True,
    help="Seconds to wait for the server's append-only files to be written anew.",
)


def files_of(done: Redacted | Shredded) -> dict[str, str]:
    """Return how it stands with the append-only files, for JSON."""
    return {"log": done.log.value} | ({"log_why": done.why} if done.why else {})


def tell_files(done: Redacted | Shredded) -> None:
    """Say when append-only files may still hold what was erased, and what to do."""
    from openagents_json.engine import LogState

    if done.log is LogState.PENDING:
        say(
            f"not done yet: append-only files may still hold it ({done.why}); the same command again, with a longer "
            "--timeout, sees to that",
            err=True,
        )
    elif done.log is LogState.REFUSED:
        say(
            f"not done: {done.why}; who runs the server has to have BGREWRITEAOF carried out",
            err=True,
        )


@click.command()
@click.argument("run", type=RUN)
@click.option(
    "--step",
    "steps",
    multiple=True,
    help="Only what belongs to this step; several are erased together.",
)
@click.option(
    "--event",
    "events",
    multiple=True,
    type=click.IntRange(1),
    help="Only this event, by its number.",
)
@click.option("--labels", is_flag=True, help="The labels of the run as well.")
@yes_option
@wait_option
@reason_option
@changing_options
def redact(
    target: Target,
    run: str,
    steps: tuple[str, ...],
    events: tuple[int, ...],
    labels: bool,
    yes: bool,
    wait_s: float,
    reason: str,
) -> int:
    """Erase for good what a closed run worked with; it asks first. That is inputs, outputs, signals, error messages.

    Who did what and when stays, and the ledger verifies as before. What is erased cannot be brought back. RUN may be
    the report of a heal, too: its values are erased.

    \b
    Example: openagents runs redact RUN --step pay --reason "asked for by the customer" --yes
    """
    need_store(target)
    if run.startswith("heal-"):
        if steps or events or labels:
            raise click.UsageError("a report of a heal is erased as a whole")
        return redact_report(target, run, wait_s, reason, yes=yes)
    with target.engine() as engine:
        # First of all: nobody is asked about a run that there is not.
        engine.status(run)
        if not is_wanted(_deed(run, steps, events), yes=yes):
            return 1
        done = engine.redact(
            run, reason, steps=steps, events=events, labels=labels, wait_seconds=wait_s
        )
        others = [*_copies(engine, run), *reports_of(engine, run)]
    if target.as_json:
        gone = {"events": done.events, "payloads": done.payloads}
        print_json(
            {
                "id": run,
                **gone,
                "rewritten": done.rewritten,
                "copies": others,
                **files_of(done),
            }
        )
        return 0
    say(
        f"{run}: {done.events} events and {done.payloads} payloads beside the log are erased"
    )
    tell_files(done)
    if others:
        say(
            f"these may hold copies of it, redact them as well: {', '.join(others)}",
            err=True,
        )
    return 0


def _deed(run: str, steps: Sequence[str], events: Sequence[int]) -> str:
    """Say what is about to be erased."""
    parts = [f"step {step}" for step in steps] + [f"event {event}" for event in events]
    what = f"{', '.join(parts)} of run {run}" if parts else f"run {run}"
    return f"redact {what} for good"


def redact_report(
    target: Target, heal: str, wait_s: float, reason: str, *, yes: bool
) -> int:
    """Erase the values of the report of a heal, once somebody has agreed to it; gives the exit code."""
    with target.engine() as engine:
        engine.heal.report(heal)
        if not is_wanted(f"redact heal {heal} for good", yes=yes):
            return 1
        done = engine.heal.redact(heal, reason, wait_seconds=wait_s)
    if target.as_json:
        print_json({"id": heal, "changed": done.changed, **files_of(done)})
    else:
        say(f"{heal}: its values {'are' if done else 'were already'} erased")
        tell_files(done)
    return 0


def _copies(engine: Engine, run: str) -> list[str]:
    """Return the runs that were given something of a run: its forks, and those that its steps started."""
    from openagents_json.engine import RunFilter

    chosen = (RunFilter(source=(run,)), RunFilter(parent=(run,)))
    return [
        row.id
        for filter_ in chosen
        for row in engine.views.runs(filter_, limit=100).items
    ]


def reports_of(engine: Engine, run: str) -> list[str]:
    """Return the heals that opened a run again: their reports have what it was given then."""
    return list(
        dict.fromkeys(
            event.cause
            for event in engine.history(run)
            if event.cause.startswith("heal-")
        )
    )
