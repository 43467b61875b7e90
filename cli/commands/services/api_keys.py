"""API keys: who may call the services, and as what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.options import Target, changing_options, listing_options
from cli.render import answer, second, show
from cli.terminal import note
from cli.times import Duration

if TYPE_CHECKING:
    from openagents_json.engine.api_keys import NewApiKey


@click.group("api-keys")
def api_keys() -> None:
    """Make, list and take back the keys of who may call the HTTP API."""


@api_keys.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(["viewer", "operator", "developer", "admin", "worker"]),
    default="viewer",
    show_default=True,
    help="Look; start and steer runs; publish; erase and give keys; run steps, and nothing else.",
)
@click.option("--lasts", type=Duration(), help="Until it expires: 90d, 12h.")
@click.option(
    "--rate", default="", help="Requests that it may send: 100/s, 6000/m, 10000/h."
)
@changing_options
def create(target: Target, name: str, role: str, lasts: int | None, rate: str) -> None:
    """Make a key, and print its secret.

    Nobody can show it again. NAME stands in histories for who has it.

    \b
    Example: openagents api-keys create dashboard --role viewer --lasts 90d
    """
    with target.engine(create=True) as engine:
        new_key = engine.api_keys.create(name, role, lasts_ms=lasts, rate=rate)
    _give(target, new_key)


@api_keys.command("list")
@listing_options
def list_keys(target: Target) -> None:
    """List the keys, without their secrets.

    \b
    Example: openagents api-keys list
    """
    with target.engine() as engine:
        keys = engine.api_keys.every()
    header = ("id", "name", "role", "created (UTC)", "by", "expires (UTC)", "rate")
    rows = (
        (
            key.id,
            key.name,
            key.role,
            second(key.created_ms),
            key.created_by,
            second(key.expires_ms) if key.expires_ms else "never",
            key.rate or "any",
        )
        for key in keys
    )
    show(keys, header, rows, as_json=target.as_json)


@api_keys.command()
@click.argument("key_id", metavar="ID")
@click.option(
    "--rate",
    required=True,
    help="Requests that it may send: 100/s, 6000/m, 10000/h; none for as many as it likes.",
)
@changing_options
def limit(target: Target, key_id: str, rate: str) -> None:
    """Bound the requests that a key may send, over all instances together.

    Whoever sends more is answered with 429 and when to come again. Every instance knows within two seconds.

    \b
    Example: openagents api-keys limit 0f3a91c2d4e5 --rate 600/m
    """
    with target.engine() as engine:
        key = engine.api_keys.limit(key_id, "" if rate == "none" else rate)
    answer(
        key,
        f"API key {key_id} may send {key.rate or 'as many'} requests"
        + ("" if key.rate else " as it likes"),
        as_json=target.as_json,
    )


@api_keys.command()
@click.argument("key_id", metavar="ID")
@changing_options
def rotate(target: Target, key_id: str) -> None:
    """Give a key another secret, and print it.

    The one before counts no more, everywhere within two seconds.

    \b
    Example: openagents api-keys rotate 0f3a91c2d4e5
    """
    with target.engine() as engine:
        new_key = engine.api_keys.rotate(key_id)
    _give(target, new_key)


@api_keys.command()
@click.argument("key_id", metavar="ID")
@changing_options
def revoke(target: Target, key_id: str) -> None:
    """Take a key back.

    It counts no more, everywhere within two seconds.

    \b
    Example: openagents api-keys revoke 0f3a91c2d4e5
    """
    with target.engine() as engine:
        engine.api_keys.revoke(key_id)
    answer({"id": key_id}, f"API key {key_id} is taken back", as_json=target.as_json)


def _give(target: Target, new_key: NewApiKey) -> None:
    if not target.as_json:
        note(f"API key {new_key.key.id} for {new_key.key.name}, {new_key.key.role}:")
    answer(
        {"key": new_key.key, "secret": new_key.secret},
        new_key.secret,
        as_json=target.as_json,
    )
