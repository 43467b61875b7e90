"""Connections by URL: one server, a unix socket, TLS, Sentinel or Cluster.

The driver's own retries are off: only commit ids make it safe to send a write twice, so retrying is decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import SplitResult

import redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.exceptions import RedisClusterException, RedisError
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

from eventstore.driver_errors import REFUSED_OPTIONS, refused_option, translate
from eventstore.errors import (
    InvalidRequest,
    StoreBusy,
    StoreUnavailable,
)
from eventstore.passwords import masked
from eventstore.redis.driver.acknowledged import Acknowledged
from eventstore.redis.driver.cluster import Cluster
from eventstore.redis.driver.exchange import Command, exchange
from eventstore.redis.driver.forking import ForkSafeLock, tell_of_forks
from eventstore.redis.driver.pool import QuickPool
from eventstore.redis.driver.replication import Quorum
from eventstore.redis.driver.retries import when_free
from eventstore.redis.driver.server_info import info_of
from eventstore.redis.driver.slot_map import SlotMap
from eventstore.redis.driver.urls import (
    check_database,
    credentials_of,
    hosts_of,
    options_of,
    split,
    without_password,
)

Result = TypeVar("Result")

DRIVER_ERRORS: Final = (RedisError, RedisClusterException, OSError)
MAX_BLOCK_MS: Final = 5000

MOST_WAITING: Final = 512
"""So many threads of a process may wait at a time; those after them are told after a while, and look by themselves."""

MOST_DRAINS: Final = 1024


@dataclass(frozen=True, slots=True)
class Node:
    """A server that holds data or stands by; one that is no part of a cluster has no name. `ask` sends it a command."""

    name: str
    is_primary: bool
    ask: Callable[..., Any]


class Connection:
    """Clients for short commands, for those that wait and for drains that listen, and where they go.

    They are apart, so that a program whose many threads wait for runs leaves its own drains, which bring those runs to
    their ends, and the heartbeats of their steps the connections that they need.

    A forked child gets clients of its own: those of its parent would mix up the replies of both.
    """

    def __init__(
        self,
        make: Callable[[], tuple[Any, ...]],
        where: str,
        *,
        is_cluster: bool = False,
        quorum: Quorum | None = None,
        acknowledged: Acknowledged | None = None,
    ) -> None:
        self.where = where
        self.acknowledged = acknowledged or Acknowledged()
        self.is_cluster = is_cluster
        self.quorum = quorum
        self.on_doubt: Callable[[], None] = lambda: None
        self._make = make
        self._is_inherited = False
        self._lock = ForkSafeLock()
        self._clients = make()
        self._of_parent: list[Any] = []
        tell_of_forks(self)

    def inherit(self) -> None:
        """Have clients made when a child asks for them first: most children never do."""
        self._is_inherited = True

    @property
    def client(self) -> Any:
        """Return the client for short commands."""
        return self._here()[0]

    def _here(self) -> tuple[Any, ...]:
        if self._is_inherited:
            # Asked once more under the lock: another thread of the child may have made them meanwhile.
            with self._lock:
                if self._is_inherited:
                    # Kept: cleaning them up needs locks that nobody gives back.
                    self._of_parent.append(self._clients)
                    self._clients = self._make()
                    # Last: whoever sees it goes on without the lock, with the clients of this process.
                    self._is_inherited = False
        return self._clients

    def blocking_call(self, *args: Any) -> Any:
        """Send a command that waits, at most MAX_BLOCK_MS; None when it ran out of time.

        Raises EventStoreError.
        """
        return self._sent(1, args)

    def blocking_calls(self, *commands: Command) -> list[Any]:
        """Send a command that waits, and others for the moment after it, in one piece: whoever waits wakes up once.

        Raises EventStoreError when one of them fails.
        """
        return when_free(lambda: self._told(lambda: self._replies(1, commands)))

    def listening_calls(self, *commands: Command) -> list[Any]:
        """Send a command by which a drain waits for work, and others for the moment after it, which may fail.

        Raises EventStoreError when the first one fails.
        """
        return when_free(lambda: self._told(lambda: self._replies(2, commands, 1)))

    def command(self, *args: Any) -> Any:
        """Send one command; the caller knows that it may be sent twice.

        Raises EventStoreError.
        """
        return self._sent(0, args)

    def send(self, commands: Sequence[Command], which: int = 0) -> list[Any]:
        """Send commands in one piece and return their replies, the refusals of single ones among them.

        Raises what the driver raises when the connection fails.
        """
        client = self._here()[which]
        if self.is_cluster:
            return list(client.send(commands))
        return exchange(client.connection_pool, commands)

    def _sent(self, which: int, args: tuple[Any, ...]) -> Any:
        [reply] = when_free(lambda: self._told(lambda: self._replies(which, [args])))
        return reply

    def _replies(
        self, which: int, commands: Sequence[Command], needed: int | None = None
    ) -> list[Any]:
        replies = self.send(commands, which)
        for reply in replies[:needed]:
            if isinstance(reply, Exception):
                raise reply
        return replies

    def scan(self, pattern: bytes) -> list[bytes]:
        """Find keys; this walks the whole keyspace.

        Raises EventStoreError.
        """
        return when_free(
            lambda: self._told(
                lambda: list(self.client.scan_iter(match=pattern, count=1000))
            )
        )

    def _told(self, ask: Callable[[], Result]) -> Result:
        try:
            return ask()
        except DRIVER_ERRORS as error:
            own_error = translate(error, self.where)
            if isinstance(own_error, StoreUnavailable):
                self.doubt()
            raise own_error from error

    def doubt(self) -> None:
        """Have the next commands ask Sentinel which server is the primary, and that one for its replicas."""
        self.acknowledged.suspect()  # and look whether what was acknowledged is there
        self.on_doubt()
        if self.quorum is not None:
            self.quorum.doubted = True
        for client in () if self.is_cluster else self._here():
            if isinstance(client.connection_pool, SentinelConnectionPool):
                client.connection_pool.disconnect(inuse_connections=False)

    def wanted_replicas(self) -> int:
        """Return how many replicas have to confirm what is written, none where that was not asked for.

        Raises EventStoreError.
        """
        if self.quorum is None:
            return 0
        if self.quorum.doubted:
            self.quorum.look(info_of(self.command(b"INFO")))
        return self.quorum.count

    def nodes(self) -> list[Node]:
        """Return the servers behind this connection, to ask each of them; what `ask` raises is EventStoreError.

        Raises StoreUnavailable.
        """
        if not self.is_cluster:
            return [Node("", True, self.command)]
        try:
            cluster = self.client
        except DRIVER_ERRORS as error:
            raise translate(error, self.where) from error
        slots = cluster.slots
        slots.refresh()  # replicas come and go without anybody being sent elsewhere
        servers = [(node, True) for node in slots.primaries()] + [
            (node, False) for node in slots.replicas()
        ]
        return [
            Node(node.name, primary, self._asker(cluster, node))
            for node, primary in servers
        ]

    def _asker(self, cluster: Any, node: Any) -> Callable[..., Any]:
        def ask(*args: Any) -> Any:
            try:
                return cluster.at(node, *args)
            except DRIVER_ERRORS as error:
                raise translate(error, f"{self.where}, node {node.name}") from error

        return ask

    def reach_primaries(self) -> None:
        """Reach each server that takes what is written: in a cluster, one that is away is not missed by the others.

        Raises StoreUnavailable that names it.
        """
        for node in self.nodes():
            if node.is_primary:
                node.ask(b"PING")

    def close(self) -> None:
        """Close the clients, if they are this process's."""
        if not self._is_inherited:
            for client in self._clients:
                client.close()


def connect(
    url: str,
    *,
    max_connections: int = 64,
    timeout_ms: int = 5000,
    quorum: Quorum | None = None,
) -> Connection:
    """Make the clients of a URL and try whether the server answers.

    `redis+sentinel://[user:password@]host:port,host:port/name?db=0`, `redis+cluster://host:port,host:port`.
    With a `quorum`, so many replicas confirm what is written before anything is said of it.
    Raises InvalidRequest, StoreUnavailable and StoreRefused.
    """
    parts = split(url)
    where = without_password(parts)
    told = Acknowledged()
    shared: dict[str, Any] = {"quorum": quorum, "acknowledged": told}
    long = MAX_BLOCK_MS / 1000 + 5
    kinds = (
        {
            **_options(max_connections, timeout_ms / 1000),
            "redis_connect_func": told.connected,
        },
        _options(MOST_WAITING, long),
        _options(MOST_DRAINS, long),
    )
    try:
        check_database(parts)
        if parts.scheme.endswith("+cluster"):
            seeds = hosts_of(parts, 6379)
            return Connection(
                lambda: _clusters(parts, seeds, kinds), where, is_cluster=True, **shared
            )
        if parts.scheme.endswith("+sentinel"):
            connection = Connection(
                lambda: tuple(_sentinel(parts, kind) for kind in kinds), where, **shared
            )
        else:
            connection = Connection(
                lambda: tuple(_single(url, kind) for kind in kinds), where, **shared
            )
        _greet(connection)
    except (*DRIVER_ERRORS, *REFUSED_OPTIONS) as error:
        # Where no node of a cluster could be asked, what the last one had against it says more.
        is_of_cluster = isinstance(error, RedisClusterException)
        cause = (error.__cause__ if is_of_cluster else None) or error
        reason = masked(refused_option(cause), url)
        if reason:
            raise InvalidRequest(f"the URL {where} cannot be used: {reason}") from None
        raise translate(cause, where) from _unless_telling(error)
    return connection


def _unless_telling(error: BaseException) -> BaseException | None:
    """Return an error as the cause of another, unless it would show a password in a traceback."""
    return error if masked(str(error)) == str(error) else None


def _options(max_connections: int, timeout: float) -> dict[str, Any]:
    return {
        "socket_timeout": timeout,
        "socket_connect_timeout": 5.0,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_timeout": False,
        "health_check_interval": 25,
        "max_connections": max_connections,
    }


def _greet(connection: Connection) -> None:
    """Find out whether a server answers; one whose disk is full refuses even PING, and can be read all the same."""
    try:
        when_free(lambda: _ping(connection))
    except RedisError as error:
        if not str(error).startswith("MISCONF"):
            connection.client.connection_pool.disconnect()  # closing a client leaves its pool as it is
            raise


def _ping(connection: Connection) -> None:
    try:
        connection.client.ping()
    except RedisError as error:
        if str(error).startswith("BUSY "):
            raise StoreBusy(connection.where, str(error)) from error
        raise


def _single(url: str, options: dict[str, Any]) -> Any:
    extra = {} if url.startswith("unix://") else {"socket_keepalive": True}
    pool = QuickPool.from_url(url, timeout=10, **options, **extra)
    return redis.Redis(connection_pool=pool)


def _sentinel(parts: SplitResult, options: dict[str, Any]) -> Any:
    query = options_of(parts)
    name = parts.path.strip("/")
    if not name:
        raise ValueError(
            "the name of the master is missing: redis+sentinel://host:port/name"
        )
    ask: dict[str, Any] = {"socket_timeout": 2.0, "socket_connect_timeout": 2.0}
    ask |= {
        k: query[f"sentinel_{k}"]
        for k in ("username", "password")
        if f"sentinel_{k}" in query
    }
    secure: dict[str, Any] = {"ssl": True} if parts.scheme.startswith("rediss") else {}
    sentinel: Any = _untyped(Sentinel)(
        hosts_of(parts, 26379), sentinel_kwargs=ask, **secure
    )
    plain = {k: v for k, v in options.items() if k != "max_connections"}
    return sentinel.master_for(
        name,
        redis.Redis,
        SentinelConnectionPool,
        db=int(query.get("db", 0)),
        max_connections=options["max_connections"],
        socket_keepalive=True,
        **credentials_of(parts),
        **secure,
        **plain,
    )


def _untyped(maker: Any) -> Any:
    """Return something of the driver that has no types."""
    return maker


def _clusters(
    parts: SplitResult, seeds: list[tuple[str, int]], kinds: Sequence[dict[str, Any]]
) -> tuple[Cluster, ...]:
    """Make clients of a cluster; what stands behind the question mark of a URL means what it means for one server."""
    asked: dict[str, Any] = _untyped(parse_url)(
        f"{parts.scheme.partition('+')[0]}://?{parts.query}"
    )
    asked.pop("db", None)
    common = {"timeout": 10, "socket_keepalive": True, **credentials_of(parts), **asked}
    plain = {
        name: value for name, value in kinds[0].items() if name != "redis_connect_func"
    }
    slots = SlotMap(seeds, {**plain, **common})
    return tuple(Cluster(slots, {**kind, **common}) for kind in kinds)
