"""Schedules: runs that begin by the clock."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from cli.commands.run import parse_inputs
from cli.options import Target, target_options
from cli.render import answer, print_json, show
from cli.terminal import say
from openagents_json.engine import OVERLAPS, InvalidSchedule, Schedule, iso

if TYPE_CHECKING:
    from openagents_json.engine import Progress


@click.group()
def schedules() -> None:
    """Start runs by the clock: cron expressions and intervals."""


@schedules.command()
@click.argument("name")
@click.argument("workflow", metavar="FILE|WORKFLOW")
@click.option("--cron", default="", help="A cron expression, such as '30 9 * * 1-5'.")
@click.option(
    "--every",
    "every_seconds",
    type=float,
    default=0.0,
    metavar="SECONDS",
    help="An interval instead.",
)
@click.option(
    "--timezone",
    default="UTC",
    show_default=True,
    help="Of the cron expression, such as Europe/Paris.",
)
@click.option(
    "--input",
    "-i",
    "pairs",
    multiple=True,
    metavar="NAME=VALUE",
    help="An input; JSON, or else text.",
)
@click.option("--input-file", metavar="FILE", help="A JSON object with inputs.")
@click.option(
    "--overlap",
    type=click.Choice(OVERLAPS),
    default="skip",
    show_default=True,
    help="When a run is open.",
)
@click.option(
    "--catch-up",
    "catchup_seconds",
    type=float,
    default=3600.0,
    show_default=True,
    metavar="SECONDS",
    help="How late a firing may be made up for.",
)
@click.option(
    "--jitter",
    "jitter_seconds",
    type=float,
    default=0.0,
    metavar="SECONDS",
    help="Spread starts over this.",
)
@click.option("--replace", is_flag=True, help="Replace a schedule of this name.")
@click.option("--paused", is_flag=True, help="Do not fire before it is resumed.")
@target_options
def create(
    target: Target,
    name: str,
    workflow: str,
    pairs: tuple[str, ...],
    input_file: str | None,
    replace: bool,
    **timing: Any,
) -> None:
    """Create a schedule; a file is published first. The input value {{scheduled_time}} stands for the firing's time."""
    from openagents_json.engine.documents import is_reference

    inputs = parse_inputs(pairs, input_file)
    with target.engine(create=True) as engine:
        reference = workflow if is_reference(workflow) else engine.publish(workflow)
        schedule = Schedule(name, reference, inputs=inputs, **timing)
        try:
            progress = engine.schedules.create(schedule, replace_it=replace)
        except InvalidSchedule as error:
            raise click.UsageError(str(error)) from error
    _tell(target, schedule, progress)


@schedules.command("list")
@target_options
def list_schedules(target: Target) -> None:
    """List schedules with the next time of each."""
    with target.engine() as engine:
        every = engine.schedules.every()
    rows = [
        [schedule.name, schedule.workflow, _rule(schedule), *_state(schedule, progress)]
        for schedule, progress in every
    ]
    header = [
        "schedule",
        "workflow",
        "when",
        "state",
        "next",
        "started",
        "skipped",
        "missed",
    ]
    documents = [_shown(schedule, progress) for schedule, progress in every]
    show(documents, header, rows, as_json=target.as_json)


def _rule(schedule: Schedule) -> str:
    return schedule.cron or f"every {schedule.every_seconds:g} s"


@schedules.command("show")
@click.argument("name")
@target_options
def show_schedule(target: Target, name: str) -> None:
    """Show a schedule and how far it has come, as JSON."""
    with target.engine() as engine:
        print_json(_shown(*engine.schedules.get(name)))


@schedules.command()
@click.argument("name")
@target_options
def pause(target: Target, name: str) -> None:
    """Fire no more; what would have fired meanwhile is not made up for."""
    with target.engine() as engine:
        engine.schedules.pause(name)
        _tell(target, *engine.schedules.get(name))


@schedules.command()
@click.argument("name")
@target_options
def resume(target: Target, name: str) -> None:
    """Fire again, from now on."""
    with target.engine() as engine:
        engine.schedules.pause(name, paused=False)
        _tell(target, *engine.schedules.get(name))


@schedules.command()
@click.argument("name")
@target_options
def delete(target: Target, name: str) -> None:
    """Remove a schedule; its runs go on."""
    with target.engine() as engine:
        engine.schedules.delete(name)
    deleted = {"name": name, "deleted": True}
    answer(deleted, f"{name} deleted", as_json=target.as_json)


@schedules.command()
@click.argument("name")
@click.option(
    "--from",
    "start",
    required=True,
    metavar="TIME",
    help="The first time, such as 2030-01-01T00:00:00Z.",
)
@click.option(
    "--to", "end", required=True, metavar="TIME", help="The time before which to end."
)
@target_options
def backfill(target: Target, name: str, start: str, end: str) -> int:
    """Start the runs of past firings; those that were started are left alone.

    Exit code: 1 when some of them could not be started; which, and why, is told.
    """
    from openagents_json.engine import InvalidTime, moment_of

    try:
        first, last = moment_of(start), moment_of(end)
    except InvalidTime as error:
        raise click.UsageError(str(error)) from error
    with target.engine() as engine:
        try:
            runs = engine.schedules.backfill(name, first, last, actor=target.actor)
        except InvalidSchedule as error:
            raise click.UsageError(str(error)) from error
    begun = [run for run in runs if run.ok]
    answer(begun, begun, as_json=target.as_json)
    for run in runs:
        if run.error is not None:
            say(f"{run} has not begun: {run.error}", err=True)
    return 0 if len(begun) == len(runs) else 1


def _state(schedule: Schedule, progress: Progress) -> list[str]:
    upcoming = ""
    if progress.next_ms is not None and not schedule.paused:
        upcoming = iso(progress.next_ms)
    state = "failing" if progress.error else "active"
    if schedule.paused:
        state = "paused"
    counts = (progress.started, progress.skipped, progress.missed)
    return [state, upcoming, *map(str, counts)]


def _shown(schedule: Schedule, progress: Progress) -> dict[str, Any]:
    return {**asdict(schedule), "progress": progress.to_json()}


def _tell(target: Target, schedule: Schedule, progress: Progress) -> None:
    state, upcoming, *_ = _state(schedule, progress)
    message = f"{schedule.name} {state}"
    if upcoming:
        message += f", next at {upcoming}"
    answer(_shown(schedule, progress), message, as_json=target.as_json)
