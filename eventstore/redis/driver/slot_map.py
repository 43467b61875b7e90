"""Which node of a Redis Cluster holds which slots, as far as any of them has told lately."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from redis import BlockingConnectionPool
from redis.cluster import ClusterNode, NodesManager
from redis.exceptions import MovedError, RedisClusterException, RedisError

Address = tuple[str, int]


class SlotMap:
    """The driver's map of slots, looked at anew when it was wrong, for all clients of a cluster.

    `seeds` are the nodes to ask first. Those found later are put there too, so that one that is left is enough, also
    for a forked child. Raises RedisClusterException when none answers.
    """

    def __init__(self, seeds: list[Address], options: dict[str, Any]) -> None:
        self._seeds = seeds
        self._away: set[str] = set()
        self._closed = False
        untyped: Any = NodesManager
        self._map: Any = untyped(
            startup_nodes=[_node(seed) for seed in seeds],
            from_url=True,
            connection_pool_class=BlockingConnectionPool,
            **options,
        )
        self._remember()

    def primaries(self) -> list[Any]:
        """Return the nodes that hold slots."""
        return list(self._map.get_nodes_by_server_type("primary"))

    def replicas(self) -> list[Any]:
        """Return the nodes that may take the place of a primary."""
        return list(self._map.get_nodes_by_server_type("replica"))

    def holds(self, name: str) -> bool:
        """Tell whether a node is part of the cluster."""
        return name in self._map.nodes_cache

    def node_of(self, slot: int | None) -> Any:
        """Return the node of a slot, or any, one that answered last if there is one.

        Raises SlotNotCoveredError.
        """
        if slot is not None:
            return self._map.get_node_from_slot(slot)
        nodes = self.primaries()
        return next((node for node in nodes if node.name not in self._away), nodes[0])

    def at(self, address: Address) -> Any:
        """Return the node at an address, which may be new."""
        return self._map.get_node(*address) or _node(address)

    def answered(self, name: str) -> None:
        """Hear that a node has answered."""
        self._away.discard(name)

    def failed(self, name: str) -> None:
        """Hear that a node has not answered, and ask the others first whether another one is in its place."""
        self._away.add(name)
        self.refresh(name)

    def moved(self, error: MovedError) -> None:
        """Hear from a node which other one holds a slot now."""
        try:
            self._map.move_slot(error)
        except KeyError:
            self.refresh()

    def refresh(self, failed: str = "") -> None:
        """Ask any node that answers for the map; the old one stays when none does, and after the end."""
        if self._closed:
            return
        with suppress(RedisClusterException, RedisError, OSError):
            self._map.initialize(
                additional_startup_nodes_info=list(self._seeds),
                disconnect_startup_nodes_pools=False,
                last_failed_node_name=failed or None,
            )
            self._remember()

    def _remember(self) -> None:
        nodes = list(self._map.nodes_cache.values())
        addresses = [(node.host, int(node.port)) for node in nodes]
        self._seeds[:] = dict.fromkeys([*self._seeds, *addresses])

    def close(self) -> None:
        """Close the connections by which the map was asked for; whoever still waits for a reply asks no more."""
        self._closed = True
        nodes = [*self._map.nodes_cache.values(), *self._map.startup_nodes.values()]
        for node in nodes:
            if node.redis_connection is not None:
                node.redis_connection.connection_pool.disconnect()


def _node(address: Address) -> Any:
    untyped: Any = ClusterNode
    return untyped(*address)
