"""Inbound hooks: what other services send, signed, starts runs or signals them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from openagents_json.engine.answers.hooks import Delivery, HookInfo


@click.group()
def hooks() -> None:
    """Let other services start runs and signal them.

    `openagents serve` takes what they post to /hooks/NAME.
    """


@hooks.command()
@click.argument("name")
@click.argument("file", metavar="FILE|-")
@changing_options
def register(target: Target, name: str, file: str) -> None:
    """Register a hook, or replace it.

    FILE is a JSON object: how deliveries are signed, and what they start or signal.

    \b
    Example: openagents hooks register pushes hook.json
    """
    from cli.inputs.given import json_of_file

    spec = json_of_file(file, "FILE")
    if not isinstance(spec, dict):
        raise click.BadParameter(f"{file} must hold a JSON object", param_hint="FILE")
    with target.engine(create=True) as engine:
        hook = engine.hooks.register(name, spec)
    message = f"{name} is registered: deliveries are posted to /hooks/{name}"
    answer(hook, message, as_json=target.as_json)


@hooks.command("list")
@listing_options
def list_hooks(target: Target) -> None:
    """List hooks, with what each of them does.

    \b
    Example: openagents hooks list
    """
    with target.engine() as engine:
        every = engine.hooks.every()
    header = ("hook", "signed as", "does", "by", "since (UTC)")
    rows = [
        (
            hook.name,
            _preset(hook),
            _does(hook),
            hook.created_by,
            second(hook.created_ms),
        )
        for hook in every
    ]
    show(every, header, rows, as_json=target.as_json)


def _preset(hook: HookInfo) -> str:
    return str(hook.spec["signature"]["preset"])


def _does(hook: HookInfo) -> str:
    if not hook.spec.get("enabled", True):
        return "nothing: it is disabled"
    start: Any = hook.spec.get("start")
    if start:
        return f"start {start['workflow']}"
    return f"signal {hook.spec['signal']['name']}"


@hooks.command("show")
@click.argument("name")
@click.argument("delivery", required=False)
@reading_options
def show_hook(target: Target, name: str, delivery: str | None) -> None:
    """Show a hook, or a delivery to it.

    As JSON, a delivery with its body; what proves who sent it is masked.

    \b
    Examples:
      openagents hooks show pushes
      openagents hooks show pushes 72d3162e-cc78-11e3-81ab-4c9367dc0958
    """
    with target.engine() as engine:
        if delivery is None:
            print_json(engine.hooks.get(name))
        else:
            print_json(engine.hooks.delivery(name, delivery))


@hooks.command()
@click.argument("name")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=50,
    show_default=True,
    help="How many at most.",
)
@listing_options
def deliveries(target: Target, name: str, limit: int) -> None:
    """List what was sent to a hook, the newest first.

    A thousand deliveries are kept, for a week.

    \b
    Example: openagents hooks deliveries pushes
    """
    with target.engine() as engine:
        newest = engine.hooks.deliveries(name, limit=limit)
    header = ("delivery", "status", "received (UTC)", "run", "again", "error")
    show(newest, header, _rows(newest), as_json=target.as_json)


def _rows(newest: Sequence[Delivery]) -> list[tuple[str, ...]]:
    return [
        (
            each.id,
            each.status,
            second(each.received_ms),
            each.run,
            str(each.replays or ""),
            each.error,
        )
        for each in newest
    ]


@hooks.command()
@click.argument("name")
@click.argument("delivery")
@starting_options
def replay(target: Target, name: str, delivery: str) -> None:
    """Carry a delivery out again, as the hook is now.

    Another run starts, or the signal is sent once more.

    \b
    Example: openagents hooks replay pushes 72d3162e-cc78-11e3-81ab-4c9367dc0958
    """
    with target.engine() as engine:
        received = engine.hooks.replay(name, delivery)
    message = f"{received.id} {received.status} {received.run}".rstrip()
    answer(received, message, as_json=target.as_json)


@hooks.command()
@click.argument("name")
@yes_option
@changing_options
def delete(target: Target, name: str, yes: bool) -> int:
    """Delete a hook, with what was sent to it; its runs go on. It asks first.

    \b
    Example: openagents hooks delete pushes --yes
    """
    with target.engine() as engine:
        engine.hooks.get(name)
        if not is_wanted(f"delete hook {name}", yes=yes):
            return 1
        engine.hooks.delete(name)
    answer({"name": name, "deleted": True}, f"{name} deleted", as_json=target.as_json)
    return 0
