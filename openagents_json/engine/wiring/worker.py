"""The composition root of a worker: relay, drains and services around the parts of a client."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version

from eventstore.redis.driver.restart import rewrite_after_restart
from executor.attempts.durations import DurationAverages
from executor.attempts.execution import Execution
from executor.attempts.leases import LeaseKeeper
from executor.clock import worker_id
from executor.coordination.children import Children
from executor.worker.abilities import Abilities
from executor.worker.membership import Members
from executor.worker.relay import CrossRunServices, Relay, owned
from executor.worker.runtime import Runtime, WorkSettings
from executor.worker.watchdog import Watchdog
from executor.worker.worker import Service, Worker
from openagents_json.catalog.registry import Registry
from openagents_json.engine.settings import secret
from openagents_json.engine.wiring.client import Core, runner_of
from openagents_json.engine.wiring.ledger import build_sealer
from projections.ledger.service import SealingService
from projections.service import ProjectionService


def build_worker(
    core: Core, registry: Registry, settings: WorkSettings, *, name: str = ""
) -> Worker:
    """Put together a worker process on a core."""
    worker = worker_id(name)
    look_after = partial(rewrite_after_restart, core.connection, core.store.keys)
    here, abilities = version("openagents-json"), Abilities(core.runs, registry)
    members = Members(
        core.directory, worker, settings, registry, look_after, here, core.keyring.ids
    )
    across = CrossRunServices(
        Children(core.handler, core.starter, core.workflows),
        core.gatekeeper,
        core.timetable,
    )
    relay = Relay(core.runs, core.handler, core.clock, worker, members, across)
    core.handler.expect = relay.expect
    keeper = LeaseKeeper(
        core.runs, core.clock, settings.lease_of, settings.shortest_lease_ms
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
        abilities=abilities,
        on_wait=relay.expect,
    )
    runner = runner_of(core.store, core.projections, core.clock, core.telemetry)
    views = ProjectionService(
        runner,
        lambda: owned(core.store.keys.partitions, worker, members.alive()),
        lambda: bool(keeper.jobs()),
        core.clock.steady_ms,
    )
    sealing = _sealing(
        core, lambda: owned(core.store.keys.partitions, worker, members.alive())
    )
    services: list[Service] = [members, views, *sealing]
    execution = Execution(registry, keeper, core.clock, secret, core.emissions.emit)
    return Worker(runtime, execution, relay, services, registry)


def _sealing(
    core: Core, partitions: Callable[[], Sequence[int]]
) -> list[SealingService]:
    signer = core.signer
    if signer is None:
        return []
    return [
        SealingService(
            lambda: build_sealer(core, signer), partitions, core.clock.steady_ms
        )
    ]
