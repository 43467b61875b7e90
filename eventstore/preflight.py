"""Before anything is trusted to a server: is it fit to hold a log, is this the layout, did it stop uncleanly?"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from eventstore.connection import Connection
from eventstore.errors import EventStoreError, StoreRefused
from eventstore.keys import LAYOUT, Keyspace
from eventstore.restart import info_of, rewrite_after_restart

NEARLY_FULL: Final = 0.85
"""The part of maxmemory from which on a warning is given."""

READABLE: Final = frozenset({"aof_failed"})
"""Errors with which a server refuses to write by itself; what it has can be read."""

NEEDED_BYTES: Final = 64 * 2**20
"""What has to be free on a server's disk beside the room for an AOF that is written anew."""

LEVELS: Final = {"memory": 0, "everysec": 1, "always": 2}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about the server: an error forbids its use, a warning does not."""

    level: str
    code: str
    what: str
    remedy: str


def require(
    connection: Connection,
    prefix: str,
    partitions: int,
    durability: str,
    *,
    now_ms: Callable[[], int],
    create: bool = True,
) -> Keyspace:
    """Check the server, create or adopt the store, repair what an unclean stop left, and give the keyspace.

    `partitions` is for a store that is created; one that is there keeps its own number for life. Without
    `create`, one that is not there is missed. Raises StoreRefused with the reason and the remedy, and NoStore.
    """
    found = check_server(connection, durability, now_ms=now_ms)
    errors = [finding for finding in found if finding.level == "error" and finding.code not in READABLE]
    if errors:
        raise StoreRefused(errors[0].what, errors[0].remedy)
    keyspace = _adopt(connection, prefix, partitions, create=create)
    rewrite_after_restart(connection, keyspace)
    return keyspace


class NoStore(StoreRefused):
    """Somebody wants to look into a store that is not there."""

    def __init__(self, where: str) -> None:
        self.where = where
        super().__init__(f"there is no store {where}", "`openagents run` or a worker makes one, or name another")


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a server says of itself; `skew_ms` is how far its clock is ahead of this one."""

    name: str
    version: str
    appendonly: bool
    appendfsync: str
    memory_bytes: int
    skew_ms: int


def describe(connection: Connection, *, now_ms: Callable[[], int]) -> ServerFacts:
    """Read what a server says of itself.

    Raises StoreUnavailable.
    """
    info = _info(connection)
    name = info.get("server_name", "redis")
    skew = _server_ms(connection) - now_ms()
    return ServerFacts(
        name=name,
        version=info.get(f"{name}_version", info.get("redis_version", "unknown")),
        appendonly=info.get("aof_enabled", "0") == "1",
        appendfsync=(None if connection.is_cluster else setting(connection, "appendfsync")) or "unknown",
        memory_bytes=int(info.get("used_memory", "0")),
        skew_ms=skew,
    )


def check(connection: Connection, keyspace: Keyspace, durability: str, *, now_ms: Callable[[], int]) -> list[Finding]:
    """Check the server and the store's record, changing nothing."""
    found = check_server(connection, durability, now_ms=now_ms)
    record = _record(connection, keyspace)
    if record.get("layout") != LAYOUT:
        found.append(Finding("error", "layout", f"the store has layout {record.get('layout')}, not {LAYOUT}", _LAYOUT))
    return found


_LAYOUT: Final = "use the version of openagents-json that wrote it, or another prefix"


def check_server(connection: Connection, durability: str, *, now_ms: Callable[[], int]) -> list[Finding]:
    """Check a server for what a log needs at a durability level.

    Raises StoreUnavailable.
    """
    info = _info(connection)
    found: list[Finding] = []
    found += _check_version(info)
    if info.get("role", "master") != "master":
        found.append(Finding("error", "replica", "the server is a replica", "connect to the primary"))
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        remedy = "set maxmemory-policy noeviction: an evicted key is a lost run"
        found.append(Finding("error", "eviction", f"the server may evict keys ({policy})", remedy))
    found += _check_durability(connection, info, durability)
    found += _check_health(info)
    found += _check_disk(connection, info)
    skew = _server_ms(connection) - now_ms()
    if abs(skew) > 2000:
        remedy = "synchronise the clocks; timers follow the server's"
        found.append(Finding("warning", "clock", f"the server's clock is {skew} ms ahead of this one", remedy))
    return found


def _info(connection: Connection) -> dict[str, str]:
    """Read INFO of the server, of one primary in a cluster."""
    return info_of(connection.client.info() if connection.is_cluster else connection.command(b"INFO"))


def _check_version(info: Mapping[str, str]) -> list[Finding]:
    version = info.get("redis_version", "0")
    major = int(version.split(".")[0]) if version.split(".")[0].isdigit() else 0
    if major >= 7:
        return []
    return [Finding("error", "version", f"the server is version {version}", "use Redis 7.0 or newer, or Valkey")]


def setting(connection: Connection, name: str) -> str | None:
    """Read a setting; None where the server does not let us."""
    try:
        reply = connection.command(b"CONFIG", b"GET", name)
    except EventStoreError:
        return None
    flat = list(reply) if isinstance(reply, list) else [x for pair in dict(reply).items() for x in pair]
    return flat[1].decode() if len(flat) > 1 else None


def _check_durability(connection: Connection, info: Mapping[str, str], durability: str) -> list[Finding]:
    if LEVELS[durability] == 0:
        return []
    if info.get("aof_enabled", "0") != "1":
        remedy = "set appendonly yes, or ask for durability memory"
        return [Finding("error", "no_aof", f"durability {durability} was asked for and the server has no AOF", remedy)]
    fsync = None if connection.is_cluster else setting(connection, "appendfsync")
    if fsync is not None and LEVELS.get({"no": "memory"}.get(fsync, fsync), 0) < LEVELS[durability]:
        remedy = f"set appendfsync {durability}, or ask for a weaker durability"
        return [
            Finding("error", "weak_fsync", f"durability {durability} was asked for, appendfsync is {fsync}", remedy)
        ]
    return []


def _check_health(info: Mapping[str, str]) -> list[Finding]:
    found = []
    if info.get("aof_last_write_status", "ok") != "ok":
        remedy = "free disk space, then BGREWRITEAOF; see `A full disk` in the guide to workers"
        what = "the server could not write its AOF, and refuses to write"
        found.append(Finding("error", "aof_failed", what, remedy))
    if info.get("aof_last_bgrewrite_status", "ok") != "ok":
        remedy = "free disk space, then BGREWRITEAOF"
        found.append(Finding("warning", "rewrite_failed", "the server could not write its AOF anew", remedy))
    found += _check_memory(info)
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        remedy = "look at its disk and log; it may refuse writes (stop-writes-on-bgsave-error)"
        found.append(Finding("warning", "bgsave_failed", "the server could not write its last snapshot", remedy))
    if int(info.get("evicted_keys", "0") or 0) > 0:
        remedy = "check with `openagents doctor` what is missing; restore from a backup"
        found.append(Finding("warning", "evicted", f"the server has evicted {info['evicted_keys']} keys", remedy))
    return found


def _check_memory(info: Mapping[str, str]) -> list[Finding]:
    """Warn before a server is full; one that is full can be read and freed, so that is no error."""
    used, limit = int(info.get("used_memory", "0") or 0), int(info.get("maxmemory", "0") or 0)
    if not limit or used < NEARLY_FULL * limit:
        return []
    what = f"the server uses {used / 2**20:.1f} MB of its maxmemory, {limit / 2**20:.1f} MB; "
    what += "it refuses new runs" if used >= limit else "beyond it, new runs are refused"
    return [Finding("warning", "memory", what, "raise maxmemory, or archive and delete old runs")]


def _check_disk(connection: Connection, info: Mapping[str, str]) -> list[Finding]:
    """Warn when there is too little room for an AOF that is written anew; only a disk of this machine can be seen."""
    if info.get("aof_enabled", "0") != "1" or not is_here(connection.where):
        return []
    try:
        free = shutil.disk_usage(setting(connection, "dir") or "").free
    except OSError:
        return []
    needed = int(info.get("used_memory", "0") or 0) + NEEDED_BYTES
    if free >= needed:
        return []
    room = f"{free / 2**20:.0f} MB are free on the server's disk"
    what = f"{room}, and it needs {needed / 2**20:.0f} MB to write its AOF anew"
    return [Finding("warning", "disk", what, "free disk space, or archive and delete old runs")]


def is_here(where: str) -> bool:
    """Tell whether a server runs on this machine, as far as its URL says."""
    return where.startswith("unix://") or re.match(r"\w+://(127\.|localhost\b|\[::1\])", where) is not None


def _server_ms(connection: Connection) -> int:
    reply = connection.client.time() if connection.is_cluster else connection.command(b"TIME")
    if isinstance(reply, dict):
        reply = next(iter(reply.values()))
    return int(reply[0]) * 1000 + int(reply[1]) // 1000


def _record(connection: Connection, keyspace: Keyspace) -> dict[str, str]:
    reply = connection.command(b"HGETALL", keyspace.store())
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    return {key.decode(): value.decode() for key, value in pairs}


def _adopt(connection: Connection, prefix: str, partitions: int, *, create: bool) -> Keyspace:
    """Create the store's record, or take the partition count from it: it is fixed for the life of a store."""
    wanted = Keyspace(prefix, partitions)
    record = _record(connection, wanted)
    if not record and not create:
        raise NoStore(f"with prefix {prefix!r} at {connection.where}")
    if "partitions" not in record or "layout" not in record:  # a server at its memory limit refuses to write even that
        connection.command(b"HSETNX", wanted.store(), b"partitions", str(wanted.partitions))
        connection.command(b"HSETNX", wanted.store(), b"layout", LAYOUT)
        record = _record(connection, wanted)
    if record.get("layout") != LAYOUT:
        raise StoreRefused(
            f"the store {prefix!r} has layout {record.get('layout')}, this version writes {LAYOUT}", _LAYOUT
        )
    return Keyspace(prefix, int(record["partitions"]))
