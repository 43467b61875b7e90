"""The composition root of a worker: relay, drains and services around the parts of a client."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any

from eventstore.keys import CATALOG
from eventstore.redis.driver.fitness.restart import rewrite_after_restart
from executor.attempts.durations import DurationAverages
from executor.attempts.execution import Execution
from executor.attempts.leases import LeaseKeeper
from executor.clock import worker_id
from executor.coordination.children import Children
from executor.worker.abilities import Abilities
from executor.worker.membership import Members
from executor.worker.orders import KeyWeights, OrderBook
from executor.worker.relay import CrossRunServices, Relay, owned
from executor.worker.runtime import Runtime, WorkSettings
from executor.worker.watchdog import Watchdog
from executor.worker.worker import Service, Worker
from openagents_json.catalog.registry import Registry
from openagents_json.engine.settings import secret
from openagents_json.engine.wiring.client import Core, rebuilding, runner_of
from openagents_json.engine.wiring.ledger import build_sealer
from projections.ledger.service import SEAL_SECONDS, SealingService
from projections.service import ProjectionService


def build_worker(
    core: Core,
    registry: Registry,
    settings: WorkSettings,
    *,
    name: str = "",
    tell_ready: Callable[[bool], None] = lambda _: None,
) -> Worker:
    """Put together a worker process on a core; `tell_ready` hears with each beat whether the store answers."""
    worker = worker_id(name)
    orders = OrderBook()
    members = _members(core, worker, registry, settings, orders, tell_ready)
    relay = _build_relay(core, worker, members)
    keeper = LeaseKeeper(
        core.runs,
        core.clock,
        settings.lease_of,
        settings.shortest_lease_ms,
        settings.limits,
    )
    runtime = Runtime(
        worker=worker,
        store=core.runs,
        sessions=core.sessions,
        handler=core.handler,
        ringer=core.ringer,
        directory=core.directory,
        keeper=keeper,
        watchdog=Watchdog(),
        pace=DurationAverages(),
        clock=core.clock,
        settings=settings,
        abilities=Abilities(core.runs, registry),
        on_wait=relay.expect,
        orders=orders,
    )

    def own_partitions() -> Sequence[int]:
        return owned(core.store.keys.partitions, worker, members.alive())

    views = _views(core, own_partitions, keeper.quiet_ms)
    services: list[Service] = [members, views, *_sealing(core, own_partitions)]
    execution = Execution(
        registry, keeper, core.clock, secret, core.emissions.emit, settings.limits
    )
    return Worker(runtime, execution, relay, services, registry, _told(core, worker))


def _views(
    core: Core, partitions: Callable[[], Sequence[int]], quiet_ms: Callable[[], float]
) -> ProjectionService:
    return ProjectionService(
        runner_of(core.store, core.projections, core.clock, core.telemetry),
        lambda: with_catalog(partitions()),
        quiet_ms,
        core.clock.steady_ms,
        rebuilding(core.store, core.clock, core.telemetry, core.tenure.waiting(0.0)),
    )


def with_catalog(partitions: Sequence[int]) -> Sequence[int]:
    """Return the partitions whose views a worker keeps; whoever has the first one keeps that of the catalog too."""
    return [*partitions, CATALOG] if 0 in partitions else partitions


def _told(core: Core, worker: str) -> Callable[[Sequence[dict[str, Any]]], None]:
    """Return what tells the catalog of the components of a process."""
    return partial(core.registered.announce, actor=worker)


def _members(
    core: Core,
    worker: str,
    registry: Registry,
    settings: WorkSettings,
    orders: OrderBook,
    tell_ready: Callable[[bool], None],
) -> Members:
    members = Members(
        directory=core.directory,
        worker=worker,
        settings=settings,
        components=registry,
        look_after=partial(rewrite_after_restart, core.connection, core.store.keys),
        version=version("openagents-json"),
        keys=core.keyring.ids,
        steady_ms=core.clock.steady_ms,
        reach_all=core.connection.reach_primaries,
        orders=orders,
        tell_ready=tell_ready,
        weights=KeyWeights(core.runs.weigh),
    )
    core.connection.on_doubt = members.doubt
    return members


def _build_relay(core: Core, worker: str, members: Members) -> Relay:
    cross_run = CrossRunServices(
        Children(core.handler, core.starter, core.workflows),
        core.gatekeeper,
        core.timetable,
    )
    relay = Relay(
        store=core.runs,
        handler=core.handler,
        clock=core.clock,
        worker=worker,
        members=members,
        across=cross_run,
    )
    # What this process commits may be due soon: the relay is told, so that it need not ask the store.
    core.handler.expect = relay.expect
    return relay


def _sealing(
    core: Core, partitions: Callable[[], Sequence[int]]
) -> list[SealingService]:
    signer = core.signer
    if signer is None:
        return []
    # No longer than until the next look: a process that ends waits for this thread.
    tenure = core.tenure.waiting(SEAL_SECONDS)
    return [
        SealingService(
            lambda: build_sealer(core, signer, tenure), partitions, core.clock.steady_ms
        )
    ]
