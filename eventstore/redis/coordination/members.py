"""Who works on a store and what they can run: live processes and published component specs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from eventstore import codec
from eventstore.errors import StoreUnavailable
from eventstore.keys import Keyspace
from eventstore.redis.client import RedisClient
from eventstore.redis.coordination.worker_orders import (
    InForce,
    WorkerOrders,
    in_force_of,
)
from eventstore.redis.driver.scripts import (
    PlainCall,
    Script,
    ScriptCall,
    essential,
    load_text,
)
from eventstore.redis.stored_texts import pairs_of

ALIVE_MS: Final = 15_000
"""How long a process may be silent and count as alive."""

FORGOTTEN_MS: Final = 3_600_000
"""How long the entry of a silent process is kept: one that was only stopped has it back with its next beat."""

Entries = dict[str, dict[str, Any]]


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
        self._remote = f"{keys.prefix}:remote".encode()
        self._specs = keys.registry("components")
        self._workflows = keys.registry("workflows")
        self._aliases = keys.registry("aliases")
        self.orders = WorkerOrders(store)

    def beat(self, worker: str, info: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Say that a process is alive, and give all that are; `info` is what `openagents doctor` shows of it."""
        return self._alive(self._workers, self._call(self._workers, {worker: info}))

    def beat_and_hear(
        self, worker: str, info: Mapping[str, Any]
    ) -> tuple[dict[str, dict[str, Any]], InForce | None]:
        """Do as `beat`, and give what workers are told, in the same round trip; None where it is not known."""
        beat, heard = self._beat_of({worker: info}), self.orders.reading()
        if self._store.is_cluster:
            # It may be on another node, and who is alive does not depend on that one.
            reply = self._store.call([beat])[0]
            orders = _unless_away(lambda: self._store.call([heard])[0])
        else:
            reply, orders = self._store.call([beat, heard])
        told = None if orders is None else in_force_of(orders)
        return self._alive(self._workers, reply), told

    def beat_remote(self, workers: Mapping[str, Mapping[str, Any]]) -> None:
        """Say that workers over HTTP are alive; they look after no partition, and so stand apart."""
        if workers:
            self._call(self._remote, workers)

    def remote(self) -> dict[str, dict[str, Any]]:
        """Return the workers over HTTP that are alive, with their info."""
        return self._alive(self._remote, self._call(self._remote, {}))

    def forget(self, worker: str) -> None:
        """Say that a process has ended."""
        self._store.call([PlainCall((b"HDEL", self._workers, worker))])

    def served_lately(self) -> set[str]:
        """Return the worker types that processes and workers over HTTP have served within the last hour."""
        keys = (self._workers, self._remote)
        replies = self._store.call([PlainCall((b"HGETALL", key)) for key in keys])
        infos = [info for reply in replies for info in _entries(reply).values()]
        return {queue for info in infos for queue in info["queues"]}

    def workers(self) -> dict[str, dict[str, Any]]:
        """Return who is alive and runs steps, with their info: processes, and workers over HTTP."""
        processes = self._alive(self._workers, self._call(self._workers, {}))
        # One that runs no steps only looks after the time, for workers over HTTP.
        working = {name: info for name, info in processes.items() if info["queues"]}
        return working | self.remote()

    def _call(self, key: bytes, workers: Mapping[str, Mapping[str, Any]]) -> list[Any]:
        call = self._beat_of(workers, key)
        reply: list[Any] = self._store.call([call])[0]
        return reply

    def _beat_of(
        self, workers: Mapping[str, Mapping[str, Any]], key: bytes | None = None
    ) -> ScriptCall:
        arguments: list[Any] = []
        for worker, info in workers.items():
            # When it was seen is for the server to say: clocks of processes differ.
            entry = {name: value for name, value in info.items() if name != "seen_ms"}
            arguments += [worker, codec.encode(entry)]
        script = self._members if workers else self._looking
        return ScriptCall(script, [key or self._workers], arguments or ["", b""])

    def _alive(self, key: bytes, reply: list[Any]) -> dict[str, dict[str, Any]]:
        """Read who is alive by the server's clock, before or behind which older versions may have written theirs."""
        now, *flat = reply
        everyone = {name.decode(): codec.decode(data) for name, data in pairs_of(flat)}
        silent = {name: abs(now - info["seen_ms"]) for name, info in everyone.items()}
        dead = [name for name, silent_ms in silent.items() if silent_ms > FORGOTTEN_MS]
        if dead:
            self._store.call([PlainCall((b"HDEL", key, *dead))])
        return {
            name: info for name, info in everyone.items() if silent[name] <= ALIVE_MS
        }

    def add_workflow(self, name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Publish a workflow as older versions did, as "id@version", once; gives the entry that is there."""
        calls = [
            PlainCall((b"HSETNX", self._workflows, name, codec.encode(entry))),
            PlainCall((b"HGET", self._workflows, name)),
        ]
        _, raw = self._store.call(calls)
        published: dict[str, Any] = codec.decode(raw)
        return published

    def forget_workflows(self, names: Sequence[str], aliases: Sequence[str]) -> None:
        """Take away what older versions have published, "id@version" each, and their aliases, "id@alias" each."""
        # The aliases last: one that means nothing would count until then, and a crash in between leaves it to be found.
        both = ((self._workflows, names), (self._aliases, aliases))
        calls = [PlainCall((b"HDEL", key, *fields)) for key, fields in both if fields]
        if calls:
            self._store.call(calls)

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

    def put_instances(self, worker: str, statistics: Mapping[str, Any]) -> None:
        """Say what a process has of instances of agents; that is forgotten a day after it was last said."""
        self._store.call(
            [
                PlainCall(
                    (
                        b"SET",
                        self._instances(worker),
                        codec.encode(statistics),
                        b"EX",
                        86_400,
                    )
                )
            ]
        )

    def instances(self, workers: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return what processes have said of their instances, as far as that is known."""
        replies = self._store.call(
            [PlainCall((b"GET", self._instances(worker))) for worker in workers]
        )
        return {
            worker: codec.decode(reply)
            for worker, reply in zip(workers, replies, strict=True)
            if isinstance(reply, bytes)
        }

    def _instances(self, worker: str) -> bytes:
        return f"{self._store.keys.prefix}:instances:{worker}".encode()

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

    def set_alias(self, name: str, entry: Mapping[str, Any]) -> None:
        """Let "id@alias" mean something, as older versions did."""
        self._store.call(
            [PlainCall((b"HSET", self._aliases, name, codec.encode(entry)))]
        )

    def published_workflows(self) -> tuple[Entries, Entries]:
        """Return what older versions have published, by "id@version", and aliases, by "id@alias"; one round trip."""
        return workflows_in(self._store.call(self.reading_workflows()))

    def reading_workflows(self) -> list[PlainCall]:
        """Return the calls that read what older versions have published."""
        keys = (self._workflows, self._aliases)
        return [PlainCall((b"HGETALL", key)) for key in keys]

    def publish(self, specs: Mapping[str, Any]) -> None:
        """Publish component specs as older versions did, by "name@version"; later ones replace earlier ones."""
        calls = [
            essential(b"HSET", self._specs, name, codec.encode(spec))
            for name, spec in specs.items()
        ]
        if calls:
            self._store.call(calls)

    def count_specs(self) -> int:
        """Return how many component specs workers of older versions have published."""
        return int(self._store.call([PlainCall((b"HLEN", self._specs))])[0])

    def forget_specs(self, names: Sequence[str]) -> None:
        """Take away published component specs, "name@version" each."""
        if names:
            self._store.call([PlainCall((b"HDEL", self._specs, *names))])

    def specs(self) -> dict[str, Any]:
        """Return the component specs that workers of older versions have published, by "name@version"."""
        reply = self._store.call([PlainCall((b"HGETALL", self._specs))])[0]
        return {name.decode(): codec.decode(data) for name, data in pairs_of(reply)}


def _unless_away(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except StoreUnavailable:
        return None


def workflows_in(replies: Sequence[Any]) -> tuple[Entries, Entries]:
    """Return what older versions have published, and their aliases, from the replies of what reads them."""
    published, aliases = map(_entries, replies)
    return published, aliases


def _entries(reply: Any) -> Entries:
    return {name.decode(): codec.decode(data) for name, data in pairs_of(reply)}
