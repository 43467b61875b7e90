"""Fairness keys: whose steps wait, and how many of them are taken each time that their turn comes."""

from __future__ import annotations

import click

from cli.options import Target, changing_options, listing_options
from cli.render import answer, show
from cli.times import lasting
from openagents_json.engine import plain


@click.group()
def fairness() -> None:
    """Show whose steps wait for workers, and change weights."""


@fairness.command("list")
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    help="How many at most.",
)
@listing_options
def list_keys(target: Target, limit: int) -> None:
    """List fairness keys whose steps wait, by worker type.

    \b
    Example: openagents fairness list
    """
    with target.engine() as engine:
        shares = engine.fairness.waiting(limit)
    header = ("type", "key", "steps", "oldest", "weight")
    rows = (
        (
            share.worker_type,
            share.key,
            str(share.steps),
            lasting(share.age_ms),
            f"{share.weight} (said)" if share.overridden else str(share.weight),
        )
        for share in shares
    )
    show(plain(shares), header, rows, as_json=target.as_json)


@fairness.command("weight")
@click.argument("key")
@click.argument("weight", type=click.IntRange(1, 1000), required=False)
@click.option(
    "--of-steps", is_flag=True, help="Take it back: what the steps say counts again."
)
@click.option("--reason", default="", help="Why; it is kept in the log.")
@changing_options
def weight(
    target: Target, key: str, weight: int | None, of_steps: bool, reason: str
) -> None:
    """Give a fairness key a weight, whatever documents say.

    It counts at once, also for steps that wait already. Who said it and why is in `openagents workers log`.

    \b
    Examples:
      openagents fairness weight acme 5 --reason "their month ends today"
      openagents fairness weight acme --of-steps
    """
    if of_steps == (weight is not None):
        raise click.UsageError("say a weight, or --of-steps to take it back")
    with target.engine() as engine:
        order = engine.fairness.weigh(key, weight, reason=reason)
    what = f"weight {weight}" if weight else "the weight that its steps say"
    answer(order, f"key {key}: {what}", as_json=target.as_json)
