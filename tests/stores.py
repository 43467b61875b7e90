"""What tests leave behind on a server: stores that have to be in order, and that nobody needs any more."""

from __future__ import annotations

from collections.abc import Iterable

from eventstore.errors import EventStoreError
from eventstore.keys import Keyspace
from eventstore.redis.driver.connection import Connection
from eventstore.redis.runs import RedisRunStore
from eventstore.redis.upkeep.inspection import Inspector
from executor.integrity.invariants import Violation, confirmed

SUFFIX = b":store"


def stores(connection: Connection) -> frozenset[str]:
    """Return the prefixes of all stores on a server, none of one that cannot be reached."""
    try:
        names = [*connection.client.scan_iter(match=b"*" + SUFFIX, count=10_000)]
    except Exception:  # whatever the driver says of a server that was killed
        return frozenset()
    return frozenset(
        name.removesuffix(SUFFIX).decode() for name in names if name.count(b":") == 1
    )


def broken(
    connection: Connection, prefixes: Iterable[str]
) -> dict[str, list[Violation]]:
    """Return what is wrong with stores, by prefix; nothing of those that cannot be reached."""
    by_store = {}
    for prefix in sorted(prefixes):
        try:
            partitions = connection.command(
                b"HGET", prefix.encode() + SUFFIX, b"partitions"
            )
            if partitions is not None:
                store = RedisRunStore(connection, Keyspace(prefix, int(partitions)))
                by_store[prefix] = confirmed(
                    Inspector(store), range(int(partitions)), deep=True
                )
        except EventStoreError:
            continue
    return {prefix: violations for prefix, violations in by_store.items() if violations}


def remove(connection: Connection, prefixes: Iterable[str]) -> None:
    """Remove stores, so that those of the tests to come are found quickly."""
    for prefix in prefixes:
        names = [
            *connection.client.scan_iter(match=prefix.encode() + b":*", count=10_000)
        ]
        for start in range(0, len(names), 1000):
            connection.client.unlink(*names[start : start + 1000])
