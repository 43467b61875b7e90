"""Before anything is trusted to a server: is it fit to hold a log, is this the layout, did it stop uncleanly?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from eventstore.errors import NoStore, StoreRefused
from eventstore.keys import LAYOUT, Keyspace
from eventstore.redis.driver.connection import Connection, Node
from eventstore.redis.driver.fitness.findings import Finding, check_level
from eventstore.redis.driver.fitness.node_checks import (
    check_clock,
    check_node,
    check_replicas,
)
from eventstore.redis.driver.fitness.restart import rewrite_after_restart
from eventstore.redis.driver.fitness.server_facts import answers_of, server_ms
from eventstore.redis.driver.replication import REPLICATED, Quorum, Replicas
from eventstore.redis.driver.retries import FAILOVER_SECONDS, retrying
from eventstore.redis.driver.scripts import PlainCall, Scripts
from eventstore.redis.stored_texts import pairs_of

TOLERATED: Final = frozenset({"aof_failed", "away"})
"""Errors with which a server refuses to write by itself; what it has, or the rest of a cluster has, can be read."""


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
                level="error",
                code="layout",
                what=f"the store has layout {record.get('layout')}, not {LAYOUT}",
                remedy=_LAYOUT,
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
                level="error",
                code="replicas",
                what="durability replicated is not there on Redis Cluster",
                remedy=remedy,
            )
        ]
    for node, info in answers_of(connection.nodes()):
        if info is None:
            remedy = "start it again, or have a replica take its place; meanwhile its runs stand still"
            own = [
                Finding(
                    level="error", code="away", what="it does not answer", remedy=remedy
                )
            ]
        else:
            own = check_node(node, info, durability, connection.where)
            if durability == REPLICATED:
                own += check_replicas(
                    node, info, connection.quorum or Quorum(Replicas())
                )
            own += check_clock(server_ms(node) - now_ms())
        findings += [_of(node, finding) for finding in own] if node.name else own
    return findings


def _of(node: Node, finding: Finding) -> Finding:
    """Name the node of a cluster in what is said of it."""
    level = finding.level if node.is_primary else "warning"
    kind = "node" if node.is_primary else "replica"
    return replace(finding, level=level, what=f"{kind} {node.name}: {finding.what}")


def _record(connection: Connection, keyspace: Keyspace) -> dict[str, str]:
    reply = connection.command(b"HGETALL", keyspace.store())
    return {key.decode(): value.decode() for key, value in pairs_of(reply)}


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
