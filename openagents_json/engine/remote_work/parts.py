"""What all workers over HTTP share in a process: the desks where they wait, and whoever looks after the time."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from eventstore.redis.coordination.remote_work import RemoteWorkTable
from executor.clock import worker_id
from executor.coordination.zones import ZONES_VERSION
from executor.remote.attempts import RemoteAttempts
from executor.remote.desk import DeskParts, QueueDesk
from executor.remote.presence import RemotePresence
from executor.remote.served import ServedComponents
from executor.remote.tokens import LeaseTokens
from executor.remote.waiters import Waiter
from executor.worker.abilities import Abilities, all_queues
from openagents_json.engine.settings import secret
from openagents_json.engine.wiring.client import Core

if TYPE_CHECKING:
    from executor.worker.worker import Worker

_SECRET_BYTES: Final = 32
_REMEMBERED: Final = 1_024
"""Of so many sets of components it is remembered what the store was told of them."""


class RemoteParts:
    """The desks of a process, one for each ready queue; made when somebody asks for steps first."""

    def __init__(self, core: Core, works_here: Callable[[], bool]) -> None:
        self.core = core
        self._works_here = works_here
        self._lock = threading.Lock()
        self._name = worker_id("http")
        self._desks: dict[str, QueueDesk] = {}
        self._abilities: OrderedDict[str, Abilities] = OrderedDict()
        self._timekeeper: Worker | None = None
        self.table = RemoteWorkTable(core.store)
        self.attempts = RemoteAttempts(
            store=core.runs,
            handler=core.handler,
            secrets=secret,
            emit=core.emissions.emit,
            on_wait=lambda run, delay_ms: core.handler.expect(run, delay_ms),
        )
        common = {
            "version": version("openagents-json"),
            "zones": ZONES_VERSION,
            "keys": list(core.keyring.ids),
        }
        self.presence = RemotePresence(core.directory, core.clock.steady_ms, common)

    @cached_property
    def tokens(self) -> LeaseTokens:
        """Return what seals leases, and opens them."""
        return LeaseTokens(self.table.secret(secrets.token_bytes(_SECRET_BYTES)))

    def enter(self, waiter: Waiter) -> None:
        """Let a request wait for steps of its type, for `async def` components or not: from outside, nobody sees that.

        Raises StoreUnavailable.
        """
        self._keep_time()
        is_new = self.presence.came(waiter.request)
        for queue in all_queues([waiter.request.worker_type]):
            self._desk(queue).enter(waiter, is_new=is_new)

    def leave(self, waiter: Waiter) -> None:
        """Forget one who waits no more."""
        for queue in all_queues([waiter.request.worker_type]):
            self._desk(queue).leave(waiter)

    def abilities_of(self, components: ServedComponents) -> Abilities:
        """Return what tells the store of components, and remembers what it was told."""
        having = components.fingerprint
        with self._lock:
            abilities = self._abilities.pop(having, None)
            abilities = abilities or Abilities(self.core.runs, components)
            self._abilities[having] = abilities
            if len(self._abilities) > _REMEMBERED:
                self._abilities.popitem(last=False)
        return abilities

    def _desk(self, queue: str) -> QueueDesk:
        with self._lock:
            if queue not in self._desks:
                parts = DeskParts(
                    self.core.runs,
                    self.core.ringer,
                    self.abilities_of,
                    self.core.handler.commit_id,
                    self.presence.seen,
                )
                self._desks[queue] = QueueDesk(parts, queue, self._name)
            return self._desks[queue]

    def _keep_time(self) -> None:
        """Look after what time brings: leases that run out, retries, timers. No other process might be there for it."""
        with self._lock:
            if self._timekeeper is not None or self._works_here():
                return
            from openagents_json.catalog.registry import Registry
            from openagents_json.engine.wiring.worker import build_worker
            from openagents_json.engine.worker_types.settle import TIMEKEEPING

            worker = build_worker(self.core, Registry(), TIMEKEEPING, name="http")
            worker.start(lanes=False)
            self._timekeeper = worker

    def close(self) -> None:
        """End all waits, and look after nothing more."""
        desks = list(self._desks.values())
        for desk in desks:
            desk.close()
        for desk in desks:
            desk.join()
        timekeeper, self._timekeeper = self._timekeeper, None
        if timekeeper is not None:
            timekeeper.stop(0.0)
