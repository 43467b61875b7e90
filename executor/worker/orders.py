"""What this process has been told from elsewhere: of what it takes nothing, how much it runs, whether it ends.

An order is heard with a beat, so it costs no round trip, and is some seconds on its way. It changes what is taken next
and nothing else: what runs goes on, and what waits behind it goes back to the others.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from eventstore.redis.coordination.members import Directory
from executor.worker.abilities import type_of
from openagents_json.workflow.component_spec import USUAL_TYPES

log = logging.getLogger(__name__)

PAUSE: Final = "pause"
CONCURRENCY: Final = "concurrency"
DRAIN: Final = "drain"
WEIGHT: Final = "weight"


def to_type(name: str) -> str:
    """Name all workers of a type, those too that begin later."""
    return f"type:{name}"


def to_worker(name: str) -> str:
    """Name one process."""
    return f"worker:{name}"


def to_key(name: str) -> str:
    """Name all steps of a fairness key."""
    return f"key:{name}"


def weights_in(in_force: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Return the weights of fairness keys that hold."""
    front = f"{WEIGHT} {to_key('')}"
    return {
        name.removeprefix(front): int(order["at_most"])
        for name, order in in_force.items()
        if name.startswith(front)
    }


@dataclass(frozen=True, slots=True)
class Orders:
    """What holds for a process: `paused` worker types, how many steps `at_most` run of others, and whether it ends."""

    paused: frozenset[str] = frozenset()
    at_most: Mapping[str, int] = field(default_factory=dict)
    ends: bool = False

    def limit_of(self, queue: str) -> int | None:
        """Return how many steps of a ready queue may run at a time, None for as many as there are slots."""
        worker_type = type_of(queue)
        return 0 if worker_type in self.paused else self.at_most.get(worker_type)

    def allows(self, queue: str, rank: int) -> bool:
        """Tell whether one more step may begin where `rank` of them run."""
        limit = self.limit_of(queue)
        return limit is None or rank < limit

    def described(self) -> dict[str, Any]:
        """Return what is shown of it; nothing where nothing was said."""
        shown = {
            "paused": sorted(self.paused),
            "at_most": dict(self.at_most),
            "draining": self.ends,
        }
        return {name: value for name, value in shown.items() if value}


def orders_for(
    worker: str, queues: Sequence[str], in_force: Mapping[str, Mapping[str, Any]]
) -> Orders:
    """Return what holds for a process: what was said to it or to one of its types; of two limits the lower."""
    me = to_worker(worker)

    def told(what: str, queue: str) -> list[Mapping[str, Any]]:
        names = (f"{what} {me}", f"{what} {to_type(queue)}")
        return [in_force[name] for name in names if name in in_force]

    ends = f"{DRAIN} {me}" in in_force
    limits = {
        queue: min(int(order["at_most"]) for order in orders)
        for queue in queues
        if (orders := told(CONCURRENCY, queue))
    }
    paused = {queue for queue in queues if ends or told(PAUSE, queue)}
    return Orders(frozenset(paused), limits, ends)


def told_as_main(
    main: str, in_force: Mapping[str, Mapping[str, Any]], alive: Collection[str]
) -> str:
    """Return the live process whose name begins so and to which something was said, "" where there is none.

    Process ids come again, in a container with every start: what was said to one that has ended is for nobody.
    """
    told = (order.partition(" ")[2].removeprefix(to_worker("")) for order in in_force)
    return next((x for x in told if x.startswith(main) and x in alive), "")


class StopSignal(Protocol):
    """Tells a drain that it has to come to its end."""

    def is_set(self) -> bool:
        """Tell whether it has to."""
        ...


def known_types(
    directory: Directory, in_force: Mapping[str, Mapping[str, Any]]
) -> set[str]:
    """Return the usual worker types, those that a worker has served lately, and those that were told something.

    Lately is within an hour, as what waits where all workers have gone is what people look for.

    Raises StoreUnavailable.
    """
    return {*USUAL_TYPES, *directory.served_lately(), *_told_types(in_force)}


def _told_types(in_force: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for order in in_force:
        kind, _, name = order.partition(" ")[2].partition(":")
        if kind == "type":
            yield name


class KeyWeights:
    """Sees to it that all partitions have the weights of fairness keys that were said.

    Who says one writes it there himself. Should he die at that, or a partition be away, all workers do it after him.
    """

    def __init__(self, weigh: Callable[[Mapping[str, int | None]], None]) -> None:
        """See to it with `weigh`, which tells the store."""
        self._weigh = weigh
        self._heeded: Mapping[str, int] = {}

    def heed(self, in_force: Mapping[str, Mapping[str, Any]]) -> None:
        """Tell the store what is not as it was at the last beat."""
        weights = weights_in(in_force)
        if weights == self._heeded:
            return
        self._weigh({**dict.fromkeys(self._heeded), **weights})
        self._heeded = weights


class OrderBook:
    """What holds for this process, asked by all that take steps; safe for threads."""

    def __init__(self) -> None:
        self.current = Orders()
        self.on_end: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._ranks: dict[str, set[int]] = {}

    def heed(self, orders: Orders) -> None:
        """Act by other orders from now on; an order to end is carried out once."""
        before, self.current = self.current, orders
        if orders == before:
            return
        log.warning("this worker was told: %s", orders.described() or "go on")
        if orders.ends and not before.ends:
            self.on_end()

    @contextmanager
    def slot(self, queue: str, stopping: StopSignal) -> Iterator[StopSignal | None]:
        """Have a slot of a queue for the time of a drain, None where there is none; gives what tells it to end."""
        with self._lock:
            taken = self._ranks.setdefault(queue, set())
            rank = next(n for n in range(len(taken) + 1) if n not in taken)
            has_slot = self.current.allows(queue, rank)
            if has_slot:
                taken.add(rank)
        if not has_slot:
            yield None
            return
        try:
            yield _UntilTold(self, queue, rank, stopping)
        finally:
            with self._lock:
                taken.discard(rank)


@dataclass(frozen=True, slots=True)
class _UntilTold:
    """Ends a drain with its process, or when its slot is one too many."""

    book: OrderBook
    queue: str
    rank: int
    stopping: StopSignal

    def is_set(self) -> bool:
        return self.stopping.is_set() or not self.book.current.allows(
            self.queue, self.rank
        )
