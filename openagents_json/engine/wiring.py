"""The composition root: the only place that knows how the parts fit together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

from eventstore.bell import Bell
from eventstore.connection import Connection
from eventstore.directory import Directory
from eventstore.keys import Keyspace
from eventstore.preflight import rewrite_after_restart
from eventstore.run_store import RunStore
from executor.clock import Clock, SystemClock, commit_ids, worker_id
from executor.definitions import Definitions
from executor.handle import Handler
from executor.journal import Limits
from executor.keeper import Keeper
from executor.members import Members
from executor.pace import Pace
from executor.relay import Relay
from executor.ringing import Doorbell, NoDoorbell, Ringer
from executor.runtime import Runtime, WorkSettings
from executor.sessions import Sessions
from executor.step import Execution
from executor.watchdog import Watchdog
from executor.worker import Worker
from openagents_json.components.registry import Registry
from openagents_json.engine.settings import secret


@dataclass(frozen=True, slots=True)
class Core:
    """What a client of a store needs: no threads, no components."""

    connection: Connection
    store: RunStore
    sessions: Sessions
    definitions: Definitions
    handler: Handler
    ringer: Ringer
    directory: Directory
    clock: Clock


def build_core(
    connection: Connection,
    keyspace: Keyspace,
    *,
    doorbell: Doorbell | None = None,
    clock: Clock | None = None,
    limits: Limits | None = None,
) -> Core:
    """Put together what a client needs."""
    store = RunStore(connection, keyspace)
    definitions = Definitions(store)
    sessions = Sessions(store, definitions)
    ringer = Ringer(Bell(connection, keyspace), doorbell or NoDoorbell())
    handler = Handler(store, sessions, definitions, ringer, commit_ids(), limits or Limits())
    return Core(connection, store, sessions, definitions, handler, ringer, Directory(store), clock or SystemClock())


def build_worker(core: Core, registry: Registry, settings: WorkSettings, *, name: str = "") -> Worker:
    """Put together a worker process on a core."""
    worker = worker_id(name)
    look_after = partial(rewrite_after_restart, core.connection, core.store.keys)
    names, here = sorted(registry.names()), version("openagents-json")
    members = Members(core.directory, core.clock, worker, settings, names, look_after, here)
    relay = Relay(core.store, core.handler, core.clock, worker, all_queues(settings.queues), members.alive)
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
    return Worker(runtime, Execution(registry, keeper, core.clock, secret), relay, members, registry)


def all_queues(queues: Sequence[str]) -> tuple[str, ...]:
    """Give the ready queues of worker types: each has one for `def` and one for `async def` components."""
    return tuple(name for queue in queues for name in (queue, f"{queue}.async"))
