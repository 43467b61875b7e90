"""Look at runs, steer them, and check the store."""

from __future__ import annotations

import json

import click

from cli.commands.erasing import redact
from cli.commands.healing import heal
from cli.commands.history import history
from cli.commands.keeping import COMMANDS as KEEPING
from cli.commands.listing import failures, list_runs
from cli.commands.opening import COMMANDS as CAPSULES
from cli.commands.replaying import COMMANDS
from cli.commands.run import parse_payload, progress
from cli.options import Target, target_options
from cli.render import console, print_json, print_line
from openagents_json.engine.diagnosis import diagnose


@click.group()
def runs() -> None:
    """List, show, follow and steer runs."""


for command in (list_runs, failures, history, heal, *COMMANDS, *KEEPING, *CAPSULES, redact):
    runs.add_command(command)


@runs.command("show")
@click.argument("run")
@target_options
def show_run(target: Target, run: str) -> None:
    """Show a run with its steps, as JSON."""
    with target.engine() as engine:
        print_json(engine.state(run))


@runs.command()
@click.argument("run")
@target_options
def watch(target: Target, run: str) -> None:
    """Follow a run until it ends; with --json, a line of JSON for each event."""
    terminal, after = console(), 0
    with target.engine() as engine:
        engine.state(run)
        while True:
            for event in engine.watch(run, after=after, block_ms=1000):
                after = event.version
                if target.as_json:
                    print_line(event)
                else:
                    terminal.print(progress(event))
                if event.type in ("RunCompleted", "RunFailed", "RunCancelled"):
                    return


@runs.command()
@click.argument("run")
@click.option("--reason", default="", help="Why; it is kept in the history.")
@click.option("--force", is_flag=True, help="Do not wait for steps under way.")
@click.option("--compensate/--no-compensate", default=True, show_default=True, help="Undo completed steps.")
@target_options
def cancel(target: Target, run: str, reason: str, force: bool, compensate: bool) -> None:
    """Ask a run to end; what its completed steps did is compensated where the document says how."""
    with target.engine() as engine:
        engine.cancel(run, reason, force=force, compensate=compensate)
        _tell(target, run, engine.state(run).status)


@runs.command()
@click.argument("run")
@click.option("--reason", default="", help="Why; it is kept in the history.")
@target_options
def pause(target: Target, run: str, reason: str) -> None:
    """Start nothing more of a run."""
    with target.engine() as engine:
        engine.pause(run, reason)
        _tell(target, run, engine.state(run).status)


@runs.command()
@click.argument("run")
@click.option("--reason", default="", help="Why; it is kept in the history.")
@target_options
def resume(target: Target, run: str, reason: str) -> None:
    """Let a paused run go on."""
    with target.engine() as engine:
        engine.resume(run, reason)
        _tell(target, run, engine.state(run).status)


@runs.command()
@click.argument("run")
@click.option("--reason", default="", help="Why; it is kept in the history.")
@target_options
def shred(target: Target, run: str, reason: str) -> None:
    """Destroy the key of a closed encrypted run: nobody can read its payloads any more, and its log stays as it is."""
    with target.engine() as engine:
        changed = engine.shred(run, reason)
    if target.as_json:
        print_json({"id": run, "shredded": True, "changed": changed})
    else:
        click.echo(f"{run} {'is' if changed else 'was already'} shredded")


@runs.command()
@click.argument("run")
@click.argument("name")
@click.option("--payload", help="JSON, or else text.")
@click.option("--payload-file", metavar="FILE", help="A file with the payload as JSON.")
@click.option("--key", help="The key that the waiting step names.")
@click.option("--by", default="", help="Who sends it.  [default: you]")
@click.option("--reason", default="", help="Why; it is kept in the history.")
@click.option("--idempotency-key", help="With the same key, the signal counts only once.")
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
        engine.signal(run, name, value, key=key, by=by, reason=reason, idempotency_key=idempotency_key)
        _tell(target, run, engine.state(run).status)


@runs.command()
@click.argument("run")
@target_options
def output(target: Target, run: str) -> None:
    """Follow what the components of a run show while they run, such as progress or tokens, until it ends.

    With --json, a line of JSON for each; otherwise texts are printed one after the other.
    """
    after = "0-0"
    with target.engine() as engine:
        closed = False
        while not closed:
            closed = engine.state(run).status in ("completed", "failed", "cancelled")
            for item in engine.emitted(run, after=after, block_ms=0 if closed else 500):
                after = item.id
                if target.as_json:
                    print_line(item)
                else:
                    click.echo(item.value if isinstance(item.value, str) else json.dumps(item.value), nl=False)
        if not target.as_json:
            click.echo()


def _tell(target: Target, run: str, status: str) -> None:
    if target.as_json:
        print_json({"id": run, "status": status})
    else:
        click.echo(f"{run} {status}")


@click.command()
@target_options
def doctor(target: Target) -> int:
    """Check the server, the workers, the clocks, and that every run can go on.

    Exit code: 0 when all is well, 1 when something needs attention.
    """
    with target.engine() as engine:
        found = diagnose(engine, target.settings)
    if target.as_json:
        print_json(found)
    else:
        for line in found.lines():
            click.echo(line)
    return 0 if found.healthy else 1
