"""Worker processes: a store, the components, and Celery around them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from executor.celery.app import CeleryDoorbell, celery_queue, make_app
from executor.celery.worker import run
from executor.clock import SystemClock
from executor.wakeup import BackgroundDoorbell, Doorbell
from executor.worker.runtime import WorkSettings
from executor.worker.worker import Worker
from openagents_json.catalog.registry import Registry
from openagents_json.engine.components import load_components
from openagents_json.engine.open import connected, signer_of
from openagents_json.engine.projections import in_modules
from openagents_json.engine.settings import Settings
from openagents_json.engine.telemetry.loading import telemetry_maker
from openagents_json.engine.telemetry.ready_file import ReadyFile
from openagents_json.engine.wiring.client import build_core
from openagents_json.engine.wiring.worker import build_worker
from openagents_json.engine.worker_types.settle import (
    pool_of,
    worker_settings,
)
from openagents_json.workflow.component_spec import USUAL_TYPES


def run_worker(
    settings: Settings,
    components: Sequence[str],
    *,
    pool: str | None = None,
    name: str = "",
    telemetry: str = "",
    tell: Callable[[str], None] = lambda _: None,
    ready: Callable[[Registry], None] = lambda _: None,
) -> int:
    """Run a worker process until it is told to stop; gives its exit code. `tell` gets a line about what it serves.

    Without a `pool`, it is that of the worker types that are served, and threads where they differ.
    `ready` is called when it takes steps, with what it has loaded; `telemetry` names a function ("module:function")
    that makes what gets the numbers of each process that works.

    Raises EventStoreError when the store is not usable, ComponentError when a component cannot be loaded,
    InvalidSetting when that function cannot or a limit could not be held, and KeyUnusable when the ledger's key cannot
    be read.
    """
    registry = load_components(components)
    if settings.build:
        registry.deployed_as(settings.build)
    queues = _served(settings.queues, registry)
    pool = pool or pool_of(settings, queues)
    work = worker_settings(settings, queues, registry, pool, tell)
    # Celery needs a broker; where nobody is woken, it listens at the store's server in vain.
    broker = settings.broker_at(settings.url) or settings.url
    app = make_app(broker, settings.prefix, queues)

    def ring() -> Doorbell:
        return CeleryDoorbell(app, settings.prefix)

    make_worker = _worker_maker(settings, components, registry, work, ring, telemetry)
    # Refused here, before processes are forked: a store that is not usable.
    probe, _ = connected(settings, SystemClock())
    probe.close()
    for unserved in sorted(settings.leases.keys() - set(queues)):
        tell(_unserved_lease(unserved, queues))
    tell(
        f"working on {', '.join(queues)} with {len(registry.names())} components; Ctrl-C or SIGTERM ends it"
    )
    for line in _without_components(queues, registry) if settings.queues else ():
        tell(line)
    return run(
        app,
        lambda: make_worker(name),
        [celery_queue(settings.prefix, queue) for queue in queues],
        concurrency=settings.concurrency,
        pool=pool,
        grace_seconds=settings.grace_seconds,
        broker_level=_level_of_broker(settings),
        tell=tell,
        ready=lambda: ready(registry),
    )


def _worker_maker(
    settings: Settings,
    components: Sequence[str],
    registry: Registry,
    work: WorkSettings,
    ring: Callable[[], Doorbell],
    telemetry: str,
) -> Callable[[str], Worker]:
    """Return what makes the worker of a process; what may be wrong with files and modules is found out before.

    Raises CannotLoad, InvalidSetting and KeyUnusable.
    """
    projections = in_modules(components)
    tell_ready = _ready_teller(settings)
    make_telemetry = telemetry_maker(telemetry)
    signer = signer_of(settings)
    clock = SystemClock()
    broker_level = _level_of_broker(settings)

    def make(name: str) -> Worker:
        # All that has a connection or threads is made here, behind the fork, which keeps neither.
        connection, keyspace = connected(settings, clock)
        core = build_core(
            connection,
            keyspace,
            doorbell=BackgroundDoorbell(ring, clock, broker_level),
            clock=clock,
            limits=settings.limits,
            projections=projections,
            signer=signer,
            encryption_keys=settings.master_keys,
            telemetry=make_telemetry(),
        )
        return build_worker(core, registry, work, name=name, tell_ready=tell_ready)

    return make


def _ready_teller(settings: Settings) -> Callable[[bool], None]:
    """Return what keeps the ready file, if there is to be one.

    Raises InvalidSetting.
    """
    if not settings.ready_file:
        return lambda _: None
    file = ReadyFile(Path(settings.ready_file))
    file.clear()
    return file.tell


def _level_of_broker(settings: Settings) -> int:
    """Return how loud it is said that the broker is away: softly where it is the store, which is said anyway."""
    is_store = settings.broker_at(settings.url) == settings.url
    return logging.INFO if is_store else logging.WARNING


def _unserved_lease(name: str, queues: Sequence[str]) -> str:
    near = get_close_matches(name, queues, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"no lease of {name!r} is held here, it is not served{hint}"


def _without_components(queues: Sequence[str], registry: Registry) -> Iterator[str]:
    """Say of each queue that nothing here belongs to it: its name may be misspelt, and nobody would ever know."""
    there_are = {spec.queue for spec in registry.specs()}
    for queue in sorted(set(queues) - there_are):
        near = get_close_matches(queue, there_are, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        yield f"no component here is of worker type {queue!r}{hint}"


def _served(named: str, registry: Registry) -> tuple[str, ...]:
    """Return the worker types to serve: those that are named and no others, or else all that there are."""
    chosen = {name for part in named.split(",") if (name := part.strip())}
    if not chosen:
        chosen = {*USUAL_TYPES, *(spec.queue for spec in registry.specs())}
    return tuple(sorted(chosen))
