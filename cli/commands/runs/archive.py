"""Holds, the archive, and retention: what stays, what leaves, what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.failing.interrupts import notice_at_interrupt, notice_of_repeatable
from cli.inputs.questions import is_confirmed, refuse_if_nobody_can_answer
from cli.options import (
    RenamedOption,
    Target,
    changing_options,
    knowing_options,
    reading_options,
    reason_option,
    yes_option,
)
from cli.render import answer, show
from cli.run_ids import RUN
from cli.terminal import say
from cli.urls import Url, lasting

if TYPE_CHECKING:
    from openagents_json.engine.archive.archive import DepartedRun
    from openagents_json.engine.archive.retention import RuleResult

without_option = click.option(
    "--without",
    multiple=True,
    metavar="CONSUMER",
    help="A consumer of the log that need not have read the runs.",
)


@click.command()
@click.argument("runs", nargs=-1, required=True, type=RUN)
@reason_option
@changing_options
def hold(target: Target, runs: tuple[str, ...], reason: str) -> None:
    """Hold runs: until released, nothing of them leaves the store. Nothing is erased, archived or deleted.

    \b
    Example: openagents runs hold RUN --reason "case 17"
    """
    done: list[str] = []
    try:
        with target.engine() as engine:
            for run in runs:
                engine.archive.hold(run, reason)
                done.append(run)
    finally:
        # What is held is held, whatever the next one met.
        _tell(target, done, "held")


@click.command()
@click.argument("runs", nargs=-1, required=True, type=RUN)
@reason_option
@changing_options
def release(target: Target, runs: tuple[str, ...], reason: str) -> None:
    """Release runs that are held.

    \b
    Example: openagents runs release RUN --reason "case closed"
    """
    done: list[str] = []
    try:
        with target.engine() as engine:
            for run in runs:
                engine.archive.release(run, reason)
                done.append(run)
    finally:
        # What is released is released, whatever the next one met.
        _tell(target, done, "released")


def _tell(target: Target, runs: Sequence[str], status: str) -> None:
    documents = [{"id": run, "status": status} for run in runs]
    messages = [f"{run} {status}" for run in runs]
    answer(documents, messages, as_json=target.as_json)


@click.command()
@click.argument("runs", nargs=-1, required=True, type=RUN)
@click.option(
    "--to",
    type=Url(),
    metavar="URL",
    help="A folder, or any place that fsspec knows.  [default: OPENAGENTS_ARCHIVE]",
)
@without_option
@reason_option
@knowing_options
def archive(
    target: Target,
    runs: tuple[str, ...],
    to: str | None,
    without: tuple[str, ...],
    reason: str,
) -> None:
    """Move closed runs into the archive. Each is written, read back and compared before its memory is freed.

    \b
    Example: openagents runs archive RUN --to ./archive
    """
    from openagents_json.engine.archive.archive import Departure

    url = lasting(to or target.settings.archive)
    if not url:
        raise click.UsageError("say where to with --to, or set OPENAGENTS_ARCHIVE")
    departure = Departure(url, reason, without)
    gone: list[DepartedRun] = []
    try:
        with target.engine() as engine, notice_at_interrupt(notice_of_repeatable):
            gone.extend(engine.archive.leave(run, departure) for run in runs)
    finally:
        # What has left has left, whatever the next one met.
        messages = (f"{run.run} is in {run.url}: {sizes(run)}" for run in gone)
        answer(gone, messages, as_json=target.as_json)


def sizes(gone: DepartedRun) -> str:
    """Say what was freed."""
    return f"{gone.before} bytes in memory before, {gone.archived} in the archive, {gone.left} left"


@click.command()
@click.argument("run", type=RUN)
@click.option(
    "--file",
    "file_url",
    cls=RenamedOption,
    formerly="--from",
    type=Url(),
    default="",
    metavar="URL",
    help="Its file, if the store does not know where it is.",
)
@changing_options
def restore(target: Target, run: str, file_url: str) -> None:
    """Bring a run back from the archive. It can be shown, retried and forked as before.

    \b
    Example: openagents runs restore RUN
    """
    with target.engine(create=True) as engine:
        status = engine.archive.restore(
            run, url=file_url, archive=target.settings.archive
        )
    answer({"id": run, "status": status}, f"{run} {status}", as_json=target.as_json)


@click.command()
@click.argument("run", type=RUN)
@reading_options
def memory(target: Target, run: str) -> None:
    """Print how many bytes a run takes in the server. It counts events, payloads, and its part of the log.

    \b
    Example: openagents runs memory RUN
    """
    with target.engine() as engine:
        size = engine.archive.memory(run)
    answer({"id": run, "bytes": size}, f"{run} {size} bytes", as_json=target.as_json)


@click.group()
def retention() -> None:
    """Keep runs as long as a policy says."""


@retention.command("apply")
@click.argument("policy", metavar="FILE")
@click.option("--dry-run", is_flag=True, help="Only say what would leave.")
@yes_option
@without_option
@reason_option
@knowing_options
def apply_policy(
    target: Target,
    policy: str,
    dry_run: bool,
    yes: bool,
    without: tuple[str, ...],
    reason: str,
) -> int:
    """Archive or delete closed runs by the rules in FILE. The first rule that fits a run decides.

    It asks first if a rule deletes runs; what is archived can be restored.
    Exit code: 1 when something should have left and could not.

    \b
    Examples:
      openagents retention apply policy.json --dry-run
      openagents retention apply policy.json --yes
    """
    from openagents_json.engine.archive.retention import apply, read_policy

    rules = read_policy(Path(policy), target.settings.archive)
    for url in (rules.to, *(rule.to for rule in rules.rules)):
        lasting(url)
    must_ask = rules.deletes and not (yes or dry_run)
    if must_ask:
        refuse_if_nobody_can_answer(
            "delete runs", "say --yes, or --dry-run to see how many it would be"
        )
    with target.engine() as engine:
        # One time for both: what is asked about is what is done.
        now_ms = engine.now_ms()
        carry_out = partial(
            apply,
            rules,
            engine.archive,
            engine.views,
            now_ms,
            reason=reason,
            without=without,
        )
        if must_ask and not _is_wanted(carry_out(dry_run=True)):
            return 1
        with notice_at_interrupt(notice_of_repeatable):
            outcomes = carry_out(dry_run=dry_run)
    show(outcomes, _COLUMNS, map(_cells, outcomes), as_json=target.as_json)
    for outcome in outcomes:
        for run, why in outcome.stayed.items():
            say(f"{run} stays: {why}", err=True)
    return 1 if any(outcome.stayed for outcome in outcomes) else 0


def _is_wanted(planned: Sequence[RuleResult]) -> bool:
    """Ask about the runs that would be deleted; where there are none, there is nothing to ask about."""
    count = sum(rule.leaving for rule in planned if rule.then == "delete")
    runs = "1 run" if count == 1 else f"{count} runs"
    return not count or is_confirmed(f"delete {runs} for good?")


_COLUMNS = (
    "rule",
    "then",
    "runs",
    "left",
    "held",
    "stayed",
    "bytes freed",
    "bytes archived",
)


def _cells(outcome: RuleResult) -> tuple[str, ...]:
    return (
        outcome.rule,
        outcome.then,
        str(outcome.fits),
        str(len(outcome.gone)),
        str(outcome.held),
        str(len(outcome.stayed)),
        str(outcome.before),
        str(outcome.archived),
    )
