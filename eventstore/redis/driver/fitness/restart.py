"""What a server that stopped uncleanly has left at the end of its AOF, and when it may write the AOF anew.

Redis leaves a transaction open where it cuts a torn one off, and carries half of it out at the start after that,
together with what came behind it (seen with 7.0; Valkey cuts before the transaction since 9.1.2, see
valkey-io/valkey#4342). An AOF that is written anew is whole. But a server whose disk is full must not be asked for one:
its log may be left with a hole then, with which it does not start again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from eventstore.errors import EventStoreError
from eventstore.keys import Keyspace
from eventstore.redis.driver.connection import Connection, Node
from eventstore.redis.driver.scripts import Scripts, essential
from eventstore.redis.driver.server_info import info_of

MENDED: Final = (9, 1, 2)
"""The first Valkey that cuts before a torn transaction."""


def rewrite_after_restart(connection: Connection, keyspace: Keyspace) -> None:
    """Have each server write its AOF anew once after each restart, before the next crash can come.

    Only where its version needs it, and where its disk takes what it writes; else it is looked at again later. Raises
    StoreUnavailable.
    """
    store = keyspace.store()
    for node in connection.nodes():
        if not node.is_primary:
            continue
        try:
            info = info_of(node.ask(b"INFO"))
        except EventStoreError:
            if not node.name:
                raise
            continue  # a node of a cluster that is away is looked at when it is back
        field = f"run_id:{node.name}" if node.name else "run_id"
        run_id = info.get("run_id", "")
        if info.get("aof_enabled", "0") != "1":
            continue
        if (connection.command(b"HGET", store, field) or b"").decode() == run_id:
            continue
        if needs_rewrite(info) and not (writes_well(info) and _rewritten(node)):
            continue
        if (
            info.get("aof_last_write_status", "ok") == "ok"
        ):  # else it refuses what is written
            Scripts(connection).run(essential(b"HSET", store, field, run_id))


def needs_rewrite(info: Mapping[str, str]) -> bool:
    """Tell whether a server may have left a transaction open, by its version, and has written no AOF since."""
    version = tuple(
        int(part) for part in re.findall(r"\d+", info.get("valkey_version", ""))[:3]
    )
    done = (
        info.get("aof_rewrites", "0") != "0"
        and info.get("aof_last_bgrewrite_status") == "ok"
    )
    return version < MENDED and not done


def writes_well(info: Mapping[str, str]) -> bool:
    """Tell whether the last writes of a server to its disk went well."""
    return all(
        info.get(name, "ok") == "ok"
        for name in ("aof_last_write_status", "aof_last_bgrewrite_status")
    )


def _rewritten(node: Node) -> bool:
    try:
        node.ask(b"BGREWRITEAOF")
    except EventStoreError as error:
        return "already in progress" in str(error) or "can't" in str(error).lower()
    return True
