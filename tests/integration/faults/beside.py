"""Work of which one node of a cluster holds no more than partitions, and what a node was asked and keeps."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from openagents_json import tool
from openagents_json.engine import Engine
from tests.integration.faults.clusters import Member, Members

DOCUMENT: dict[str, Any] = {
    "id": "routed",
    "execution": "graph",
    "steps": [
        {"id": "a", "component": "plain"},
        {"id": "b", "component": "plain"},
        {"id": "c", "component": "plain", "depends_on": ["a", "b"]},
    ],
}


@tool("plain")
def plain() -> int:
    return 1


def calls_of(member: Member) -> dict[str, int]:
    """Return how often a node was asked what."""
    return {
        name.removeprefix("cmdstat_"): counts["calls"]
        for name, counts in member.say("commandstats").items()
    }


def files_of(member: Member) -> bytes:
    return b"".join(
        path.read_bytes() for path in (member.directory / "appendonlydir").iterdir()
    )


def beside(members: Members, victim: Member) -> str:
    """Find a prefix with which a node holds nothing but partitions."""
    with Engine.connect(members.url(), components=[plain]) as engine:
        digest = engine.plan(DOCUMENT).hash
    names = (
        "store",
        "workers",
        "views",
        "audit",
        "registry:components",
        "registry:workflows",
        f"def:{digest}",
    )
    prefixes = (f"p{n}" for n in range(10_000))
    return next(
        p
        for p in prefixes
        if victim not in {members.owner(f"{p}:{name}") for name in names}
    )


def beside_store(members: Members, victim: Member) -> str:
    """Find a prefix with which the record of the store lies on another node."""
    return next(
        p
        for p in (f"s{n}" for n in range(1000))
        if members.owner(f"{p}:store") is not victim
    )


def noted_on(members: Members, key: str, engine: Engine) -> Member:
    """Return the node that has the note of an idempotency key; while it is away, a start waits ten seconds for it."""
    digest = sha256(key.encode()).hexdigest()
    return members.owner(engine.core.store.keys.asked(digest).decode())
