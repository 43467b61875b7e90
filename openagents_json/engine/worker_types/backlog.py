"""What waits for worker types: how many steps, and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from eventstore.redis.upkeep.backlog import backlogs
from executor.worker.abilities import all_queues, type_of
from openagents_json.engine.worker_types.autoscaling import Load

if TYPE_CHECKING:
    from openagents_json.engine.facade import Engine


def load_by_queue(engine: Engine, queues: Sequence[str]) -> dict[str, Load]:
    """Return what waits for each of some queues, for both kinds of components; one round trip.

    Raises StoreUnavailable.
    """
    loads = dict.fromkeys(queues, Load())
    waiting = backlogs(engine.core.store, all_queues(queues))
    for ready, (steps, oldest_ms) in waiting.items():
        queue = type_of(ready)
        load = loads[queue]
        oldest_ms = max(load.oldest_ms, oldest_ms)
        loads[queue] = Load(load.backlog + steps, oldest_ms)
    return loads
