"""Webhooks: who is told of events of runs."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import click

from cli.inputs.questions import is_wanted
from cli.options import (
    Target,
    changing_options,
    listing_options,
    reading_options,
    starting_options,
    yes_option,
)
from cli.render import answer, print_json, second, show
from cli.terminal import note

if TYPE_CHECKING:
    from openagents_json.engine.answers.webhooks import WebhookInfo


@click.group()
def webhooks() -> None:
    """Tell others what happens to runs.

    Each delivery is a run of the workflow openagents-webhook, with the label webhook=NAME; `openagents serve` begins
    them, or `openagents webhooks dispatch`.
    """


@webhooks.command()
@click.argument("name")
@click.argument("file", metavar="FILE|-")
@changing_options
def register(target: Target, name: str, file: str) -> None:
    """Register a webhook, or replace it. FILE is a JSON object: url, secret, events, and which runs.

    \b
    Example: openagents webhooks register ends webhook.json
    """
    from cli.inputs.given import json_of_file

    spec = json_of_file(file, "FILE")
    if not isinstance(spec, dict):
        raise click.BadParameter(f"{file} must hold a JSON object", param_hint="FILE")
    with target.engine(create=True) as engine:
        webhook = engine.webhooks.register(name, spec)
    message = f"{name} is told of what happens from now on"
    answer(webhook, message, as_json=target.as_json)


@webhooks.command("list")
@listing_options
def list_webhooks(target: Target) -> None:
    """List webhooks, with where they tell what.

    \b
    Example: openagents webhooks list
    """
    with target.engine() as engine:
        every = engine.webhooks.every()
    header = ("webhook", "url", "told of", "by", "since (UTC)")
    rows = [
        (
            each.name,
            each.spec["url"],
            _events(each),
            each.created_by,
            second(each.created_ms),
        )
        for each in every
    ]
    show(every, header, rows, as_json=target.as_json)


def _events(webhook: WebhookInfo) -> str:
    if not webhook.spec.get("enabled", True):
        return "nothing: it is disabled"
    return " ".join(webhook.spec.get("events", ["how runs end"]))


@webhooks.command("show")
@click.argument("name")
@reading_options
def show_webhook(target: Target, name: str) -> None:
    """Show a webhook, as JSON.

    \b
    Example: openagents webhooks show ends
    """
    with target.engine() as engine:
        print_json(engine.webhooks.get(name))


@webhooks.command()
@click.argument("name")
@yes_option
@changing_options
def delete(target: Target, name: str, yes: bool) -> int:
    """Delete a webhook; deliveries that have begun go on. It asks first.

    \b
    Example: openagents webhooks delete ends --yes
    """
    with target.engine() as engine:
        engine.webhooks.get(name)
        if not is_wanted(f"delete webhook {name}", yes=yes):
            return 1
        engine.webhooks.delete(name)
    answer({"name": name, "deleted": True}, f"{name} deleted", as_json=target.as_json)
    return 0


@webhooks.command()
@starting_options
def dispatch(target: Target) -> None:
    """Deliver webhooks until Ctrl-C.

    `openagents serve` does that too; of several, one does at a time.

    \b
    Example: openagents webhooks dispatch --url redis://localhost:6379
    """
    stop = threading.Event()
    with target.engine(create=True) as engine:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, lambda *_: stop.set())
        note("dispatching webhooks")
        engine.webhooks.dispatch(stop)
