"""The driver's cluster client, taught to leave replies as they are.

With one server, a command whose name is bytes has no callback, and its reply stays as the server sent it. The cluster
client needs names as text to find the node, so there the callbacks of our commands are taken out of every node.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import AskError, MovedError, TryAgainError
from redis.retry import Retry

_OURS: Final = "BZPOPMIN,CONFIG GET,GET,HDEL,HGET,HGETALL,HSET,HSETNX,SET,XRANGE,XREAD,XREVRANGE,ZRANGE"


def named(args: Sequence[Any]) -> tuple[Any, ...]:
    """Give a command with its name as text."""
    name = args[0]
    return (name.decode() if isinstance(name, bytes) else name, *args[1:])


def raw_cluster(hosts: Sequence[tuple[str, int]], options: dict[str, Any]) -> Any:
    """Make a cluster client; like all others it never sends a command twice by itself, but follows redirections."""
    untyped: Any = ClusterNode
    nodes = [untyped(host, port) for host, port in hosts]
    client: Any = RedisCluster(startup_nodes=nodes, retry=Retry(NoBackoff(), 0), **options)
    manager = client.nodes_manager
    make = manager.create_redis_node

    def make_raw(*args: Any, **kwargs: Any) -> Any:
        return _raw(make(*args, **kwargs))

    manager.create_redis_node = make_raw
    for node in client.get_nodes():
        if node.redis_connection is not None:
            _raw(node.redis_connection)
    return client


def _raw(node: Any) -> Any:
    for name in _OURS.split(","):
        node.response_callbacks.pop(name, None)
    parse = node.parse_response

    def parse_response(connection: Any, command_name: Any, **options: Any) -> Any:
        try:
            return parse(connection, command_name, **options)
        except AskError as error:
            if command_name != "EVALSHA" or isinstance(error, MovedError):
                raise
            # A script may look at keys that it cannot declare. A node that is about to take a slot over would let it
            # take those for missing that have not arrived yet; so scripts wait until the slot has its new owner.
            raise TryAgainError("the slot is being moved") from error

    node.parse_response = parse_response
    return node
