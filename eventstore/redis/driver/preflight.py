"""Before anything is trusted to a server: is it fit to hold a log, is this the layout, did it stop uncleanly?"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from eventstore.errors import (
    EventStoreError,
    InvalidRequest,
    NoStore,
    StoreRefused,
    StoreUnavailable,
)
from eventstore.keys import LAYOUT, Keyspace
from eventstore.redis.driver.connection import (
    Connection,
    Node,
)
from eventstore.redis.driver.replication import REPLICATED, Quorum, Replicas, online
from eventstore.redis.driver.restart import rewrite_after_restart
from eventstore.redis.driver.retries import FAILOVER_SECONDS, retrying
from eventstore.redis.driver.scripts import PlainCall, Scripts
from eventstore.redis.driver.server_info import info_of

NEARLY_FULL: Final = 0.85
"""The part of maxmemory from which on a warning is given."""

TOLERATED: Final = frozenset({"aof_failed", "away"})
"""Errors with which a server refuses to write by itself; what it has, or the rest of a cluster has, can be read."""

NEEDED_BYTES: Final = 64 * 2**20
"""What has to be free on a server's disk beside the room for an AOF that is written anew."""

LEVELS: Final = {"memory": 0, "everysec": 1, REPLICATED: 1, "always": 2}
"""What a level asks of the log of one server at least; what `replicated` promises beyond that is for its replicas."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about the server: an error forbids its use, a warning does not."""

    level: str
    code: str
    what: str
    remedy: str


def check_level(durability: str) -> None:
    """Refuse a level of durability that there is not.

    Raises InvalidRequest.
    """
    if durability not in LEVELS:
        raise InvalidRequest(
            f"there is no durability {durability!r}; it must be one of {', '.join(LEVELS)}"
        )


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
    `create`, one that is not there is missed. Raises StoreRefused with the reason and the remedy, NoStore and
    InvalidRequest.
    """
    check_level(durability)
    findings = check_server(connection, durability, now_ms=now_ms)
    errors = [
        finding
        for finding in findings
        if finding.level == "error" and finding.code not in TOLERATED
    ]
    if errors:
        raise StoreRefused(errors[0].what, errors[0].remedy)
    keyspace = _adopt(connection, prefix, partitions, create=create)
    rewrite_after_restart(connection, keyspace)
    return keyspace


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a server says of itself; `skew_ms` is how far its clock is ahead of this one.

    Of a cluster, what all its primaries have in common: the weakest promise, the worst clock, all memory.
    """

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
    answers = _answers([node for node in connection.nodes() if node.is_primary])
    infos = [info for _, info in answers if info is not None]
    fsyncs = [
        setting(node, "appendfsync") or "unknown"
        for node, info in answers
        if info is not None
    ]
    skews = [_server_ms(node) - now_ms() for node, info in answers if info is not None]
    name = infos[0].get("server_name", "redis")
    versions = {
        info.get(f"{name}_version", info.get("redis_version", "unknown"))
        for info in infos
    }
    return ServerFacts(
        name=name,
        version=", ".join(sorted(versions)),
        appendonly=all(info.get("aof_enabled", "0") == "1" for info in infos),
        appendfsync=min(fsyncs, key=_level),
        memory_bytes=sum(int(info.get("used_memory", "0")) for info in infos),
        skew_ms=max(skews, key=abs),
    )


def _level(fsync: str) -> int:
    return LEVELS.get({"no": "memory"}.get(fsync, fsync), -1)


def check(
    connection: Connection,
    keyspace: Keyspace,
    durability: str,
    *,
    now_ms: Callable[[], int],
) -> list[Finding]:
    """Check the server and the store's record, changing nothing."""
    findings = check_server(connection, durability, now_ms=now_ms)
    record = _record(connection, keyspace)
    if record.get("layout") != LAYOUT:
        findings.append(
            Finding(
                "error",
                "layout",
                f"the store has layout {record.get('layout')}, not {LAYOUT}",
                _LAYOUT,
            )
        )
    return findings


_LAYOUT: Final = "use the version of openagents-json that wrote it, or another prefix"


def check_server(
    connection: Connection, durability: str, *, now_ms: Callable[[], int]
) -> list[Finding]:
    """Check a server for what a log needs at a durability level; in a cluster, each of its nodes.

    What is wrong with a replica is a warning: it holds nothing alone, until it takes the place of its primary. Raises
    StoreUnavailable.
    """
    findings: list[Finding] = []
    if durability == REPLICATED and connection.is_cluster:
        remedy = (
            "use a server with replicas behind Sentinel, or ask for durability always"
        )
        return [
            Finding(
                "error",
                "replicas",
                "durability replicated is not there on Redis Cluster",
                remedy,
            )
        ]
    for node, info in _answers(connection.nodes()):
        if info is None:
            remedy = "start it again, or have a replica take its place; meanwhile its runs stand still"
            own = [Finding("error", "away", "it does not answer", remedy)]
        else:
            own = _check_node(node, info, durability, connection.where)
            if durability == REPLICATED:
                own += _check_replicas(
                    node, info, connection.quorum or Quorum(Replicas())
                )
            own += _check_clock(_server_ms(node) - now_ms())
        findings += [_of(node, finding) for finding in own] if node.name else own
    return findings


def _of(node: Node, finding: Finding) -> Finding:
    """Name the node of a cluster in what is said of it."""
    level = finding.level if node.is_primary else "warning"
    kind = "node" if node.is_primary else "replica"
    return replace(finding, level=level, what=f"{kind} {node.name}: {finding.what}")


def _check_node(
    node: Node, info: Mapping[str, str], durability: str, where: str
) -> list[Finding]:
    findings = _check_version(info)
    if node.is_primary and info.get("role", "master") != "master":
        findings.append(
            Finding(
                "error", "replica", "the server is a replica", "connect to the primary"
            )
        )
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        remedy = "set maxmemory-policy noeviction: an evicted key is a lost run"
        findings.append(
            Finding(
                "error", "eviction", f"the server may evict keys ({policy})", remedy
            )
        )
    findings += _check_durability(node, info, durability)
    findings += _check_health(info)
    findings += _check_disk(node, info, where)
    return findings


def _check_clock(skew: int) -> list[Finding]:
    if abs(skew) <= 2000:
        return []
    remedy = "synchronise the clocks; timers follow the server's"
    return [
        Finding(
            "warning",
            "clock",
            f"the server's clock is {skew} ms ahead of this one",
            remedy,
        )
    ]


def _answers(nodes: Sequence[Node]) -> list[tuple[Node, dict[str, str] | None]]:
    """Ask servers what they say of themselves; None for a node of a cluster that does not answer.

    Raises StoreUnavailable when none does.
    """
    answers: list[tuple[Node, dict[str, str] | None]] = []
    away: StoreUnavailable | None = None
    for node in nodes:
        try:
            answers.append((node, info_of(node.ask(b"INFO"))))
        except StoreUnavailable as error:
            away = error
            answers.append((node, None))
    if away is not None and all(info is None for _, info in answers):
        raise away
    return answers


def _check_version(info: Mapping[str, str]) -> list[Finding]:
    version = info.get("redis_version", "0")
    major = int(version.split(".")[0]) if version.split(".")[0].isdigit() else 0
    if major >= 7:
        return []
    return [
        Finding(
            "error",
            "version",
            f"the server is version {version}",
            "use Redis 7.0 or newer, or Valkey",
        )
    ]


def setting(node: Node, name: str) -> str | None:
    """Read a setting; None where the server does not let us."""
    try:
        reply = node.ask(b"CONFIG", b"GET", name)
    except EventStoreError:
        return None
    flat = (
        list(reply)
        if isinstance(reply, list)
        else [x for pair in dict(reply).items() for x in pair]
    )
    return flat[1].decode() if len(flat) > 1 else None


def _check_durability(
    node: Node, info: Mapping[str, str], durability: str
) -> list[Finding]:
    if LEVELS[durability] == 0:
        return []
    if info.get("aof_enabled", "0") != "1":
        remedy = "set appendonly yes, or ask for durability memory"
        return [
            Finding(
                "error",
                "no_aof",
                f"durability {durability} was asked for and the server has no AOF",
                remedy,
            )
        ]
    fsync = setting(node, "appendfsync")
    if fsync is not None and max(0, _level(fsync)) < LEVELS[durability]:
        enough = "everysec, better always" if durability == REPLICATED else durability
        remedy = f"set appendfsync {enough}, or ask for a weaker durability"
        return [
            Finding(
                "error",
                "weak_fsync",
                f"durability {durability} was asked for, appendfsync is {fsync}",
                remedy,
            )
        ]
    return []


def _check_replicas(
    node: Node, info: Mapping[str, str], quorum: Quorum
) -> list[Finding]:
    """Check that a server refuses to write without its replicas, and that whoever may be promoted is asked."""
    least = _least_replicas(node, info)
    quorum.look(info, least or 0)
    required = quorum.asked.count or 1
    online_count = online(info)
    findings = []
    if least is not None and least < required:
        what = f"durability replicated was asked for, and the server writes with fewer than {required} replica(s)"
        remedy = f"set min-replicas-to-write {required} and min-replicas-max-lag 10, on its replicas too"
        findings.append(Finding("error", "min_replicas", what, remedy))
    if online_count < quorum.count:
        what = f"{online_count} replica(s) follow the server and {quorum.count} have to confirm: nothing can be written"
        remedy = "start replicas, or ask for fewer (OPENAGENTS_REPLICAS, and min-replicas-to-write of the server)"
        findings.append(Finding("warning", "replicas", what, remedy))
    if online_count > quorum.count:
        what = f"{online_count} replicas follow the server, {quorum.count} have to confirm: another one may be promoted"
        remedy = (
            f"ask for all (OPENAGENTS_REPLICAS={online_count}), "
            "or set replica-priority 0 on those that shall not be"
        )
        findings.append(Finding("warning", "replicas", what, remedy))
    return findings


def _least_replicas(node: Node, info: Mapping[str, str]) -> int | None:
    """Return how many replicas a server insists on; None when it does, and does not say on how many."""
    least, lag = (
        setting(node, "min-replicas-to-write"),
        setting(node, "min-replicas-max-lag"),
    )
    if (
        least is None or lag is None
    ):  # where settings cannot be read, this tells that both are set
        return None if "min_slaves_good_slaves" in info else 0
    return int(least) if int(lag) > 0 else 0


def _check_health(info: Mapping[str, str]) -> list[Finding]:
    findings = []
    if info.get("aof_last_write_status", "ok") != "ok":
        remedy = "free disk space, then BGREWRITEAOF; see `A full disk` in the guide to workers"
        what = "the server could not write its AOF, and refuses to write"
        findings.append(Finding("error", "aof_failed", what, remedy))
    if info.get("aof_last_bgrewrite_status", "ok") != "ok":
        remedy = "free disk space, then BGREWRITEAOF"
        findings.append(
            Finding(
                "warning",
                "rewrite_failed",
                "the server could not write its AOF anew",
                remedy,
            )
        )
    findings += _check_memory(info)
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        remedy = "look at its disk and log; it may refuse writes (stop-writes-on-bgsave-error)"
        findings.append(
            Finding(
                "warning",
                "bgsave_failed",
                "the server could not write its last snapshot",
                remedy,
            )
        )
    if int(info.get("evicted_keys", "0") or 0) > 0:
        remedy = "check with `openagents doctor` what is missing; restore from a backup"
        findings.append(
            Finding(
                "warning",
                "evicted",
                f"the server has evicted {info['evicted_keys']} keys",
                remedy,
            )
        )
    return findings


def _check_memory(info: Mapping[str, str]) -> list[Finding]:
    """Warn before a server is full; one that is full can be read and freed, so that is no error."""
    used, limit = (
        int(info.get("used_memory", "0") or 0),
        int(info.get("maxmemory", "0") or 0),
    )
    if not limit or used < NEARLY_FULL * limit:
        return []
    what = f"the server uses {used / 2**20:.1f} MB of its maxmemory, {limit / 2**20:.1f} MB; "
    what += (
        "it refuses new runs" if used >= limit else "beyond it, new runs are refused"
    )
    return [
        Finding(
            "warning", "memory", what, "raise maxmemory, or archive and delete old runs"
        )
    ]


def _check_disk(node: Node, info: Mapping[str, str], where: str) -> list[Finding]:
    """Warn when there is too little room for an AOF that is written anew; only a disk of this machine can be seen."""
    if info.get("aof_enabled", "0") != "1" or not is_here(place_of(node, where)):
        return []
    try:
        free = shutil.disk_usage(setting(node, "dir") or "").free
    except OSError:
        return []
    needed = int(info.get("used_memory", "0") or 0) + NEEDED_BYTES
    if free >= needed:
        return []
    room = f"{free / 2**20:.0f} MB are free on the server's disk"
    what = f"{room}, and it needs {needed / 2**20:.0f} MB to write its AOF anew"
    return [
        Finding(
            "warning", "disk", what, "free disk space, or archive and delete old runs"
        )
    ]


def place_of(node: Node, where: str) -> str:
    """Return the URL of a server, of which `where` is the store's."""
    return f"redis://{node.name}" if node.name else where


def is_here(where: str) -> bool:
    """Tell whether a server runs on this machine, as far as its URL says."""
    return (
        where.startswith("unix://")
        or re.match(r"\w+://(127\.|localhost\b|\[::1\])", where) is not None
    )


def _server_ms(node: Node) -> int:
    reply = node.ask(b"TIME")
    return int(reply[0]) * 1000 + int(reply[1]) // 1000


def _record(connection: Connection, keyspace: Keyspace) -> dict[str, str]:
    reply = connection.command(b"HGETALL", keyspace.store())
    pairs = (
        reply.items()
        if isinstance(reply, dict)
        else zip(reply[::2], reply[1::2], strict=True)
    )
    return {key.decode(): value.decode() for key, value in pairs}


def _adopt(
    connection: Connection, prefix: str, partitions: int, *, create: bool
) -> Keyspace:
    """Create the store's record, or take the partition count from it: it is fixed for the life of a store."""
    keyspace = Keyspace(prefix, partitions)
    patience = (
        FAILOVER_SECONDS if connection.is_cluster else 0
    )  # a replica may be about to take the place of its node
    record = retrying(lambda: _record(connection, keyspace), patience)
    if not record and not create:
        raise NoStore(f"with prefix {prefix!r} at {connection.where}")
    if (
        "partitions" not in record or "layout" not in record
    ):  # a server at its memory limit refuses to write even that
        fields = ((b"partitions", str(keyspace.partitions)), (b"layout", LAYOUT))
        calls = [PlainCall((b"HSETNX", keyspace.store(), *field)) for field in fields]
        for reply in retrying(
            lambda: Scripts(connection).run_many(calls), patience or 10.0
        ):
            if isinstance(reply, Exception):
                raise reply
        record = _record(connection, keyspace)
    if record.get("layout") != LAYOUT:
        raise StoreRefused(
            f"the store {prefix!r} has layout {record.get('layout')}, this version writes {LAYOUT}",
            _LAYOUT,
        )
    return Keyspace(prefix, int(record["partitions"]))
