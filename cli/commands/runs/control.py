"""Steer runs: cancel, pause, resume, signal, shred."""

from __future__ import annotations

import click

from cli.commands.run import parse_payload
from cli.commands.runs.redact import (
    files_of,
    redact_report,
    reports_of,
    tell_files,
    wait_option,
)
from cli.commands.runs.replay import tell_status
from cli.options import Target, target_options
from cli.render import print_json
from cli.run_ids import RUN
from cli.terminal import say


@click.command()
@click.argument("run", type=RUN)
@click.option("--reason", default="", help="Why; it is kept in the history.")
@click.option("--force", is_flag=True, help="Do not wait for steps under way.")
@click.option(
    "--compensate/--no-compensate",
    default=True,
    show_default=True,
    help="Undo completed steps.",
)
@target_options
def cancel(
    target: Target, run: str, reason: str, force: bool, compensate: bool
) -> None:
    """Ask a run to end; what its completed steps did is compensated where the document says how."""
    with target.engine() as engine:
        engine.cancel(run, reason, force=force, compensate=compensate)
        tell_status(target, run, engine.state(run).status)


@click.command()
@click.argument("run", type=RUN)
@click.option("--reason", default="", help="Why; it is kept in the history.")
@target_options
def pause(target: Target, run: str, reason: str) -> None:
    """Start nothing more of a run."""
    with target.engine() as engine:
        engine.pause(run, reason)
        tell_status(target, run, engine.state(run).status)


@click.command()
@click.argument("run", type=RUN)
@click.option("--reason", default="", help="Why; it is kept in the history.")
@target_options
def resume(target: Target, run: str, reason: str) -> None:
    """Let a paused run go on."""
    with target.engine() as engine:
        engine.resume(run, reason)
        tell_status(target, run, engine.state(run).status)


@click.command()
@click.argument("run", type=RUN)
@wait_option
@click.option("--reason", default="", help="Why; it is kept in the history.")
@target_options
def shred(target: Target, run: str, wait_s: float, reason: str) -> None:
    """Destroy the key of a closed encrypted run: nobody can read its payloads any more, and its log stays as it is."""
    if run.startswith("heal-"):
        redact_report(target, run, wait_s, reason)
        return
    with target.engine() as engine:
        done = engine.shred(run, reason, wait_seconds=wait_s)
        reports = reports_of(engine, run)
    if target.as_json:
        print_json(
            {"id": run, "shredded": True, "changed": done.changed, **files_of(done)}
        )
    else:
        say(f"{run} {'is' if done else 'was already'} shredded")
        tell_files(done)
    if reports:
        say(
            f"what it was given for a heal is on its report, redact that as well: {', '.join(reports)}",
            err=True,
        )


@click.command()
@click.argument("run", type=RUN)
@click.argument("name")
@click.option("--payload", help="JSON, or else text.")
@click.option("--payload-file", metavar="FILE", help="A file with the payload as JSON.")
@click.option("--key", help="The key that the waiting step names.")
@click.option("--by", default="", help="Who sends it.  [default: you]")
@click.option("--reason", default="", help="Why; it is kept in the history.")
@click.option(
    "--idempotency-key", help="With the same key, the signal counts only once."
)
@target_options
def signal(
    target: Target,
    run: str,
    name: str,
    payload: str | None,
    payload_file: str | None,
    key: str | None,
    by: str,
    reason: str,
    idempotency_key: str | None,
) -> None:
    """Send a run a signal; it is kept until a step takes it."""
    value = parse_payload(payload, payload_file)
    with target.engine() as engine:
        engine.signal(
            run,
            name,
            value,
            key=key,
            by=by,
            reason=reason,
            idempotency_key=idempotency_key,
        )
        tell_status(target, run, engine.state(run).status)
