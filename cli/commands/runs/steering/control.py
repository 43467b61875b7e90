"""Steer runs: cancel, pause, resume, signal, shred."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cli.commands.outcomes import GoingOn, wait_options
from cli.commands.runs.redact import (
    files_of,
    redact_report,
    reports_of,
    tell_files,
    wait_option,
)
from cli.commands.runs.steering.bulk import BulkRequest, bulk_options
from cli.inputs.questions import is_wanted
from cli.options import (
    Target,
    changing_options,
    reason_option,
    target_options,
    yes_option,
)
from cli.render import print_json
from cli.run_ids import RUN
from cli.terminal import say

if TYPE_CHECKING:
    from openagents_json.engine import Engine


@click.command()
@click.argument("runs", nargs=-1, type=RUN)
@bulk_options
@yes_option
@reason_option
@click.option("--force", is_flag=True, help="Do not wait for steps under way.")
@click.option(
    "--compensate/--no-compensate",
    default=True,
    show_default=True,
    help="Undo completed steps.",
)
@wait_options
@target_options
def cancel(
    target: Target,
    runs: tuple[str, ...],
    reason: str,
    force: bool,
    compensate: bool,
    **options: Any,
) -> int:
    """Cancel runs. What their completed steps did is undone (compensated) where the document says how.

    One run is named, or several, or they are chosen with --where; of many, it asks first.
    Exit code with --wait: that of the run, 3 when it is cancelled; 8 timed out. Of many: 1 when one refuses.

    \b
    Examples:
      openagents runs cancel RUN --reason "no longer wanted"
      openagents runs cancel --where workflow=order --where started_before=1d --dry-run
    """
    how = {"force": force, "compensate": compensate}
    request = BulkRequest.taken("cancel", target, runs, options)
    then = GoingOn(target, **options)
    if request.is_one:
        return then.after(runs[0], lambda engine: engine.cancel(runs[0], reason, **how))
    return request.carry_out(
        then,
        lambda engine, ids, tell: engine.bulk.cancel(ids, reason, tell=tell, **how),
    )


@click.command()
@click.argument("runs", nargs=-1, type=RUN)
@bulk_options
@reason_option
@changing_options
def pause(target: Target, runs: tuple[str, ...], reason: str, **options: Any) -> int:
    """Pause runs: nothing more of them starts. Steps under way end.

    \b
    Examples:
      openagents runs pause RUN
      openagents runs pause --where workflow=order
    """
    request = BulkRequest.taken("pause", target, runs, options)
    then = GoingOn(target, wait=False, timeout=None, workers=None)
    if request.is_one:
        return then.after(runs[0], lambda engine: engine.pause(runs[0], reason))
    return request.carry_out(
        then, lambda engine, ids, tell: engine.bulk.pause(ids, reason, tell=tell)
    )


@click.command()
@click.argument("runs", nargs=-1, type=RUN)
@bulk_options
@reason_option
@wait_options
@target_options
def resume(target: Target, runs: tuple[str, ...], reason: str, **options: Any) -> int:
    """Resume paused runs.

    Exit code with --wait: 0 completed, 1 failed, 3 cancelled, 8 timed out. Of many: 1 when one refuses.

    \b
    Examples:
      openagents runs resume RUN --wait
      openagents runs resume --where workflow=order
    """
    request = BulkRequest.taken("resume", target, runs, options)
    then = GoingOn(target, **options)
    if request.is_one:
        return then.after(runs[0], lambda engine: engine.resume(runs[0], reason))
    return request.carry_out(
        then, lambda engine, ids, tell: engine.bulk.resume(ids, reason, tell=tell)
    )


@click.command()
@click.argument("run", type=RUN)
@yes_option
@wait_option
@reason_option
@changing_options
def shred(target: Target, run: str, yes: bool, wait_s: float, reason: str) -> int:
    """Destroy the key of a closed encrypted run; it asks first. Nobody can read its payloads any more; its log stays.

    \b
    Example: openagents runs shred RUN --reason "asked for by the customer" --yes
    """
    if run.startswith("heal-"):
        return redact_report(target, run, wait_s, reason, yes=yes)
    with target.engine() as engine:
        # First of all: nobody is asked about a run that there is not.
        engine.status(run)
        if not is_wanted(f"destroy the key of run {run} for good", yes=yes):
            return 1
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
    return 0


@click.command()
@click.argument("run", type=RUN)
@click.argument("name")
@click.option(
    "--payload",
    metavar="VALUE|@FILE",
    help="What it brings, read by the schema that the step declares.",
)
@click.option(
    "--payload-file", metavar="FILE", help="A file with the payload as JSON; or -."
)
@click.option("--key", help="The key that the waiting step names.")
@click.option("--by", default="", help="Who sends it.  [default: you]")
@reason_option
@click.option(
    "--idempotency-key", help="With the same key, the signal counts only once."
)
@wait_options
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
    **options: Any,
) -> int:
    """Send a signal to a run, such as an approval. It is kept until a step takes it.

    Exit code with --wait: 0 completed, 1 failed, 3 cancelled, 8 timed out.

    \b
    Example: openagents runs signal RUN approve --payload '{"ok": true}' --wait
    """
    from cli.inputs.given import given_value

    given = given_value(payload, payload_file, "--payload")

    def act(engine: Engine) -> None:
        schemas = engine.schemas_of_signal(run, name) if given.text else ()
        engine.signal(
            run,
            name,
            given.typed(schemas),
            key=key,
            by=by,
            reason=reason,
            idempotency_key=idempotency_key,
        )

    return GoingOn(target, **options).after(run, act)
