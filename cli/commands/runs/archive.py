"""Holds, the archive, and retention: what stays, what leaves, what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.commands.runs.replay import reason_option
from cli.options import Target, target_options
from cli.render import print_json, show
from cli.terminal import say
from cli.urls import Url, lasting

if TYPE_CHECKING:
    from openagents_json.engine.archive.archive import DepartedRun

without_option = click.option(
    "--without",
    multiple=True,
    metavar="CONSUMER",
    help="A consumer of the log that need not have read the runs.",
)


@click.command()
@click.argument("runs", nargs=-1, required=True)
@reason_option
@target_options
def hold(target: Target, runs: tuple[str, ...], reason: str) -> None:
    """Hold runs: nothing of them is erased, archived or deleted until they are released."""
    done: list[str] = []
    try:
        with target.engine() as engine:
            for run in runs:
                engine.archive.hold(run, reason)
                done.append(run)
    finally:  # what is held is held, whatever the next one met
        _tell(target, done, "held")


@click.command()
@click.argument("runs", nargs=-1, required=True)
@reason_option
@target_options
def release(target: Target, runs: tuple[str, ...], reason: str) -> None:
    """Release runs that are held."""
    done: list[str] = []
    try:
        with target.engine() as engine:
            for run in runs:
                engine.archive.release(run, reason)
                done.append(run)
    finally:  # as above
        _tell(target, done, "released")


def _tell(target: Target, runs: Sequence[str], what: str) -> None:
    if target.as_json:
        print_json([{"id": run, "status": what} for run in runs])
    else:
        for run in runs:
            say(f"{run} {what}")


@click.command()
@click.argument("runs", nargs=-1, required=True)
@click.option(
    "--to",
    type=Url(),
    metavar="URL",
    help="A folder, or any place that fsspec knows.  [default: OPENAGENTS_ARCHIVE]",
)
@without_option
@reason_option
@target_options
def archive(
    target: Target,
    runs: tuple[str, ...],
    to: str | None,
    without: tuple[str, ...],
    reason: str,
) -> None:
    """Move closed runs into the archive: each is written, read back and compared before its memory is freed."""
    from openagents_json.engine.archive.archive import Departure

    place = lasting(to or target.settings.archive)
    if not place:
        raise click.UsageError("say where to with --to, or set OPENAGENTS_ARCHIVE")
    gone: list[DepartedRun] = []
    try:
        with target.engine() as engine:
            gone.extend(
                engine.archive.leave(run, Departure(place, reason, without))
                for run in runs
            )
    finally:  # what has left has left, whatever the next one met
        if target.as_json:
            print_json(gone)
        for item in () if target.as_json else gone:
            say(f"{item.run} is in {item.url}: {sizes(item)}")


def sizes(gone: DepartedRun) -> str:
    """Say what was freed."""
    return f"{gone.before} bytes in memory before, {gone.archived} in the archive, {gone.left} left"


@click.command()
@click.argument("run")
@click.option(
    "--from",
    "place",
    type=Url(),
    default="",
    metavar="URL",
    help="Its file, if the store does not know where it is.",
)
@target_options
def restore(target: Target, run: str, place: str) -> None:
    """Bring a run back from the archive; it can be shown, retried and forked as before."""
    with target.engine(create=True) as engine:
        status = engine.archive.restore(run, url=place, archive=target.settings.archive)
    print_json({"id": run, "status": status}) if target.as_json else say(
        f"{run} {status}"
    )


@click.command()
@click.argument("run")
@target_options
def memory(target: Target, run: str) -> None:
    """Print how many bytes a run takes in the server: its events, its payloads, its part of the log."""
    with target.engine() as engine:
        taken = engine.archive.memory(run)
    print_json({"id": run, "bytes": taken}) if target.as_json else say(
        f"{run} {taken} bytes"
    )


@click.group()
def retention() -> None:
    """Keep runs as long as a policy says."""


@retention.command("apply")
@click.argument("policy", metavar="FILE")
@click.option("--dry-run", is_flag=True, help="Only say what would leave.")
@without_option
@reason_option
@target_options
def apply_policy(
    target: Target, policy: str, dry_run: bool, without: tuple[str, ...], reason: str
) -> int:
    """Archive or delete closed runs as the rules in FILE say; the first rule that fits a run decides.

    Exit code: 1 when something should have left and could not.
    """
    from openagents_json.engine.archive.retention import apply, read_policy

    rules = read_policy(Path(policy), target.settings.archive)
    for place in (rules.to, *(rule.to for rule in rules.rules)):
        lasting(place)
    with target.engine() as engine:
        now = engine.now_ms()
        done = apply(
            rules,
            engine.archive,
            engine.views,
            now,
            reason=reason,
            without=without,
            dry_run=dry_run,
        )
    rows = (
        (
            x.rule,
            x.then,
            str(x.fits),
            str(len(x.gone)),
            str(x.held),
            str(len(x.stayed)),
            str(x.before),
            str(x.archived),
        )
        for x in done
    )
    header = (
        "rule",
        "then",
        "runs",
        "left",
        "held",
        "stayed",
        "bytes freed",
        "bytes archived",
    )
    show(done, header, rows, as_json=target.as_json)
    for item in done:
        for run, why in item.stayed.items():
            say(f"{run} stays: {why}", err=True)
    return 1 if any(x.stayed for x in done) else 0
