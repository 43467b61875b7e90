"""The composition root: the only place that knows how the parts fit together."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

from eventstore.bell import Bell
from eventstore.connection import Connection
from eventstore.directory import Directory
from eventstore.emissions import Emissions
from eventstore.gates import Gates
from eventstore.key_store import KeyStore
from eventstore.keys import Keyspace
from eventstore.ledger_store import LedgerStore
from eventstore.log_reader import LogReader
from eventstore.preflight import rewrite_after_restart
from eventstore.run_store import RunStore
from eventstore.schedule_store import ScheduleStore
from eventstore.view_store import RedisViewStore
from executor.children import Children
from executor.clock import Clock, SystemClock, commit_ids, ulid, worker_id
from executor.definitions import Definitions
from executor.encryption import Masters
from executor.gates import Gatekeeper
from executor.handle import Handler
from executor.journal import Limits
from executor.keeper import Keeper
from executor.keyring import Keyring
from executor.members import Members
from executor.pace import Pace
from executor.payloads import Payloads
from executor.relay import Across, Relay, owned
from executor.ringing import Doorbell, NoDoorbell, Ringer
from executor.runtime import Runtime, WorkSettings
from executor.schedules import Timetable
from executor.sessions import Sessions
from executor.starting import Starter, starter_of
from executor.step import Execution
from executor.watchdog import Watchdog
from executor.worker import Service, Worker
from executor.workflows import Workflows
from openagents_json.components.registry import Registry
from openagents_json.engine.projecting import built_in, together
from openagents_json.engine.reads import Reads
from openagents_json.engine.settings import secret
from projections.ledger.sealer import Sealer
from projections.ledger.service import SealingService
from projections.ledger.signing import Signer
from projections.projection import Projection
from projections.reader import Views
from projections.runner import Runner
from projections.service import ProjectionService


@dataclass(frozen=True, slots=True)
class Core:
    """What a client of a store needs: no threads, no components."""

    connection: Connection
    store: RunStore
    sessions: Sessions
    keyring: Keyring
    definitions: Definitions
    handler: Handler
    ringer: Ringer
    directory: Directory
    clock: Clock
    workflows: Workflows
    gatekeeper: Gatekeeper
    starter: Starter
    timetable: Timetable
    emissions: Emissions
    projections: list[Projection]
    reads: Reads
    ledger: LedgerStore
    signer: Signer | None = None


def build_core(
    connection: Connection,
    keyspace: Keyspace,
    *,
    doorbell: Doorbell | None = None,
    clock: Clock | None = None,
    limits: Limits | None = None,
    projections: Iterable[Projection] = (),
    signer: Signer | None = None,
    encryption_keys: Sequence[str] = (),
) -> Core:
    """Put together what a client needs.

    Raises InvalidKey.
    """
    clock = clock or SystemClock()
    masters = Masters(encryption_keys, secrets.token_bytes)
    store = RunStore(connection, keyspace, master_keys=masters.ids)
    definitions = Definitions(store)
    keyring = Keyring(KeyStore(store), masters)
    sessions = Sessions(store, definitions, Payloads(store, keyring))
    ringer = Ringer(Bell(connection, keyspace), doorbell or NoDoorbell())
    handler = Handler(store, sessions, definitions, ringer, commit_ids(), limits or Limits())
    directory = Directory(store)
    workflows = Workflows(directory, definitions)
    chosen = together(built_in(definitions, store), projections)
    views = Views(_runner(store, chosen, clock), RedisViewStore(store), LogReader(store).left)
    return Core(
        connection=connection,
        store=store,
        sessions=sessions,
        keyring=keyring,
        definitions=definitions,
        handler=handler,
        ringer=ringer,
        directory=directory,
        clock=clock,
        workflows=workflows,
        gatekeeper=Gatekeeper(handler, Gates(store)),
        starter=starter_of(handler),
        timetable=Timetable(handler, workflows, ScheduleStore(store)),
        emissions=Emissions(connection, store),
        projections=chosen,
        reads=Reads(views, store, directory),
        ledger=LedgerStore(store),
        signer=signer,
    )


def _runner(store: RunStore, projections: Sequence[Projection], clock: Clock) -> Runner:
    return Runner(LogReader(store), RedisViewStore(store), projections, store.keys.partitions, clock.steady_ms)


def build_worker(core: Core, registry: Registry, settings: WorkSettings, *, name: str = "") -> Worker:
    """Put together a worker process on a core."""
    worker = worker_id(name)
    look_after = partial(rewrite_after_restart, core.connection, core.store.keys)
    names, here = sorted(registry.names()), version("openagents-json")
    members = Members(core.directory, worker, settings, names, look_after, here, core.keyring.ids)
    across = Across(Children(core.handler, core.workflows), core.gatekeeper, core.timetable)
    relay = Relay(core.store, core.handler, core.clock, worker, all_queues(settings.queues), members.able, across)
    core.handler.expect = relay.expect
    keeper = Keeper(core.store, core.clock, settings.lease_ms)
    runtime = Runtime(
        worker=worker,
        store=core.store,
        sessions=core.sessions,
        handler=core.handler,
        ringer=core.ringer,
        directory=core.directory,
        keeper=keeper,
        watchdog=Watchdog(),
        pace=Pace(),
        clock=core.clock,
        settings=settings,
        on_wait=relay.expect,
    )
    runner = _runner(core.store, core.projections, core.clock)
    views = ProjectionService(
        runner,
        lambda: owned(core.store.keys.partitions, worker, members.alive()),
        lambda: bool(keeper.jobs()),
        core.clock.steady_ms,
    )
    sealing = _sealing(core, lambda: owned(core.store.keys.partitions, worker, members.alive()))
    services: list[Service] = [members, views, *sealing]
    execution = Execution(registry, keeper, core.clock, secret, core.emissions.emit)
    return Worker(runtime, execution, relay, services, registry)


def build_sealer(core: Core, signer: Signer) -> Sealer:
    """Put together what seals the log of a store."""
    return Sealer(
        core.ledger, signer, now_ms=core.clock.now_ms, random=os.urandom, new_id=lambda: ulid(core.clock.now_ms())
    )


def _sealing(core: Core, partitions: Callable[[], Sequence[int]]) -> list[SealingService]:
    signer = core.signer
    if signer is None:
        return []
    return [SealingService(lambda: build_sealer(core, signer), partitions, core.clock.steady_ms)]


def all_queues(queues: Sequence[str]) -> tuple[str, ...]:
    """Give the ready queues of worker types: each has one for `def` and one for `async def` components."""
    return tuple(name for queue in queues for name in (queue, f"{queue}.async"))


def run_identity(workflow: str, key: str | None, core: Core) -> tuple[str, str]:
    """Give the id of a new run and the commit that starts it; the same key gives the same ones."""
    partitions = core.store.keys.partitions
    if key is None:
        fresh = ulid(core.clock.now_ms())
        return f"{int(fresh[-4:], 36) % partitions}-{fresh}", ""
    digest = hashlib.sha256(f"{workflow}\0{key}".encode("utf-8", "surrogatepass")).hexdigest()
    return f"{int(digest[:8], 16) % partitions}-{digest[8:34]}", f"s{digest[34:50]}"
