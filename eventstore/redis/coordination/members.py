"""Who works on a store and what they can run: live processes and published component specs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from eventstore import codec
from eventstore.keys import Keyspace
from eventstore.redis.client import RedisClient
from eventstore.redis.driver.scripts import (
    PlainCall,
    Script,
    ScriptCall,
    essential,
    load_text,
)

ALIVE_MS: Final = 15_000
"""How long a process may be silent and count as alive."""

FORGOTTEN_MS: Final = 3_600_000
"""How long the entry of a silent process is kept: one that was only stopped has it back with its next beat."""


class Directory:
    """The members of a store; entries of processes that fell silent are left out, and swept after an hour."""

    def __init__(self, store: RedisClient) -> None:
        self._store = store
        self._members = Script("members", load_text("members.lua"))
        # A server whose disk is full carries out no script that might write.
        self._looking = Script(
            "members", self._members.text.replace("allow-oom", "no-writes", 1)
        )
        keys: Keyspace = store.keys
        self._workers = f"{keys.prefix}:workers".encode()
        self._specs = f"{keys.prefix}:registry:components".encode()
        self._workflows = f"{keys.prefix}:registry:workflows".encode()
        self._aliases = f"{keys.prefix}:registry:aliases".encode()

    def beat(self, worker: str, info: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Say that a process is alive, and give all that are; `info` is what `openagents doctor` shows of it."""
        # When it was seen is for the server to say: clocks of processes differ.
        entry = {key: value for key, value in info.items() if key != "seen_ms"}
        return self._alive(self._call(worker, codec.encode(entry)))

    def forget(self, worker: str) -> None:
        """Say that a process has ended."""
        self._store.call([PlainCall((b"HDEL", self._workers, worker))])

    def workers(self) -> dict[str, dict[str, Any]]:
        """Return the processes that are alive, with their info."""
        return self._alive(self._call("", b""))

    def _call(self, worker: str, info: bytes) -> list[Any]:
        script = self._members if worker else self._looking
        reply: list[Any] = self._store.call(
            [ScriptCall(script, [self._workers], [worker, info])]
        )[0]
        return reply

    def _alive(self, reply: list[Any]) -> dict[str, dict[str, Any]]:
        """Read who is alive by the server's clock, before or behind which older versions may have written theirs."""
        now, *flat = reply
        everyone = {
            name.decode(): codec.decode(data) for name, data in _pairs(flat).items()
        }
        silent = {name: abs(now - info["seen_ms"]) for name, info in everyone.items()}
        dead = [name for name, silent_ms in silent.items() if silent_ms > FORGOTTEN_MS]
        if dead:
            self._store.call([PlainCall((b"HDEL", self._workers, *dead))])
        return {
            name: info for name, info in everyone.items() if silent[name] <= ALIVE_MS
        }

    def add_workflow(self, name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Publish a workflow as "id@version", once; gives the entry that is there."""
        calls = [
            PlainCall((b"HSETNX", self._workflows, name, codec.encode(entry))),
            PlainCall((b"HGET", self._workflows, name)),
        ]
        _, raw = self._store.call(calls)
        published: dict[str, Any] = codec.decode(raw)
        return published

    def put_components(self, having: str, names: Sequence[str]) -> None:
        """Say which components a hash stands for; that is forgotten a day after it was last said."""
        self._store.call(
            [
                essential(
                    b"SET",
                    self._components(having),
                    codec.encode(list(names)),
                    b"EX",
                    86_400,
                )
            ]
        )

    def component_sets(self, hashes: Sequence[str]) -> dict[str, list[str]]:
        """Return the components that hashes stand for, "name@version", as far as that is known."""
        replies = self._store.call(
            [PlainCall((b"GET", self._components(having))) for having in hashes]
        )
        return {
            x: codec.decode(reply)
            for x, reply in zip(hashes, replies, strict=True)
            if reply is not None
        }

    def _components(self, having: str) -> bytes:
        return f"{self._store.keys.prefix}:components:{having}".encode()

    def workflows(self) -> dict[str, dict[str, Any]]:
        """Return the published workflows, by "id@version"."""
        return self._all(self._workflows)

    def set_alias(self, name: str, entry: Mapping[str, Any] | None) -> None:
        """Let "id@alias" mean something, or nothing any more."""
        if entry is None:
            self._store.call([PlainCall((b"HDEL", self._aliases, name))])
        else:
            self._store.call(
                [PlainCall((b"HSET", self._aliases, name, codec.encode(entry)))]
            )

    def aliases(self) -> dict[str, dict[str, Any]]:
        """Return what aliases mean, by "id@alias"."""
        return self._all(self._aliases)

    def _all(self, key: bytes) -> dict[str, dict[str, Any]]:
        reply = self._store.call([PlainCall((b"HGETALL", key))])[0]
        return {
            name.decode(): codec.decode(data) for name, data in _pairs(reply).items()
        }

    def publish(self, specs: Mapping[str, Any]) -> None:
        """Publish component specs, by "name@version"; later ones replace earlier ones."""
        calls = [
            essential(b"HSET", self._specs, name, codec.encode(spec))
            for name, spec in specs.items()
        ]
        if calls:
            self._store.call(calls)

    def specs(self) -> dict[str, Any]:
        """Return the published component specs, by "name@version"."""
        reply = self._store.call([PlainCall((b"HGETALL", self._specs))])[0]
        return {
            name.decode(): codec.decode(data) for name, data in _pairs(reply).items()
        }


def _pairs(reply: Any) -> dict[bytes, bytes]:
    if isinstance(reply, dict):
        return reply
    return dict(zip(reply[::2], reply[1::2], strict=True))
