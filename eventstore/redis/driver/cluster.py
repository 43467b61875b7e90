"""A client of a whole Redis Cluster, which sends each command where its keys are.

The driver keeps the map of slots, and makes the connections. Where a command goes is found out here: the driver's own
pipelines ask one node for the keys of each call, wait for that node for ever when it dies, and send again by themselves
what may have been carried out.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any, Final

from redis import BlockingConnectionPool, Redis
from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    SlotNotCoveredError,
    TryAgainError,
)

from eventstore.redis.driver.cluster_line import (
    NodeConnection,
    RoutedCommand,
    key_of,
    text_of,
)
from eventstore.redis.driver.exchange import Command
from eventstore.redis.driver.slot_map import SlotMap

MOST_REDIRECTIONS: Final = 5
"""So often a command follows a slot that moves; after that, it is for the caller to try again."""


class Cluster:
    """Connections to the nodes of a cluster; like all clients it never sends again what may have been carried out."""

    def __init__(self, slots: SlotMap, options: dict[str, Any]) -> None:
        self.slots = slots
        self._options = options
        self._pools: dict[str, BlockingConnectionPool] = {}
        self._lock = threading.Lock()

    def execute_command(self, *command: Any) -> Any:
        """Send one command and give its reply as the server sent it."""
        [reply] = self.send([command])
        if isinstance(reply, Exception):
            raise reply
        return reply

    def send(
        self, commands: Sequence[Command], keys: Sequence[bytes] | None = None
    ) -> list[Any]:
        """Send commands, to all nodes at once and those of a node together, and give their replies, errors among them.

        `keys` say where commands go that do not name a key.
        """
        named = keys if keys is not None else [key_of(command) for command in commands]
        sent = [
            RoutedCommand(c, None if key is None else key_slot(key))
            for c, key in zip(commands, named, strict=True)
        ]
        left = sent
        for _ in range(MOST_REDIRECTIONS):
            self._exchange(left)
            left = [item for item in left if self._goes_on(item)]
            if not left:
                break
        return [item.reply for item in sent]

    def at(self, node: Any, *command: Any) -> Any:
        """Send a command to one node and give its reply as the server sent it."""
        item = RoutedCommand(command, None, node)
        self._exchange([item])
        if isinstance(item.reply, Exception):
            raise item.reply
        return item.reply

    def scan_iter(self, match: bytes, count: int) -> Iterator[bytes]:
        """Return the keys of all nodes, one after another."""
        for node in self.slots.primaries():
            yield from Redis(connection_pool=self._pool(node)).scan_iter(
                match=match, count=count
            )

    def close(self) -> None:
        """Close the connections to all nodes."""
        self.slots.close()
        for pool in list(self._pools.values()):
            pool.disconnect()

    def _exchange(self, items: Sequence[RoutedCommand]) -> None:
        """Write to every node before the first reply is read, so that they work side by side."""
        parts: dict[str, list[RoutedCommand]] = {}
        for item in items:
            if item.node is not None or self._placed(item):
                parts.setdefault(item.node.name, []).append(item)
        lines = [
            NodeConnection(name, self._pool(part[0].node), part)
            for name, part in parts.items()
        ]
        try:
            for line in lines:
                line.write()
            for line in lines:
                line.read()
        finally:
            for line in lines:
                line.release()
        for line in lines:
            if line.broken:
                self.slots.failed(line.node)
                self._leave_the_gone()
            else:
                self.slots.answered(line.node)

    def _placed(self, item: RoutedCommand) -> bool:
        """Find the node of a command, after another look at the map where the one that is there has none for it."""
        try:
            item.node = self.slots.node_of(item.slot)
        except SlotNotCoveredError:
            self.slots.refresh()
            try:
                item.node = self.slots.node_of(item.slot)
            except SlotNotCoveredError as error:
                item.reply = error
        return item.node is not None

    def _goes_on(self, item: RoutedCommand) -> bool:
        """Tell whether a command was sent elsewhere by a node that did not carry it out; it goes there then."""
        error = item.reply
        if isinstance(error, MovedError):
            item.node = None
            item.asking = False
            self.slots.moved(error)
            return True
        if isinstance(error, AskError):
            if text_of(item.command[0]) == "EVALSHA":
                # A script may look at keys that it cannot declare. A node that is about to take a slot over would let
                # it take those for missing that have not arrived yet; so scripts wait until the slot has its new owner.
                item.reply = TryAgainError("the slot is being moved")
                return False
            item.node = self.slots.at((error.host, error.port))
            item.asking = True
            return True
        if isinstance(error, ClusterDownError):
            self.slots.refresh()
        return False

    # -- connections -----------------------------------------------------------------------------------------

    def _pool(self, node: Any) -> BlockingConnectionPool:
        # Under the lock: of two pools that threads make for one node, the connections of one would never be closed.
        with self._lock:
            if node.name not in self._pools:
                untyped: Any = BlockingConnectionPool
                self._pools[node.name] = untyped(
                    host=node.host, port=node.port, **self._options
                )
            return self._pools[node.name]

    def _leave_the_gone(self) -> None:
        """Close what leads to nodes that are no part of the cluster any more."""
        with self._lock:
            names = [name for name in self._pools if not self.slots.holds(name)]
            gone = [self._pools.pop(name) for name in names]
        # Without the lock, as closing takes time. Whoever still waits there is told by the node, or runs out of time.
        for pool in gone:
            pool.disconnect(inuse_connections=False)
