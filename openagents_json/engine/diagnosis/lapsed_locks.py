"""Locks whose holders have ended without giving them back."""

from __future__ import annotations

from collections.abc import Iterator

from eventstore.redis.client import RedisClient
from eventstore.redis.driver.fitness.findings import Finding
from eventstore.redis.leases.store import LeaseStore


def lapsed_locks(store: RedisClient) -> Iterator[Finding]:
    """Say which leases ran out within a day without being given back, and that nobody has taken since.

    Nothing waits for them; what their holders did is perhaps done by half. Whether the holder of a lease that has not
    run out is alive, no store can tell: it is held no longer than it lasts.
    """
    now_ms = store.now_ms()
    for record in LeaseStore(store).all():
        if record.is_stale(now_ms):
            ago = (now_ms - record.until_ms) / 1000
            what = f"the lock {record.name} ran out {ago:.0f} s ago: its holder {record.holder} died or hung"
            remedy = (
                "see whether what it did is to be done again: whoever needs the lock can take it; "
                f"`openagents locks break {record.name}` takes this line away"
            )
            yield Finding(level="warning", code="lock", what=what, remedy=remedy)
