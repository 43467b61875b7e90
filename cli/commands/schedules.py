"""Schedules: runs that begin by the clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from cli.commands.runs.columns import is_compact
from cli.completion.types import DOCUMENT_OR_WORKFLOW, SCHEDULE
from cli.failing.interrupts import notice_at_interrupt, notice_of_repeatable
from cli.inputs.questions import is_wanted
from cli.lazy import LazyGroup
from cli.listing import Entry, draw_list
from cli.options import (
    RenamedOption,
    Target,
    changing_options,
    input_options,
    knowing_options,
    label_option,
    labels_of,
    listing_options,
    reading_options,
    starting_options,
    yes_option,
)
from cli.render import answer, console, print_json, show, text
from cli.terminal import say
from openagents_json.engine import OVERLAPS

if TYPE_CHECKING:
    from cli.inputs.given import GivenInputs
    from openagents_json.engine import Engine, Progress, Schedule


HOMES = {
    "update": "cli.commands.schedule_actions:update",
    "trigger": "cli.commands.schedule_actions:trigger",
    "next": "cli.commands.schedule_actions:next_firings",
}
"""Commands of this group that stand elsewhere."""


@click.group(cls=LazyGroup, homes=HOMES)
def schedules() -> None:
    """Start runs by the clock: cron expressions and intervals."""


@schedules.command()
@click.argument("name")
@click.argument("workflow", metavar="FILE|WORKFLOW", type=DOCUMENT_OR_WORKFLOW)
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
@input_options
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
@label_option
@click.option("--replace", is_flag=True, help="Replace a schedule of this name.")
@click.option("--paused", is_flag=True, help="Do not fire before it is resumed.")
@knowing_options
def create(
    target: Target,
    name: str,
    workflow: str,
    pairs: tuple[str, ...],
    inputs_file: str | None,
    labels: tuple[str, ...],
    replace: bool,
    **timing: Any,
) -> None:
    """Create a schedule; a file is published first. The input value {{scheduled_time}} stands for the firing's time.

    \b
    Example: openagents schedules create nightly report.json --cron "30 2 * * *" --timezone Europe/Paris
    """
    from cli.inputs.given import given_inputs
    from openagents_json.engine import InvalidSchedule, Schedule

    given = given_inputs(pairs, inputs_file)
    named = labels_of(labels) or None
    with target.engine(create=True) as engine:
        inputs = typed_inputs(engine, workflow, name, given)
        reference = published(engine, workflow)
        schedule = Schedule(name, reference, inputs=inputs, labels=named, **timing)
        try:
            progress = engine.schedules.create(schedule, replace_it=replace)
        except InvalidSchedule as error:
            raise click.UsageError(str(error)) from error
    tell_schedule(target, schedule, progress)


def typed_inputs(
    engine: Engine, workflow: str, name: str, given: GivenInputs
) -> dict[str, Any]:
    """Return inputs, read by the types that the workflow of a schedule declares."""
    from openagents_json.engine.inputs.declared import declared_inputs

    # With the name as its seed, as the check of the schedule has it: a canary is decided alike.
    declared = declared_inputs(engine, workflow, name)
    return given.typed(declared.parameters)


def published(engine: Engine, workflow: str) -> str:
    """Return the reference of a workflow; that of a file is the one under which it is published now."""
    from openagents_json.engine.documents import is_reference

    if is_reference(workflow):
        return workflow
    return engine.publish(workflow)


@schedules.command("list")
@listing_options
def list_schedules(target: Target) -> None:
    """List schedules with the next time of each.

    \b
    Example: openagents schedules list
    """
    with target.engine() as engine:
        every = engine.schedules.every()
    if every and is_compact(target):
        _draw(every)
        return
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


def _draw(every: Sequence[tuple[Schedule, Progress]]) -> None:
    """Draw schedules for people: no time is cut, and counts stand below."""
    entries = []
    for schedule, progress in every:
        state, upcoming, *counts = _state(schedule, progress)
        moment = upcoming.removesuffix("Z").replace("T", " ")
        cells = (schedule.name, schedule.workflow, _rule(schedule), state, moment)
        below = "{} started, {} skipped, {} missed".format(*counts)
        if progress.error:
            below = f"{below}: {progress.error}"
        entries.append(Entry([text(cell) for cell in cells], below))
    header = ("schedule", "workflow", "when", "state", "next (UTC)")
    draw_list(console(), header, entries, cut=frozenset({"schedule", "workflow"}))


def _rule(schedule: Schedule) -> str:
    return schedule.cron or f"every {schedule.every_seconds:g} s"


@schedules.command("show")
@click.argument("name", type=SCHEDULE)
@reading_options
def show_schedule(target: Target, name: str) -> None:
    """Show a schedule and how far it has come, as JSON.

    \b
    Example: openagents schedules show nightly
    """
    with target.engine() as engine:
        print_json(_shown(*engine.schedules.get(name)))


@schedules.command()
@click.argument("name", type=SCHEDULE)
@changing_options
def pause(target: Target, name: str) -> None:
    """Pause a schedule. What would have fired meanwhile is not made up for.

    \b
    Example: openagents schedules pause nightly
    """
    with target.engine() as engine:
        engine.schedules.pause(name)
        tell_schedule(target, *engine.schedules.get(name))


@schedules.command()
@click.argument("name", type=SCHEDULE)
@changing_options
def resume(target: Target, name: str) -> None:
    """Resume a schedule: it fires again, from now on.

    \b
    Example: openagents schedules resume nightly
    """
    with target.engine() as engine:
        engine.schedules.pause(name, paused=False)
        tell_schedule(target, *engine.schedules.get(name))


@schedules.command()
@click.argument("name", type=SCHEDULE)
@yes_option
@changing_options
def delete(target: Target, name: str, yes: bool) -> int:
    """Delete a schedule; its runs go on. It asks first.

    \b
    Example: openagents schedules delete nightly --yes
    """
    with target.engine() as engine:
        # First of all: nobody is asked about a schedule that there is not.
        engine.schedules.get(name)
        if not is_wanted(f"delete schedule {name}", yes=yes):
            return 1
        engine.schedules.delete(name)
    deleted = {"name": name, "deleted": True}
    answer(deleted, f"{name} deleted", as_json=target.as_json)
    return 0


@schedules.command()
@click.argument("name", type=SCHEDULE)
@click.option(
    "--since",
    "start",
    cls=RenamedOption,
    formerly="--from",
    required=True,
    metavar="TIME",
    help="The first time, such as 2030-01-01T00:00:00Z.",
)
@click.option(
    "--until",
    "end",
    cls=RenamedOption,
    formerly="--to",
    required=True,
    metavar="TIME",
    help="The time before which to end.",
)
@starting_options
def backfill(target: Target, name: str, start: str, end: str) -> int:
    """Start the runs of past firings. Those that were started are left alone.

    Exit code: 1 when some of them could not be started; which, and why, is told.

    \b
    Example: openagents schedules backfill nightly --since 2030-01-01T00:00:00Z --until 2030-01-04T00:00:00Z
    """
    from openagents_json.engine import InvalidSchedule, InvalidTime, moment_of

    try:
        first = moment_of(start)
        last = moment_of(end)
    except InvalidTime as error:
        raise click.UsageError(str(error)) from error
    with target.engine() as engine, notice_at_interrupt(notice_of_repeatable):
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
    from openagents_json.engine import iso

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


def tell_schedule(target: Target, schedule: Schedule, progress: Progress) -> None:
    """Say how a schedule stands."""
    state, upcoming, *_ = _state(schedule, progress)
    message = f"{schedule.name} {state}"
    if upcoming:
        message += f", next at {upcoming}"
    answer(_shown(schedule, progress), message, as_json=target.as_json)
