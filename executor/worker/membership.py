"""This process among the others that work on a store."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eventstore.errors import EventStoreError
from eventstore.redis.coordination.members import Directory
from eventstore.redis.driver.outages import Outage, level_of
from executor.coordination.zones import ZONES_VERSION
from executor.worker.abilities import Fleet, Runnable, all_queues
from executor.worker.orders import KeyWeights, OrderBook, orders_for
from executor.worker.runtime import WorkSettings

log = logging.getLogger(__name__)

BEAT_SECONDS = 3.0
SAY_AGAIN = 1000
"""After how many beats it is said again which components this process has: the store forgets it in a day."""

AGAIN_SECONDS = 0.2
"""How soon a beat that failed is tried again: a server that comes back has to be looked after at once."""


class Members:
    """Says every few seconds that this process is alive, and remembers who else is."""

    def __init__(
        self,
        directory: Directory,
        worker: str,
        settings: WorkSettings,
        components: Runnable,
        look_after: Callable[[], None],
        version: str,
        keys: Sequence[str] = (),
        *,
        steady_ms: Callable[[], float],
        reach_all: Callable[[], None] = lambda: None,
        orders: OrderBook,
        tell_ready: Callable[[bool], None] = lambda _: None,
        weights: KeyWeights,
    ) -> None:
        self._directory = directory
        self._worker = worker
        self._reach_all = reach_all
        self._orders = orders
        self._tell_ready = tell_ready
        self._weights = weights
        self._outage = Outage(log, steady_ms)
        self._doubt = threading.Event()
        self._look_after = look_after
        self._info: dict[str, Any] = {
            "queues": list(settings.queues),
            "concurrency": settings.concurrency,
            "lease_ms": {queue: settings.lease_of(queue) for queue in settings.queues},
            "components": len(components.runnable()),
            "version": version,
            "zones": ZONES_VERSION,
            "keys": list(keys),
        }
        self._components = components
        self._announced = ""
        self._beats = 0
        self.fleet = Fleet(directory)
        self._keys = frozenset(keys)
        self._alive: tuple[str, ...] = (worker,)
        self._able: tuple[str, ...] = (worker,)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def alive(self) -> Sequence[str]:
        """Return the processes that were alive at the last beat."""
        return self._alive

    def able(self) -> Sequence[str]:
        """Return those who can act on any run, having the most keys of encrypted ones; () when this process cannot."""
        return self._able

    def queues(self) -> Sequence[str]:
        """Return the ready queues that somebody serves: whoever owns a partition looks after all of them."""
        return all_queues(sorted({*self._info["queues"], *self.fleet.queues}))

    def start(self) -> None:
        """Begin; the first beat is over when this returns."""
        self.beat()
        self._tell_ready(True)
        self._thread = threading.Thread(
            target=self._loop, name="openagents-members", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Leave."""
        self._stop.set()
        self._doubt.set()
        if self._thread is not None:
            self._thread.join()
        self._tell_ready(False)
        try:
            self._directory.forget(self._worker)
        except EventStoreError as error:
            log.log(
                level_of(error),
                "the directory of workers could not be told that %s ends: %s",
                self._worker,
                error,
            )

    def beat(self) -> None:
        """Say that this process is alive, look who else is, and look after the server."""
        having = self._components.fingerprint
        if self._announced != having or self._beats % SAY_AGAIN == 0:
            self._directory.put_components(having, self._components.runnable())
            self._announced = having
        self._beats += 1
        told = self._orders.current.described()
        info = {**self._info, "having": having, **({"told": told} if told else {})}
        workers, in_force = self._directory.beat_and_hear(self._worker, info)
        self.fleet.see(workers | self._directory.remote())
        self._alive = tuple(sorted(workers))
        self._able = _able(
            self._worker,
            self._keys,
            {name: frozenset(x.get("keys", ())) for name, x in workers.items()},
        )
        self._look_after()
        if in_force is not None:
            queues = self._info["queues"]
            self._orders.heed(orders_for(self._worker, queues, in_force))
            self._weights.heed(in_force)

    def doubt(self) -> None:
        """Hear that somebody here could not reach the store: the next beat, which says whether it is away, is now."""
        self._doubt.set()

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._pause()
            if not self._stop.is_set():
                self._beat_again()

    def _pause(self) -> None:
        if self._outage.lasts:
            # Each try puts the store in doubt again, so that is no reason to try sooner.
            self._stop.wait(AGAIN_SECONDS)
        else:
            self._doubt.wait(BEAT_SECONDS)
        self._doubt.clear()

    def _beat_again(self) -> None:
        """Beat, and say for this whole process whether the store is away: all others leave that to this thread."""
        try:
            self._reach_all()  # first: a beat is patient with a server that is away
            self.beat()
        except EventStoreError as error:
            self._outage.begin("%s; this worker goes on when it is back", error)
        else:
            self._outage.end("the store answers")
        self._tell_ready(not self._outage.lasts)


def _able(
    me: str, mine: frozenset[str], others: Mapping[str, frozenset[str]]
) -> tuple[str, ...]:
    everyone = {**others, me: mine}
    most = max(len(keys) for keys in everyone.values())
    chosen = tuple(sorted(name for name, keys in everyone.items() if len(keys) == most))
    return chosen if me in chosen else ()
