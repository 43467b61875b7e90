"""What acts on schedules that are there: change them, start a run at once, say when they fire."""

from __future__ import annotations

from typing import Any

import click

from cli.commands.outcomes import GoingOn, wait_options
from cli.commands.schedules import published, tell_schedule, typed_inputs
from cli.completion.types import DOCUMENT_OR_WORKFLOW, SCHEDULE
from cli.options import (
    Target,
    input_options,
    knowing_options,
    label_option,
    labels_of,
    reading_options,
    target_options,
)
from cli.render import answer
from cli.terminal import note
from openagents_json.engine import OVERLAPS


@click.command()
@click.argument("name", type=SCHEDULE)
@click.option(
    "--workflow",
    metavar="FILE|WORKFLOW",
    type=DOCUMENT_OR_WORKFLOW,
    help="Start this one from now on; a file is published first.",
)
@click.option("--cron", help="A cron expression, in the place of what was.")
@click.option(
    "--every",
    "every_seconds",
    type=float,
    metavar="SECONDS",
    help="An interval instead.",
)
@click.option("--timezone", help="Of the cron expression, such as Europe/Paris.")
@input_options
@click.option("--overlap", type=click.Choice(OVERLAPS), help="When a run is open.")
@click.option(
    "--catch-up",
    "catchup_seconds",
    type=float,
    metavar="SECONDS",
    help="How late a firing may be made up for.",
)
@click.option(
    "--jitter",
    "jitter_seconds",
    type=float,
    metavar="SECONDS",
    help="Spread starts over this.",
)
@label_option
@knowing_options
def update(
    target: Target,
    name: str,
    workflow: str | None,
    pairs: tuple[str, ...],
    inputs_file: str | None,
    labels: tuple[str, ...],
    **timing: Any,
) -> None:
    """Change a schedule: what is given changes, all else stays. New times count from now on.

    \b
    Example: openagents schedules update nightly --cron "0 3 * * *"
    """
    from openagents_json.engine import InvalidSchedule

    changes = {key: value for key, value in timing.items() if value is not None}
    from cli.inputs.given import given_inputs

    given = given_inputs(pairs, inputs_file)
    named = labels_of(labels)
    with target.engine() as engine:
        before, _ = engine.schedules.get(name)
        if given:
            inputs = typed_inputs(engine, workflow or before.workflow, name, given)
            changes["inputs"] = {**(before.inputs or {}), **inputs}
        if workflow is not None:
            changes["workflow"] = published(engine, workflow)
        if named:
            changes["labels"] = {**(before.labels or {}), **named}
        if not changes:
            raise click.UsageError("say what is to change, such as --cron")
        try:
            tell_schedule(target, *engine.schedules.update(name, **changes))
        except InvalidSchedule as error:
            raise click.UsageError(str(error)) from error


@click.command()
@click.argument("name", type=SCHEDULE)
@click.option(
    "--idempotency-key", help="With the same key, the run is started only once."
)
@wait_options
@target_options
def trigger(
    target: Target, name: str, idempotency_key: str | None, **options: Any
) -> int:
    """Start a run of a schedule now, even if it is paused. Its times stay as they are.

    Exit code with --wait: 0 completed, 1 failed, 3 cancelled, 8 timed out.

    \b
    Example: openagents schedules trigger nightly --wait
    """
    then = GoingOn(target, **options)
    with then.engine() as engine:
        run = engine.schedules.trigger(
            name, actor=target.actor, idempotency_key=idempotency_key
        )
        return then.tell(engine, run)


@click.command("next")
@click.argument("name", type=SCHEDULE)
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=5,
    show_default=True,
    help="How many at most.",
)
@reading_options
def next_firings(target: Target, name: str, limit: int) -> None:
    """Show when a schedule fires next.

    \b
    Example: openagents schedules next nightly
    """
    from openagents_json.engine import iso

    with target.engine() as engine:
        schedule, _ = engine.schedules.get(name)
        firings = engine.schedules.next_firings(name, limit)
    if schedule.paused:
        note(f"{name} is paused: it fires when it is resumed")
    times = [(iso(firing.nominal_ms), iso(firing.starts_ms)) for firing in firings]
    documents = [{"scheduled_time": at, "starts": starts} for at, starts in times]
    messages = [
        at if at == starts else f"{at}, starts {starts}" for at, starts in times
    ]
    answer(documents, messages, as_json=target.as_json)
