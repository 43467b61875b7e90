"""The command `openagents`: which commands there are, and where they live."""

from __future__ import annotations

import click

from cli.lazy import LazyGroup
from cli.options import quiet_option
from cli.terminal import give

COMMANDS = {
    "init": "cli.commands.init:init",
    "run": "cli.commands.run:run",
    "validate": "cli.commands.validate:validate",
    "dev": "cli.commands.dev.command:dev",
    "worker": "cli.commands.worker:worker",
    "serve": "cli.commands.services.serve:serve",
    "runs": "cli.commands.runs.group:runs",
    "lsp": "cli.commands.dev.lsp:lsp",
    "workflows": "cli.commands.workflows:workflows",
    "schedules": "cli.commands.schedules:schedules",
    "steps": "cli.commands.runs.tables:steps",
    "components": "cli.commands.components.group:components",
    "workers": "cli.commands.fleet.workers:workers",
    "fairness": "cli.commands.fleet.fairness:fairness",
    "usage": "cli.commands.runs.tables:usage",
    "projections": "cli.commands.projections:projections",
    "audit": "cli.commands.audit:audit",
    "retention": "cli.commands.runs.archive:retention",
    "keys": "cli.commands.keys:keys",
    "locks": "cli.commands.fleet.locks:locks",
    "api-keys": "cli.commands.services.api_keys:api_keys",
    "hooks": "cli.commands.services.hooks:hooks",
    "webhooks": "cli.commands.services.webhooks:webhooks",
    "mcp": "cli.commands.services.mcp:mcp",
    "openapi": "cli.commands.services.serve:openapi",
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


@cli.group(
    cls=LazyGroup,
    homes={
        "show": "cli.commands.config:show_config",
        "schema": "cli.commands.config:schema_of_config",
    },
)
def config() -> None:
    """Show the settings that count, and where each comes from."""


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@quiet_option()
def completion(shell: str) -> None:
    """Print the completion script of a shell. Evaluate it in the shell's start-up file.

    \b
    Example: eval "$(openagents completion bash)"
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise click.ClickException(f"no completion for {shell}")
    give(kind(cli, {}, "openagents", "_OPENAGENTS_COMPLETE").source())
