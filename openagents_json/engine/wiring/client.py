"""The composition root: how the parts of a client fit together; those of a worker, see `wiring.worker`."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from eventstore.keys import Keyspace
from eventstore.redis.client import RedisClient
from eventstore.redis.coordination.members import Directory
from eventstore.redis.driver.connection import Connection
from eventstore.redis.emissions import Emissions
from eventstore.redis.ledger import LedgerStore
from eventstore.redis.projection_log import LogReader
from eventstore.redis.runs import RedisRunStore
from eventstore.redis.views import RedisViewStore
from eventstore.runs import RunStore
from eventstore.views import ViewStore
from executor.clock import Clock, SystemClock, ulid, worker_id
from executor.encryption import MasterKeys
from openagents_json.engine.inspection.queries import Queries
from openagents_json.engine.projections import built_in, together
from openagents_json.engine.wiring.parts import (
    DecisionParts,
    DecisionSettings,
    LazyParts,
    Tenure,
)
from projections.projection import Projection
from projections.reader import Views
from projections.runner import Runner

if TYPE_CHECKING:
    from executor.coordination.business_keys import KeyedStarts
    from executor.coordination.concurrency import ConcurrencyLimiter
    from executor.coordination.schedules import ScheduleService
    from executor.coordination.starts import RunStarter
    from executor.runs.codec import Limits
    from executor.runs.handler import Handler
    from executor.runs.keyring import Keyring
    from executor.runs.repository import SessionCache
    from executor.wakeup import Doorbell, Waker
    from openagents_json.catalog.definitions import Definitions
    from openagents_json.catalog.registered import RegisteredComponents
    from openagents_json.catalog.workflows import Workflows
    from openagents_json.engine.telemetry.port import Telemetry
    from projections.ledger.signing import Signer


@dataclass(frozen=True, slots=True)
class Core:
    """What a client of a store needs: no threads, no components.

    `runs` is the store as those see it who run steps: with the program's telemetry in front of it, if there is one.
    Who only reads views needs nothing of what folds and decides, which is `late` for that reason.
    """

    connection: Connection
    store: RedisRunStore
    runs: RunStore
    late: LazyParts[DecisionParts]
    directory: Directory
    clock: Clock
    emissions: Emissions
    projections: list[Projection]
    reads: Queries
    ledger: LedgerStore
    signer: Signer | None = None
    telemetry: Telemetry | None = None
    tenure: Tenure = field(default_factory=Tenure)

    def alone(self, name: str) -> AbstractContextManager[RedisClient]:
        """Give a client for what must run once in all processes: its writes are refused when the lease is lost.

        Raises LockTaken.
        """
        return alone(self.store, name, self.clock, self.tenure)

    @property
    def sessions(self) -> SessionCache:
        """Return the folded runs."""
        return self.late.get().sessions

    @property
    def keyring(self) -> Keyring:
        """Return the keys of encrypted runs."""
        return self.late.get().keyring

    @property
    def definitions(self) -> Definitions:
        """Return the definitions with their plans."""
        return self.late.get().definitions

    @property
    def handler(self) -> Handler:
        """Return what decides and commits."""
        return self.late.get().handler

    @property
    def ringer(self) -> Waker:
        """Return what wakes workers."""
        return self.late.get().ringer

    @property
    def workflows(self) -> Workflows:
        """Return the published workflows."""
        return self.late.get().workflows

    @property
    def registered(self) -> RegisteredComponents:
        """Return the components that are registered in the store."""
        return self.late.get().registered

    @property
    def gatekeeper(self) -> ConcurrencyLimiter:
        """Return what limits how much runs at a time."""
        return self.late.get().gatekeeper

    @property
    def starter(self) -> RunStarter:
        """Return what starts runs."""
        return self.late.get().starter

    @property
    def keyed_starts(self) -> KeyedStarts:
        """Return what starts runs under business keys."""
        return self.late.get().keyed_starts

    @property
    def timetable(self) -> ScheduleService:
        """Return the schedules."""
        return self.late.get().timetable


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
    telemetry: Telemetry | None = None,
    tenure: Tenure | None = None,
) -> Core:
    """Put together what a client needs.

    Raises InvalidKey.
    """
    clock = clock or SystemClock()
    tenure = tenure or Tenure()
    masters = MasterKeys(encryption_keys, secrets.token_bytes)
    store = RedisRunStore(connection, keyspace, master_keys=masters.ids)
    directory = Directory(store)
    runs = runs_of(store, clock, telemetry)
    late = _late(
        store,
        runs,
        directory,
        DecisionSettings(connection, masters, doorbell, limits, clock),
    )
    chosen = together(
        built_in(lambda digest: late.get().definitions.plan(digest), store), projections
    )
    views = Views(
        runner_of(store, chosen, clock, telemetry),
        RedisViewStore(store),
        LogReader(store).left,
        rebuilding(store, clock, telemetry, tenure),
    )
    return Core(
        connection=connection,
        store=store,
        runs=runs,
        late=late,
        directory=directory,
        clock=clock,
        emissions=Emissions(connection, store),
        projections=chosen,
        reads=Queries(views, store, directory),
        ledger=LedgerStore(store),
        signer=signer,
        telemetry=telemetry,
        tenure=tenure,
    )


def alone(
    store: RedisClient, name: str, clock: Clock, tenure: Tenure
) -> AbstractContextManager[RedisClient]:
    """Hold a lease of the engine's own, and give a client whose writes are refused when it is lost."""
    from openagents_json.engine.locking.locks import Locks

    return Locks(store, worker_id, clock.steady_ms).fenced(
        name,
        lease_seconds=tenure.lease_seconds,
        timeout=tenure.patience_seconds,
        renew=tenure.renews,
    )


def rebuilding(
    store: RedisClient, clock: Clock, telemetry: Telemetry | None, tenure: Tenure
) -> Callable[[str], AbstractContextManager[ViewStore]]:
    """Return what lets one process alone build a projection anew: it gives the views to whoever has the lease."""

    @contextmanager
    def of(projection: str) -> Iterator[ViewStore]:
        with alone(store, f"rebuild:{projection}", clock, tenure) as client:
            yield views_of(client, clock, telemetry)

    return of


def runs_of(
    store: RedisRunStore, clock: Clock, telemetry: Telemetry | None
) -> RunStore:
    """Return the store of runs as a port; there is nothing in front of it unless somebody measures."""
    if telemetry is None:
        return store
    from openagents_json.engine.telemetry.run_store import MeasuredRunStore

    return MeasuredRunStore(store, telemetry, clock.steady_ms)


def views_of(
    store: RedisClient, clock: Clock, telemetry: Telemetry | None
) -> ViewStore:
    """Return the store of views as a port; there is nothing in front of it unless somebody measures."""
    views = RedisViewStore(store)
    if telemetry is None:
        return views
    from openagents_json.engine.telemetry.view_store import measured_views

    return measured_views(views, telemetry, clock.steady_ms)


def _late(
    store: RedisRunStore, runs: RunStore, directory: Directory, given: DecisionSettings
) -> LazyParts[DecisionParts]:
    def build() -> DecisionParts:
        from openagents_json.engine.wiring.runs import build_deciding

        return build_deciding(store, runs, directory, given)

    return LazyParts(build)


def runner_of(
    store: RedisRunStore,
    projections: Sequence[Projection],
    clock: Clock,
    telemetry: Telemetry | None,
) -> Runner:
    """Return what brings projections up to the log."""
    views = views_of(store, clock, telemetry)
    return Runner(
        log=LogReader(store),
        store=views,
        projections=projections,
        partitions=store.keys.partitions,
        steady_ms=clock.steady_ms,
    )


SHARING: Final = 16
"""So many runs of a large request begin in one partition: they share the calls that begin them and bring them on."""


def partitions_for(count: int, core: Core) -> list[int]:
    """Return where the runs of a request begin: some of them in one partition, the next ones in the one after it."""
    partitions = core.store.keys.partitions
    sharing = max(1, min(SHARING, count // 4))
    first = secrets.randbelow(partitions)
    return [(first + number // sharing) % partitions for number in range(count)]


def run_identity(
    workflow: str,
    key: str | None,
    core: Core,
    partition: int | None = None,
    name: str = "",
) -> tuple[str, str]:
    """Return the id of a new run and the commit that starts it; the same key gives the same ones.

    Without a key, it is in a `partition`, or in any; under the `name` of a business key, where all runs of that are.
    """
    partitions = core.store.keys.partitions
    if name:
        partition = int(name[:8], 16) % partitions
    if key is None:
        fresh = ulid(core.clock.now_ms())
        if partition is None:
            partition = int(fresh[-4:], 36) % partitions
        return f"{partition}-{fresh}", ""
    text = f"{workflow}\0{name}{key}" if name else f"{workflow}\0{key}"
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    if not name:
        partition = int(digest[:8], 16) % partitions
    return f"{partition}-{digest[8:34]}", f"s{digest[34:50]}"
