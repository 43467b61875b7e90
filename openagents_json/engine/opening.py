"""How an engine comes to its store: a server of its own, or one that is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eventstore.connection import connect as connect_store
from eventstore.preflight import require
from eventstore.server import EmbeddedServer
from executor.celery_app import CeleryDoorbell, make_app
from executor.clock import SystemClock
from executor.journal import Limits
from executor.ringing import Doorbell, NoDoorbell
from executor.runtime import WorkSettings
from openagents_json.components.decorators import declared
from openagents_json.components.loader import load
from openagents_json.components.registry import Registry
from openagents_json.engine.auditing import read_signer
from openagents_json.engine.wiring import build_core
from projections.projection import Projection

if TYPE_CHECKING:
    from openagents_json.engine.facade import Engine

DEFAULT_PARTITIONS = 64


def embedded(
    cls: type[Engine],
    path: str | Path,
    *,
    components: Iterable[Any] | Registry | None = None,
    workers: int = 2,
    durability: str = "everysec",
    partitions: int = 8,
    actor: str = "program",
    lease_ms: int = 10_000,
    limits: Limits | None = None,
    projections: Iterable[Projection] = (),
    audit_key: str | Path | None = None,
    encryption_keys: Sequence[str] = (),
) -> Engine:
    """Open the store in a directory, with a server of its own; `workers` threads run the components.

    Without `components`, those that the program has declared run. Close it, or use it as a context manager. With
    `encryption_keys`, base64 of 32 bytes each, the payloads of runs that are started here are encrypted.

    Raises eventstore.errors.EventStoreError.
    """
    server = EmbeddedServer.open(Path(path), durability=durability)
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
        )
    except BaseException:
        server.close()
        raise


def connect(
    cls: type[Engine],
    url: str,
    *,
    broker: str | None = None,
    components: Iterable[Any] | Registry | None = None,
    workers: int = 0,
    prefix: str = "oa",
    partitions: int | None = None,
    durability: str = "everysec",
    actor: str = "program",
    lease_ms: int = 10_000,
    limits: Limits | None = None,
    projections: Iterable[Projection] = (),
    audit_key: str | Path | None = None,
    encryption_keys: Sequence[str] = (),
    on_close: Callable[[], None] | None = None,
) -> Engine:
    """Open a store on a server; with `workers`, threads of this program run the given components too.

    `audit_key` is the file of the ledger's private key: workers that have it seal the log. With `encryption_keys`,
    base64 of 32 bytes each, the payloads of runs that are started here are encrypted.

    Raises eventstore.errors.EventStoreError and KeyUnusable.
    """
    signer = None if not audit_key else read_signer(audit_key)
    connection = connect_store(url)
    try:
        clock = SystemClock()
        keyspace = require(
            connection, prefix, partitions, durability, now_ms=clock.now_ms, default_partitions=DEFAULT_PARTITIONS
        )
        doorbell: Doorbell = CeleryDoorbell(make_app(broker)) if broker else NoDoorbell()
        core = build_core(
            connection,
            keyspace,
            doorbell=doorbell,
            clock=clock,
            limits=limits,
            projections=projections,
            signer=signer,
            encryption_keys=encryption_keys,
        )
        registry = registry_of(components)
        closers = [connection.close] if on_close is None else [on_close, connection.close]
        engine = cls(core, registry, url=url, actor=actor, on_close=closers)
        if workers and any(True for _ in registry.names()):
            engine.work(WorkSettings(queues=queues_of(registry), concurrency=workers, lease_ms=lease_ms))
    except BaseException:
        connection.close()
        raise
    return engine


def registry_of(components: Iterable[Any] | Registry | None) -> Registry:
    """Give the registry of a program's components beside the announced ones; a registry is taken as it is.

    None stands for all that the program has declared.
    """
    if isinstance(components, Registry):
        return components
    registry = load(())
    for item in declared() if components is None else components:
        registry.add(item)
    return registry


def queues_of(registry: Registry) -> tuple[str, ...]:
    """Give the worker types that a registry's components belong to."""
    return tuple(sorted({spec.queue for spec in registry.specs()}))
