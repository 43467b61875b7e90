"""What a store has lost although it had been acknowledged, as far as somebody remembered it and looked for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final

from eventstore.redis.client import RedisClient
from eventstore.redis.driver.preflight import Finding
from eventstore.redis.upkeep.losses import Loss, read_losses

APART_MS: Final = 5000
"""Partitions that lost commits of about the same time have lost them together."""

REMEDY: Final = (
    "ask again for what was started then, with the same idempotency keys, and look for effects of steps that came "
    "twice; at durability replicated a failover loses nothing, see `Survive a failover` in the guides"
)


def recorded_losses(store: RedisClient) -> Iterator[Finding]:
    """Say what was lost, and how far back."""
    for together in _together(
        sorted(read_losses(store), key=lambda loss: loss.first_ms)
    ):
        first, last = (
            min(x.first_ms for x in together),
            max(x.lost_ms for x in together),
        )
        missed = _time(min(x.at_ms for x in together))
        where = "1 partition" if len(together) == 1 else f"{len(together)} partitions"
        what = (
            f"acknowledged commits were lost: {_many(together)} of {where}, written from {_time(first)} to "
            f"{_time(last)} ({(last - first) / 1000:.1f} s), missed since {missed}: a server took the place of another "
            "one, or came back without the end of its log"
        )
        yield Finding("warning", "lost", what, REMEDY)


def _together(losses: Iterable[Loss]) -> Iterator[list[Loss]]:
    """Group losses, in the order of their times, by the failovers that they belong to."""
    group: list[Loss] = []
    for loss in losses:
        if group and loss.first_ms > max(x.lost_ms for x in group) + APART_MS:
            yield group
            group = []
        group.append(loss)
    if group:
        yield group


def _many(losses: Iterable[Loss]) -> str:
    """Say how many events were lost: all after the last one that is known to be there, or some of them."""
    losses = list(losses)
    least, most = (
        sum(x.lost - x.first + 1 for x in losses),
        sum(x.lost - x.kept for x in losses),
    )
    if any(x.kept == 0 for x in losses):
        return f"{least} or more events"
    return f"{least} events" if least == most else f"{least} to {most} events"


def _time(ms: int) -> str:
    return (
        datetime.fromtimestamp(ms / 1000, UTC)
        .isoformat(sep=" ", timespec="milliseconds")
        .removesuffix("+00:00")
    )
