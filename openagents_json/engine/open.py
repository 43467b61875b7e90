"""How an engine comes to its store: a server of its own in a directory, or one that is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eventstore.keys import Keyspace
from eventstore.redis.driver.connection import Connection
from eventstore.redis.driver.connection import connect as connect_store
from eventstore.redis.driver.fitness.preflight import require
from eventstore.redis.driver.replication import quorum_of
from executor.celery.broker import ringing_broker
from executor.clock import Clock, SystemClock
from openagents_json.engine.wiring.client import Core, build_core
from projections.projection import Projection

if TYPE_CHECKING:
    from eventstore.redis.embedded.server import EmbeddedServer
    from executor.runs.codec import Limits
    from executor.wakeup import Doorbell
    from openagents_json.catalog.registry import Registry
    from openagents_json.engine.inspection.queries import Queries
    from openagents_json.engine.settings import Settings
    from openagents_json.engine.telemetry.port import Telemetry
    from projections.ledger.signing import Signer


@dataclass(frozen=True, slots=True)
class OpenStore:
    """A store that this process has opened, the parts that work on it, and what closes it."""

    core: Core
    registry: Registry
    url: str
    close: Callable[[], None]


def open_store(
    settings: Settings,
    *,
    components: Iterable[Any] | Registry | None = None,
    projections: Iterable[Projection] = (),
    limits: Limits | None = None,
    create: bool = True,
    telemetry: Telemetry | None = None,
) -> OpenStore:
    """Open the store of the settings: at their URL, or else with a server of its own in their data directory.

    Without `components`, those that the program has declared count; with `limits`, they count and not those of the
    settings. Raises eventstore.errors.EventStoreError, KeyUnusable and InvalidKey; nothing stays open then.
    """
    # Who only looks at views needs no components, and what finds them costs more than a look.
    from openagents_json.engine.components import registry_of

    opened = ExitStack()
    try:
        # What is opened first is closed last: the server, when all that is connected to it has gone.
        url = settings.url or _embedded(settings, opened, create=create)
        doorbell = _doorbell(
            settings, url
        )  # a broker that cannot be used is refused before anything is connected
        there = settings.model_copy(
            update={"url": url, "partitions": settings.partitions_of_a_new_store}
        )
        connection, keyspace = connected(there, SystemClock(), create=create)
        opened.callback(connection.close)
        if doorbell is not None:
            opened.callback(doorbell.close)
        core = build_core(
            connection,
            keyspace,
            doorbell=doorbell,
            limits=limits or settings.limits,
            projections=projections,
            signer=signer_of(settings),
            encryption_keys=settings.master_keys,
            telemetry=telemetry,
        )
        registry = registry_of(components)
        if settings.build:
            registry.deployed_as(settings.build)
        return OpenStore(core, registry, url, opened.close)
    except BaseException:
        opened.close()
        raise


def connected(
    settings: Settings, clock: Clock, *, create: bool = True
) -> tuple[Connection, Keyspace]:
    """Connect to the server of the settings, look it over, and find the store there, or create it.

    Raises eventstore.errors.EventStoreError.
    """
    quorum = quorum_of(
        settings.durability, settings.replicas, settings.replica_timeout_ms
    )
    connection = connect_store(settings.url, quorum=quorum)
    try:
        keyspace = require(
            connection,
            settings.prefix,
            settings.partitions_of_a_new_store,
            settings.durability,
            now_ms=clock.now_ms,
            create=create,
        )
    except BaseException:
        connection.close()
        raise
    return connection, keyspace


@contextmanager
def viewing(
    settings: Settings, *, projections: Iterable[Projection] = ()
) -> Iterator[Queries]:
    """Open the views of a store that is there, and nothing else: they need no components and no plans.

    Raises eventstore.errors.EventStoreError.
    """
    with ExitStack() as opened:
        url = settings.url or _embedded(settings, opened, create=False)
        connection, keyspace = connected(
            settings.model_copy(update={"url": url}), SystemClock(), create=False
        )
        opened.callback(connection.close)
        core = build_core(
            connection,
            keyspace,
            projections=projections,
            encryption_keys=settings.master_keys,
        )
        yield core.reads


def _embedded(settings: Settings, opened: ExitStack, *, create: bool) -> str:
    """Open the server in the data directory, until the stack is closed, and return its URL."""
    from eventstore.redis.embedded.server import EmbeddedServer

    server: EmbeddedServer = EmbeddedServer.open(
        Path(settings.data), durability=settings.durability, create=create
    )
    opened.callback(server.close)
    return server.url


def signer_of(settings: Settings) -> Signer | None:
    """Return what signs the ledger, None for who has no key of it.

    Raises KeyUnusable.
    """
    if not settings.audit_key:
        return None
    from openagents_json.engine.audit import read_signer

    return read_signer(settings.audit_key)


def _doorbell(settings: Settings, url: str) -> Doorbell | None:
    """Return what rings over the broker; Celery is imported by workers, and by whoever has to wake one."""
    broker = ringing_broker(settings.broker_at(url), url)
    if not broker:
        return None
    from executor.wakeup import BackgroundDoorbell

    prefix = settings.prefix

    def make() -> Doorbell:
        from executor.celery.app import CeleryDoorbell, make_app

        return CeleryDoorbell(make_app(broker, prefix), prefix)

    return BackgroundDoorbell(make)
