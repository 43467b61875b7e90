"""Worker processes: a store, the components, and Celery around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches

from executor.celery.app import CeleryDoorbell, celery_queue, make_app
from executor.celery.worker import run
from executor.clock import SystemClock
from executor.wakeup import BackgroundDoorbell
from executor.worker.runtime import WorkSettings
from executor.worker.worker import Worker
from openagents_json.catalog.registry import Registry
from openagents_json.engine.components import load_components
from openagents_json.engine.open import connected, signer_of
from openagents_json.engine.projections import in_modules
from openagents_json.engine.settings import Settings
from openagents_json.engine.telemetry.loading import telemetry_maker
from openagents_json.engine.wiring.client import build_core
from openagents_json.engine.wiring.worker import build_worker


def run_worker(
    settings: Settings,
    components: Sequence[str],
    *,
    pool: str = "threads",
    name: str = "",
    telemetry: str = "",
    tell: Callable[[str], None] = lambda _: None,
) -> int:
    """Run a worker process until it is told to stop; gives its exit code. `tell` gets a line about what it serves.

    `telemetry` names a function ("module:function") that makes what gets the numbers of each process that works.

    Raises EventStoreError when the store is not usable, ComponentError when a component cannot be loaded,
    InvalidSetting when that function cannot, and KeyUnusable when the ledger's key cannot be read.
    """
    registry = load_components(components)
    own = in_modules(components)
    make_telemetry = telemetry_maker(telemetry)
    signer = signer_of(settings)
    queues = _served(settings.queues, registry)
    broker = (
        settings.broker_at(settings.url) or settings.url
    )  # Celery needs one, and listens there in vain
    app = make_app(broker, settings.prefix, queues)
    clock = SystemClock()
    probe, _ = connected(settings, clock)
    probe.close()
    for name in sorted(settings.leases.keys() - set(queues)):
        near = get_close_matches(name, queues, 1)
        tell(
            f"no lease of {name!r} is held here, it is not served"
            + (f"; did you mean {near[0]!r}?" if near else "")
        )
    tell(
        f"working on {', '.join(queues)} with {len(registry.names())} components; Ctrl-C or SIGTERM ends it"
    )

    def make() -> Worker:
        connection, keyspace = connected(settings, clock)
        core = build_core(
            connection,
            keyspace,
            doorbell=BackgroundDoorbell(lambda: CeleryDoorbell(app, settings.prefix)),
            clock=clock,
            limits=settings.limits,
            projections=own,
            signer=signer,
            encryption_keys=settings.master_keys,
            telemetry=make_telemetry(),  # here, behind the fork: what exports numbers has threads, which no fork keeps
        )
        work = WorkSettings(
            queues=queues,
            concurrency=settings.concurrency,
            lease_ms=settings.lease_ms,
            leases=settings.leases,
            async_limit=settings.async_limit,
        )
        return build_worker(core, registry, work, name=name)

    grace = settings.grace_seconds
    names = [celery_queue(settings.prefix, queue) for queue in queues]
    return run(
        app,
        make,
        names,
        concurrency=settings.concurrency,
        pool=pool,
        grace_seconds=grace,
    )


def _served(named: str, registry: Registry) -> tuple[str, ...]:
    """Return the worker types to serve: those that are named and no others, or else all that there are."""
    chosen = {name for part in named.split(",") if (name := part.strip())}
    return tuple(
        sorted(
            chosen
            or {"agent", "tool", "asset", *(spec.queue for spec in registry.specs())}
        )
    )
