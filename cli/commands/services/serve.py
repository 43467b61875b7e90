"""The services over HTTP, until they are told to stop."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from cli.commands.services.requirements import require, require_server
from cli.commands.worker import log_options
from cli.options import Target, quiet_option, starting_options

if TYPE_CHECKING:
    from openagents_json.server.application import Service
    from openagents_json.server.oidc.issuer import Issuer


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
@click.option(
    "--oidc-issuer",
    default="",
    metavar="URL",
    help="An identity provider (OpenID Connect) whose tokens count beside API keys.",
)
@click.option(
    "--oidc-audience", default="", help="The audience that its tokens must have."
)
@click.option(
    "--oidc-claim",
    default="roles",
    show_default=True,
    help="The claim that has the roles of a caller, such as realm_access.roles.",
)
@click.option(
    "--oidc-role",
    "oidc_roles",
    multiple=True,
    metavar="VALUE=ROLE",
    help="What a value of that claim means here; without any, the values are names of roles. Repeatable.",
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
    oidc_issuer: str,
    oidc_audience: str,
    oidc_claim: str,
    oidc_roles: tuple[str, ...],
) -> int:
    """Serve the HTTP API until Ctrl-C. Callers need an API key of the store; see `openagents api-keys`.

    With --log-level info, each request is a line of the log.

    \b
    Examples:
      openagents serve --open
      openagents serve --host 0.0.0.0 --service execution --url redis://localhost:6379
      openagents serve --oidc-issuer https://login.example.com/ --oidc-audience workflows --oidc-role ops=operator
    """
    require_server()
    from cli.logs.handlers import begin_logging, teller
    from openagents_json.engine.telemetry.prometheus import PrometheusTelemetry
    from openagents_json.server.serving import Address, serve

    if is_open and oidc_issuer:
        raise click.UsageError("--open takes everybody: there are no tokens to check")
    issuer = _issuer(oidc_issuer, oidc_audience, oidc_claim, oidc_roles)
    given = {"log_level": log_level, "log_format": log_format}
    changes = {option: value for option, value in given.items() if value is not None}
    settings = target.settings.model_copy(update=changes)
    begin_logging(settings.log_level, settings.log_format)
    tell = teller(settings.log_format)
    with target.engine(create=True, telemetry=PrometheusTelemetry()) as engine:
        return serve(
            engine,
            Address(host, port),
            service=service,
            is_open=is_open,
            issuer=issuer,
            tell=tell,
        )


def _issuer(
    url: str, audience: str, claim: str, roles: tuple[str, ...]
) -> Issuer | None:
    """Return the identity provider of the options, None where there is none.

    Raises UsageError, InvalidIssuer and ServerNotInstalled.
    """
    if not url:
        if audience or roles:
            raise click.UsageError("there is no --oidc-issuer whose tokens they are of")
        return None
    require("server", "jwt")
    from openagents_json.server.oidc.issuer import Issuer

    unusable = [each for each in roles if "=" not in each]
    if unusable:
        raise click.UsageError(f"--oidc-role {unusable[0]}: write VALUE=ROLE")
    means = dict(each.rsplit("=", 1) for each in roles)
    usual = Issuer(url, audience, claim)
    return replace(usual, roles=means) if means else usual


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
