"""Asking replicas about what others have written: who reads relies on it as much as who wrote it."""

from __future__ import annotations

from collections.abc import Callable

from eventstore.errors import StoreUnavailable
from eventstore.redis.client import RedisClient
from eventstore.redis.driver.connection import Connection
from eventstore.redis.driver.replication import check_confirmed, confirming
from eventstore.redis.driver.scripts import PlainCall, Scripts


def confirmed_version(
    connection: Connection, store: RedisClient, run: str, left_ms: Callable[[], float]
) -> int:
    """Return the version of a run, 0 where there is none, that replicas have confirmed.

    It is asked once, within what is left of the caller's time. Raises StoreUnavailable, and NotReplicated where the
    server may not be the primary any more.
    """
    quorum = connection.quorum
    head = store.keys.head(run)
    read = PlainCall((b"HGET", head, b"v"))
    if quorum is None:
        return int(Scripts(connection).run(read) or 0)
    count = connection.wanted_replicas()
    within = max(1, min(quorum.asked.timeout_ms, int(left_ms())))
    # The wait goes behind the read: what replicas confirm then covers what was read, whoever has written it.
    asked = map(PlainCall, confirming(head, count, within))
    version, *confirmations = Scripts(connection).run_many([read, *asked])
    try:
        check_confirmed(confirmations, count, connection.where)
    except StoreUnavailable:
        connection.doubt()
        raise
    if isinstance(version, Exception):
        raise version
    return int(version or 0)
