"""Locks: who does something alone, and taking that from a holder that hangs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from cli.inputs.questions import is_wanted
from cli.options import (
    Target,
    changing_options,
    listing_options,
    yes_option,
)
from cli.render import answer, second, show
from cli.terminal import say
from cli.times import lasting
from openagents_json.engine import plain

if TYPE_CHECKING:
    from openagents_json.engine import LeaseRecord


@click.group()
def locks() -> None:
    """Show who does something alone, and take it away."""


@locks.command("list")
@listing_options
def list_locks(target: Target) -> None:
    """List locks, with who holds each.

    Those too that ran out or were taken away within a day.

    \b
    Example: openagents locks list
    """
    with target.engine() as engine:
        records = engine.locks.all(broken=True)
        now_ms = engine.now_ms()
    documents = [
        {**plain(record), "expires_in_ms": _left_ms(record, now_ms)}
        for record in records
    ]
    header = ("lock", "holder", "since (UTC)", "expires in", "token", "why")
    rows = (
        (
            record.name,
            record.holder,
            second(record.since_ms),
            lasting(_left_ms(record, now_ms)) if record.is_held(now_ms) else "",
            str(record.token),
            _state(record, now_ms),
        )
        for record in records
    )
    show(documents, header, rows, as_json=target.as_json)


def _left_ms(record: LeaseRecord, now_ms: int) -> int:
    """Return for how long a lock is held still, 0 for one that is over."""
    return record.until_ms - now_ms if record.is_held(now_ms) else 0


def _state(record: LeaseRecord, now_ms: int) -> str:
    if record.is_held(now_ms):
        return "held"
    if record.state == "held":
        return f"ran out at {second(record.until_ms)}, its holder died or hung"
    return ", ".join(_taken_away(record))


def _taken_away(record: LeaseRecord) -> Iterator[str]:
    yield f"taken away by {record.by or 'somebody'} at {second(record.until_ms)}"
    if record.reason:
        yield record.reason


@locks.command("break")
@click.argument("name")
@click.option("--reason", default="", help="Why; it is told to its holder.")
@yes_option
@changing_options
def break_lock(target: Target, name: str, reason: str, yes: bool) -> int:
    """Take a lock from its holder. It asks first.

    What the holder writes under the lock is refused from then on. It is taken from the one that is shown only: who has
    it meanwhile keeps it. Exit code: 1 when nobody holds it.

    \b
    Example: openagents locks break nightly-report --reason "the machine hangs"
    """
    with target.engine() as engine:
        record = engine.locks.find(name)
        if record is None:
            say(f"nobody holds the lock {name}", err=True)
            return 1
        if not is_wanted(f"take the lock {name} from {record.holder}", yes=yes):
            return 1
        taken = engine.locks.take_away(name, token=record.token, reason=reason)
    if taken is None:
        say(f"{record.holder} has given the lock {name} back meanwhile", err=True)
        return 1
    answer(
        taken,
        f"the lock {name} is taken from {taken.holder}: what it writes under token {taken.token} is refused",
        as_json=target.as_json,
    )
    return 0
