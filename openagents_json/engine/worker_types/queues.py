"""The queues of a store as people see them: what waits in each, who takes from it, what its workers were told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eventstore.redis.upkeep.backlog import backlogs
from executor.worker.abilities import ASYNC, all_queues
from executor.worker.orders import CONCURRENCY, PAUSE, known_types, to_type

if TYPE_CHECKING:
    from eventstore.redis.coordination.worker_orders import InForce
    from openagents_json.engine.facade import Engine


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits for a worker type, and who takes it.

    `ready` is how many steps wait, the oldest of them for `oldest_ms`. So many `workers` take from it, with `slots` in
    all, some of which they share with other queues. `at_most` is how many steps of it each may run at a time, 0 for as
    many as it has slots. `by` says who has paused it, for what `reason`.
    """

    name: str
    ready: int
    oldest_ms: int
    workers: int
    slots: int
    paused: bool
    by: str
    reason: str
    at_most: int


def queues_of(engine: Engine) -> list[Queue]:
    """Return the queues that are known, see `known_types`, by their names.

    Raises StoreUnavailable.
    """
    directory = engine.core.directory
    told = directory.orders.in_force()
    return _queues(engine, sorted(known_types(directory, told)), told)


def queue_of(engine: Engine, name: str) -> Queue:
    """Return a queue, also one that nobody has taken from: it begins with its first step.

    Raises StoreUnavailable.
    """
    [queue] = _queues(engine, [name], engine.core.directory.orders.in_force())
    return queue


def _queues(engine: Engine, names: Sequence[str], told: InForce) -> list[Queue]:
    workers = engine.core.directory.workers()
    waiting = backlogs(engine.core.store, all_queues(names))
    return [_queue(name, workers, told, waiting) for name in names]


def _queue(
    name: str,
    workers: Mapping[str, Mapping[str, Any]],
    told: InForce,
    waiting: Mapping[str, tuple[int, int]],
) -> Queue:
    slots = [info["concurrency"] for info in workers.values() if name in info["queues"]]
    steps, oldest_ms = waiting[name]
    async_steps, async_oldest_ms = waiting[name + ASYNC]
    pause = told.get(f"{PAUSE} {to_type(name)}", {})
    limit = told.get(f"{CONCURRENCY} {to_type(name)}", {})
    return Queue(
        name,
        steps + async_steps,
        max(oldest_ms, async_oldest_ms),
        len(slots),
        sum(slots),
        bool(pause),
        str(pause.get("by", "")),
        str(pause.get("reason", "")),
        int(limit.get("at_most", 0)),
    )
