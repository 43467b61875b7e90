"""How an engine comes to its store: a server of its own, or one that is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from eventstore.redis.driver.connection import Connection
from eventstore.redis.driver.connection import connect as connect_store
from eventstore.redis.driver.preflight import require
from eventstore.redis.driver.replication import quorum_of
from executor.celery.broker import ringing_broker
from executor.clock import SystemClock
from openagents_json.engine.wiring.client import Core, build_core
from projections.projection import Projection

if TYPE_CHECKING:
    from eventstore.redis.embedded.server import EmbeddedServer
    from executor.runs.codec import Limits
    from executor.wakeup import Doorbell
    from openagents_json.catalog.registry import Registry
    from openagents_json.engine.facade import Engine
    from openagents_json.engine.inspection.queries import Reads
    from projections.ledger.signing import Signer

STORE: Final = "store"
"""The broker that is the store's own server."""

OF_A_SERVER, EMBEDDED = 64, 8
"""How many partitions a new store gets: many workers share the one, one machine the other."""


def embedded(
    cls: type[Engine],
    path: str | Path,
    *,
    components: Iterable[Any] | Registry | None = None,
    workers: int = 2,
    durability: str = "everysec",
    partitions: int = EMBEDDED,
    actor: str = "program",
    lease_ms: int = 10_000,
    limits: Limits | None = None,
    projections: Iterable[Projection] = (),
    audit_key: str | Path | None = None,
    encryption_keys: Sequence[str] = (),
    create: bool = True,
) -> Engine:
    """Open the store in a directory, with a server of its own; `workers` threads run the components.

    Without `components`, those that the program has declared run. A store that is there already keeps its number of
    partitions; without `create`, it has to be there. Close it, or use it as a context manager. With
    `encryption_keys`, base64 of 32 bytes each, the payloads of runs that are started here are encrypted.

    Raises eventstore.errors.EventStoreError.
    """
    server = _server(path, durability, create=create)
    try:
        return connect(
            cls,
            server.url,
            components=components,
            workers=workers,
            partitions=partitions,
            durability=durability,
            actor=actor,
            lease_ms=lease_ms,
            limits=limits,
            projections=projections,
            audit_key=audit_key,
            encryption_keys=encryption_keys,
            on_close=server.close,
            create=create,
        )
    except BaseException:
        server.close()
        raise


def connect(
    cls: type[Engine],
    url: str,
    *,
    broker: str | None = STORE,
    components: Iterable[Any] | Registry | None = None,
    workers: int = 0,
    prefix: str = "oa",
    partitions: int = OF_A_SERVER,
    durability: str = "everysec",
    replicas: int = 0,
    replica_timeout_ms: int = 2000,
    actor: str = "program",
    lease_ms: int = 10_000,
    limits: Limits | None = None,
    projections: Iterable[Projection] = (),
    audit_key: str | Path | None = None,
    encryption_keys: Sequence[str] = (),
    on_close: Callable[[], None] | None = None,
    create: bool = True,
) -> Engine:
    """Open a store on a server; with `workers`, threads of this program run the given components too.

    Worker processes that sleep are woken through a `broker`: the store's own server, unless another URL is given; with
    None or "", nobody is woken, and they find the work some seconds later by themselves.
    At durability `replicated`, nothing is acknowledged and no step begins before so many `replicas` have confirmed it,
    each time within `replica_timeout_ms`; 0 stands for all replicas that are connected.
    `audit_key` is the file of the ledger's private key: workers that have it seal the log. With `encryption_keys`,
    base64 of 32 bytes each, the payloads of runs that are started here are encrypted.

    Raises eventstore.errors.EventStoreError and KeyUnusable.
    """
    signer = _signer(audit_key) if audit_key else None
    wanted = url if broker == STORE else broker
    ringing = ringing_broker(wanted or "", url)  # one that cannot be used is refused before anything begins
    doorbell = _doorbell(ringing, prefix) if ringing else None
    connection = connect_store(url, quorum=quorum_of(durability, replicas, replica_timeout_ms))
    try:
        core = _core(
            connection,
            (prefix, partitions, durability),
            create=create,
            doorbell=doorbell,
            limits=limits,
            projections=projections,
            signer=signer,
            encryption_keys=encryption_keys,
        )
        registry = registry_of(components)
        closers = [*([on_close] if on_close else []), connection.close, *([doorbell.close] if doorbell else [])]
        engine = cls(core, registry, url=url, actor=actor, on_close=closers)
        if workers and any(True for _ in registry.names()):
            from executor.worker.runtime import WorkSettings

            engine.work(WorkSettings(queues=queues_of(registry), concurrency=workers, lease_ms=lease_ms))
    except BaseException:
        connection.close()
        raise
    return engine


def _core(connection: Connection, place: tuple[str, int, str], *, create: bool, **given: Any) -> Core:
    """Look the server over, create or adopt the store, and put together what a client of it needs."""
    clock = SystemClock()
    keyspace = require(connection, *place, now_ms=clock.now_ms, create=create)
    return build_core(connection, keyspace, clock=clock, **given)


@contextmanager
def viewing(
    url: str, *, data: str | Path = "", prefix: str = "oa", durability: str = "everysec", **given: Any
) -> Iterator[Reads]:
    """Open the views of a store, at a URL or in a directory, and nothing else: they need no components and no plans.

    `given` is what `connect` takes for encryption keys and projections. Raises eventstore.errors.EventStoreError.
    """
    with ExitStack() as closing:
        partitions = OF_A_SERVER if url else EMBEDDED
        if not url:
            server = _server(data, durability, create=False)
            closing.callback(server.close)
            url = server.url
        connection = connect_store(url)
        closing.callback(connection.close)
        yield _core(connection, (prefix, partitions, durability), create=False, **given).reads


def _server(path: str | Path, durability: str, *, create: bool) -> EmbeddedServer:
    from eventstore.redis.embedded.server import EmbeddedServer

    return EmbeddedServer.open(Path(path), durability=durability, create=create)


def _signer(path: str | Path) -> Signer:
    from openagents_json.engine.audit import read_signer

    return read_signer(path)


def _doorbell(broker: str, prefix: str) -> Doorbell:
    """Give what rings over a broker; Celery is imported by workers, and by whoever has to wake one."""
    from executor.wakeup import BackgroundDoorbell

    def make() -> Doorbell:
        from executor.celery.app import CeleryDoorbell, make_app

        return CeleryDoorbell(make_app(broker, prefix), prefix)

    return BackgroundDoorbell(make)


def registry_of(components: Iterable[Any] | Registry | None) -> Registry:
    """Give the registry of a program's components beside the announced ones; a registry is taken as it is.

    None stands for all that the program has declared.
    """
    from openagents_json.catalog.loader import load
    from openagents_json.catalog.registry import Registry
    from openagents_json.components.decorators import declared

    if isinstance(components, Registry):
        return components
    registry = load(())
    for item in declared() if components is None else components:
        registry.add(item)
    return registry


def queues_of(registry: Registry) -> tuple[str, ...]:
    """Give the worker types that a registry's components belong to."""
    return tuple(sorted({spec.queue for spec in registry.specs()}))
