"""What a server says of itself: version, log, memory, clock, settings, and the machine that it runs on."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eventstore.errors import EventStoreError, StoreUnavailable
from eventstore.redis.driver.connection import Connection, Node
from eventstore.redis.driver.fitness.findings import level_of_fsync
from eventstore.redis.driver.server_info import info_of
from eventstore.redis.stored_texts import pairs_of


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
    answers = answers_of([node for node in connection.nodes() if node.is_primary])
    infos = [info for _, info in answers if info is not None]
    fsyncs = [
        setting(node, "appendfsync") or "unknown"
        for node, info in answers
        if info is not None
    ]
    skews = [server_ms(node) - now_ms() for node, info in answers if info is not None]
    name = infos[0].get("server_name", "redis")
    versions = {
        info.get(f"{name}_version", info.get("redis_version", "unknown"))
        for info in infos
    }
    return ServerFacts(
        name=name,
        version=", ".join(sorted(versions)),
        appendonly=all(info.get("aof_enabled", "0") == "1" for info in infos),
        appendfsync=min(fsyncs, key=level_of_fsync),
        memory_bytes=sum(int(info.get("used_memory", "0")) for info in infos),
        skew_ms=max(skews, key=abs),
    )


def answers_of(nodes: Sequence[Node]) -> list[tuple[Node, dict[str, str] | None]]:
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


def server_ms(node: Node) -> int:
    """Return what time it is to a server."""
    reply = node.ask(b"TIME")
    return int(reply[0]) * 1000 + int(reply[1]) // 1000


def setting(node: Node, name: str) -> str | None:
    """Read a setting; None where the server does not let us."""
    try:
        reply = node.ask(b"CONFIG", b"GET", name)
    except EventStoreError:
        return None
    for _, value in pairs_of(reply):
        return str(value.decode())
    return None


def place_of(node: Node, where: str) -> str:
    """Return the URL of a server, of which `where` is the store's."""
    if node.name:
        return f"redis://{node.name}"
    return where


def is_here(where: str) -> bool:
    """Tell whether a server runs on this machine, as far as its URL says."""
    return (
        where.startswith("unix://")
        or re.match(r"\w+://(127\.|localhost\b|\[::1\])", where) is not None
    )
