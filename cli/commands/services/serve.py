"""The services over HTTP, until they are told to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.commands.services.requirements import require_server
from cli.commands.worker import log_options
from cli.options import Target, quiet_option, starting_options

if TYPE_CHECKING:
    from openagents_json.server.application import Service


@click.command()
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="The address to listen on."
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="The port; 0 is any that is free.",
)
@click.option(
    "--service",
    type=click.Choice(["all", "execution", "registry"]),
    default="all",
    show_default=True,
    help="Runs and schedules, workflows and components, or both.",
)
@click.option(
    "--open",
    "is_open",
    is_flag=True,
    help="Without API keys, for programs of this machine alone.",
)
@log_options
@starting_options
def serve(
    target: Target,
    host: str,
    port: int,
    service: Service,
    is_open: bool,
    log_level: str | None,
    log_format: str | None,
) -> int:
    """Serve the HTTP API until Ctrl-C. Callers need an API key of the store; see `openagents api-keys`.

    With --log-level info, each request is a line of the log.

    \b
    Examples:
      openagents serve --open
      openagents serve --host 0.0.0.0 --service execution --url redis://localhost:6379
    """
    require_server()
    from cli.logs.handlers import begin_logging, teller
    from openagents_json.engine.telemetry.prometheus import PrometheusTelemetry
    from openagents_json.server.serving import Address, serve

    given = {"log_level": log_level, "log_format": log_format}
    changes = {option: value for option, value in given.items() if value is not None}
    settings = target.settings.model_copy(update=changes)
    begin_logging(settings.log_level, settings.log_format)
    tell = teller(settings.log_format)
    with target.engine(create=True, telemetry=PrometheusTelemetry()) as engine:
        return serve(
            engine, Address(host, port), service=service, is_open=is_open, tell=tell
        )


@click.command()
@click.option(
    "--service",
    type=click.Choice(["all", "execution", "registry"]),
    default="all",
    show_default=True,
    help="Whose document.",
)
@quiet_option()
def openapi(service: Service) -> None:
    """Print the OpenAPI document of the HTTP API.

    \b
    Example: openagents openapi --service execution
    """
    require_server()
    from cli.render import print_json
    from openagents_json.server.application import document

    print_json(document(service))
