"""What a store has lost although it had been acknowledged, as far as somebody remembered it and looked for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from eventstore.redis.client import RedisClient
from eventstore.redis.driver.fitness.findings import Finding
from eventstore.redis.upkeep.losses import Loss, read_losses

APART_MS: Final = 5000
"""Partitions that lost commits of about the same time have lost them together."""

REMEDY: Final = (
    "ask again for what was started then, with the same idempotency keys, and look for effects of steps that came "
    "twice; at durability replicated a failover loses nothing, see `Survive a failover` in the guides"
)


def recorded_losses(store: RedisClient) -> Iterator[Finding]:
    """Say what was lost, and how far back."""
    losses = sorted(read_losses(store), key=lambda loss: loss.first_ms)
    for group in _by_failover(losses):
        first_ms = min(loss.first_ms for loss in group)
        last_ms = max(loss.lost_ms for loss in group)
        missed_ms = min(loss.at_ms for loss in group)
        where = "1 partition" if len(group) == 1 else f"{len(group)} partitions"
        what = (
            f"acknowledged commits were lost: {_many(group)} of {where}, written from {_time(first_ms)} to "
            f"{_time(last_ms)} ({(last_ms - first_ms) / 1000:.1f} s), missed since {_time(missed_ms)}: "
            "a server took the place of another one, or came back without the end of its log"
        )
        yield Finding(level="warning", code="lost", what=what, remedy=REMEDY)


def _by_failover(losses: Iterable[Loss]) -> Iterator[list[Loss]]:
    """Group losses, in the order of their times, by the failovers that they belong to."""
    group: list[Loss] = []
    group_ends_ms = 0
    for loss in losses:
        if group and loss.first_ms > group_ends_ms + APART_MS:
            yield group
            group = []
            group_ends_ms = 0
        group.append(loss)
        group_ends_ms = max(group_ends_ms, loss.lost_ms)
    if group:
        yield group


def _many(losses: Sequence[Loss]) -> str:
    """Say how many events were lost: all after the last one that is known to be there, or some of them."""
    least = sum(loss.lost - loss.first + 1 for loss in losses)
    most = sum(loss.lost - loss.kept for loss in losses)
    if any(loss.kept == 0 for loss in losses):
        return f"{least} or more events"
    if least == most:
        return f"{least} events"
    return f"{least} to {most} events"


def _time(ms: int) -> str:
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    text = moment.isoformat(sep=" ", timespec="milliseconds")
    return text.removesuffix("+00:00")
