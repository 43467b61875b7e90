"""Who works on a store and what they can run: live processes and published component specs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eventstore import codec
from eventstore.keys import Keyspace
from eventstore.run_store import RunStore
from eventstore.scripts import PlainCall, essential


class Directory:
    """The members of a store; entries of processes that fell silent are left out, and swept after an hour."""

    def __init__(self, store: RunStore) -> None:
        self._store = store
        keys: Keyspace = store.keys
        self._workers = f"{keys.prefix}:workers".encode()
        self._specs = f"{keys.prefix}:registry:components".encode()
        self._workflows = f"{keys.prefix}:registry:workflows".encode()
        self._aliases = f"{keys.prefix}:registry:aliases".encode()

    def beat(self, worker: str, info: Mapping[str, Any], now_ms: int) -> None:
        """Say that a process is alive; `info` is what `openagents doctor` shows of it."""
        data = codec.encode({**info, "seen_ms": now_ms})
        self._store.call([essential(b"HSET", self._workers, worker, data)])

    def forget(self, worker: str) -> None:
        """Say that a process has ended."""
        self._store.call([PlainCall((b"HDEL", self._workers, worker))])

    def workers(self, now_ms: int, max_age_ms: int = 15_000) -> dict[str, dict[str, Any]]:
        """Give the processes that are alive, with their info."""
        reply = self._store.call([PlainCall((b"HGETALL", self._workers))])[0]
        everyone = {name.decode(): codec.decode(data) for name, data in _pairs(reply).items()}
        dead = [name for name, info in everyone.items() if now_ms - info["seen_ms"] > 3_600_000]
        if dead:
            self._store.call([PlainCall((b"HDEL", self._workers, *dead))])
        return {name: info for name, info in everyone.items() if now_ms - info["seen_ms"] <= max_age_ms}

    def add_workflow(self, name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Publish a workflow as "id@version", once; gives the entry that is there."""
        calls = [
            PlainCall((b"HSETNX", self._workflows, name, codec.encode(entry))),
            PlainCall((b"HGET", self._workflows, name)),
        ]
        found: dict[str, Any] = codec.decode(self._store.call(calls)[1])
        return found

    def workflows(self) -> dict[str, dict[str, Any]]:
        """Give the published workflows, by "id@version"."""
        return self._all(self._workflows)

    def set_alias(self, name: str, entry: Mapping[str, Any] | None) -> None:
        """Let "id@alias" mean something, or nothing any more."""
        if entry is None:
            self._store.call([PlainCall((b"HDEL", self._aliases, name))])
        else:
            self._store.call([PlainCall((b"HSET", self._aliases, name, codec.encode(entry)))])

    def aliases(self) -> dict[str, dict[str, Any]]:
        """Give what aliases mean, by "id@alias"."""
        return self._all(self._aliases)

    def _all(self, key: bytes) -> dict[str, dict[str, Any]]:
        reply = self._store.call([PlainCall((b"HGETALL", key))])[0]
        return {name.decode(): codec.decode(data) for name, data in _pairs(reply).items()}

    def publish(self, specs: Mapping[str, Any]) -> None:
        """Publish component specs, by "name@version"; later ones replace earlier ones."""
        calls = [essential(b"HSET", self._specs, name, codec.encode(spec)) for name, spec in specs.items()]
        if calls:
            self._store.call(calls)

    def specs(self) -> dict[str, Any]:
        """Give the published component specs, by "name@version"."""
        reply = self._store.call([PlainCall((b"HGETALL", self._specs))])[0]
        return {name.decode(): codec.decode(data) for name, data in _pairs(reply).items()}


def _pairs(reply: Any) -> dict[bytes, bytes]:
    if isinstance(reply, dict):
        return reply
    return dict(zip(reply[::2], reply[1::2], strict=True))
