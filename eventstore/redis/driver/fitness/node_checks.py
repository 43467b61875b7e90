"""What is looked at on one server: its version, log, memory, disk, clock and replicas."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Final

from eventstore.redis.driver.connection import Node
from eventstore.redis.driver.fitness.findings import LEVELS, Finding, level_of_fsync
from eventstore.redis.driver.fitness.server_facts import is_here, place_of, setting
from eventstore.redis.driver.replication import REPLICATED, Quorum, online

NEARLY_FULL: Final = 0.85
"""The part of maxmemory from which on a warning is given."""

NEEDED_BYTES: Final = 64 * 2**20
"""What has to be free on a server's disk beside the room for an AOF that is written anew."""


def check_node(
    node: Node, info: Mapping[str, str], durability: str, where: str
) -> list[Finding]:
    """Check one server for what a log needs at a durability level."""
    findings = _check_version(info)
    if node.is_primary and info.get("role", "master") != "master":
        findings.append(
            Finding(
                level="error",
                code="replica",
                what="the server is a replica",
                remedy="connect to the primary",
            )
        )
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        remedy = "set maxmemory-policy noeviction: an evicted key is a lost run"
        findings.append(
            Finding(
                level="error",
                code="eviction",
                what=f"the server may evict keys ({policy})",
                remedy=remedy,
            )
        )
    findings += _check_durability(node, info, durability)
    findings += _check_health(info)
    findings += _check_disk(node, info, where)
    return findings


def check_clock(skew: int) -> list[Finding]:
    """Check how far a clock is from this one: timers follow the server\'s."""
    if abs(skew) <= 2000:
        return []
    remedy = "synchronise the clocks; timers follow the server's"
    return [
        Finding(
            level="warning",
            code="clock",
            what=f"the server's clock is {skew} ms ahead of this one",
            remedy=remedy,
        )
    ]


def _check_version(info: Mapping[str, str]) -> list[Finding]:
    version = info.get("redis_version", "0")
    major = int(version.split(".")[0]) if version.split(".")[0].isdigit() else 0
    if major >= 7:
        return []
    return [
        Finding(
            level="error",
            code="version",
            what=f"the server is version {version}",
            remedy="use Redis 7.0 or newer, or Valkey",
        )
    ]


def _check_durability(
    node: Node, info: Mapping[str, str], durability: str
) -> list[Finding]:
    if LEVELS[durability] == 0:
        return []
    if info.get("aof_enabled", "0") != "1":
        remedy = "set appendonly yes, or ask for durability memory"
        return [
            Finding(
                level="error",
                code="no_aof",
                what=f"durability {durability} was asked for and the server has no AOF",
                remedy=remedy,
            )
        ]
    fsync = setting(node, "appendfsync")
    if fsync is not None and max(0, level_of_fsync(fsync)) < LEVELS[durability]:
        enough = "everysec, better always" if durability == REPLICATED else durability
        remedy = f"set appendfsync {enough}, or ask for a weaker durability"
        return [
            Finding(
                level="error",
                code="weak_fsync",
                what=f"durability {durability} was asked for, appendfsync is {fsync}",
                remedy=remedy,
            )
        ]
    return []


def check_replicas(
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
    least = setting(node, "min-replicas-to-write")
    lag = setting(node, "min-replicas-max-lag")
    if (
        least is None or lag is None
    ):  # where settings cannot be read, this tells that both are set
        return None if "min_slaves_good_slaves" in info else 0
    if int(lag) > 0:
        return int(least)
    return 0


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
                level="warning",
                code="rewrite_failed",
                what="the server could not write its AOF anew",
                remedy=remedy,
            )
        )
    findings += _check_memory(info)
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        remedy = "look at its disk and log; it may refuse writes (stop-writes-on-bgsave-error)"
        findings.append(
            Finding(
                level="warning",
                code="bgsave_failed",
                what="the server could not write its last snapshot",
                remedy=remedy,
            )
        )
    if int(info.get("evicted_keys", "0") or 0) > 0:
        remedy = "check the store for what is missing; restore from a backup"
        findings.append(
            Finding(
                level="warning",
                code="evicted",
                what=f"the server has evicted {info['evicted_keys']} keys",
                remedy=remedy,
            )
        )
    return findings


def _check_memory(info: Mapping[str, str]) -> list[Finding]:
    """Warn before a server is full; one that is full can be read and freed, so that is no error."""
    used = int(info.get("used_memory", "0") or 0)
    limit = int(info.get("maxmemory", "0") or 0)
    if not limit or used < NEARLY_FULL * limit:
        return []
    what = f"the server uses {used / 2**20:.1f} MB of its maxmemory, {limit / 2**20:.1f} MB; "
    what += (
        "it refuses new runs" if used >= limit else "beyond it, new runs are refused"
    )
    return [
        Finding(
            level="warning",
            code="memory",
            what=what,
            remedy="raise maxmemory, or archive and delete old runs",
        )
    ]


def _check_disk(node: Node, info: Mapping[str, str], where: str) -> list[Finding]:
    """Warn when there is too little room for an AOF that is written anew; only a disk of this machine can be seen."""
    has_no_log_here = info.get("aof_enabled", "0") != "1" or not is_here(
        place_of(node, where)
    )
    if has_no_log_here:
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
            level="warning",
            code="disk",
            what=what,
            remedy="free disk space, or archive and delete old runs",
        )
    ]
