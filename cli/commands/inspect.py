"""Look at runs, steer them, and check the store."""

from __future__ import annotations

import click

from cli.commands.run import progress
from cli.options import Target, target_options
from cli.render import console, history_table, print_json, print_line, runs_table, show
from openagents_json.engine.diagnosis import diagnose


@click.group()
def runs() -> None:
    """List, show, follow and steer runs."""


@runs.command("list")
@click.option("--status", help="Only runs of this status.")
@click.option("--workflow", help="Only runs of this workflow.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@target_options
def list_runs(target: Target, status: str | None, workflow: str | None, limit: int) -> None:
    """List runs, newest first."""
    with target.engine() as engine:
        found = engine.runs(limit=limit, status=status, workflow=workflow)
    fields = ("id", "workflow", "status", "version", "started_ms")
    show([{name: getattr(r, name) for name in fields} for r in found], runs_table(found), as_json=target.as_json)


@runs.command("show")
@click.argument("run")
@target_options
def show_run(target: Target, run: str) -> None:
    """Show a run with its steps, as JSON."""
    with target.engine() as engine:
        print_json(engine.state(run))


@runs.command()
@click.argument("run")
@click.option("--after", type=int, default=0, help="Only events after this version.")
@target_options
def history(target: Target, run: str, after: int) -> None:
    """Show the events of a run."""
    with target.engine() as engine:
        events = engine.history(run, after=after)
    show(events, history_table(events), as_json=target.as_json)


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
@target_options
def cancel(target: Target, run: str, reason: str, force: bool) -> None:
    """Ask a run to end."""
    with target.engine() as engine:
        engine.cancel(run, reason, force=force)
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
