"""The command `openagents`: which commands there are, and where they live."""

from __future__ import annotations

import click

from cli.lazy import LazyGroup
from cli.terminal import give

COMMANDS = {
    "init": "cli.commands.init:init",
    "run": "cli.commands.run:run",
    "validate": "cli.commands.run:validate",
    "dev": "cli.commands.worker:dev",
    "worker": "cli.commands.worker:worker",
    "runs": "cli.commands.runs.group:runs",
    "workflows": "cli.commands.workflows:workflows",
    "schedules": "cli.commands.schedules:schedules",
    "steps": "cli.commands.runs.list:steps",
    "components": "cli.commands.runs.list:components",
    "workers": "cli.commands.runs.list:workers",
    "projections": "cli.commands.projections:projections",
    "audit": "cli.commands.audit:audit",
    "retention": "cli.commands.runs.archive:retention",
    "keys": "cli.commands.keys:keys",
    "doctor": "cli.commands.doctor:doctor",
}


@click.group(
    cls=LazyGroup,
    homes=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="openagents-json", message="%(version)s")
def cli() -> None:
    """Durable workflows from JSON documents, on Redis Streams."""


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell; evaluate it in the shell's start-up file."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise click.ClickException(f"no completion for {shell}")
    give(kind(cli, {}, "openagents", "_OPENAGENTS_COMPLETE").source())
