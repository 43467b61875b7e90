"""What waits for worker types: how many steps, and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from eventstore.redis.upkeep.backlog import backlogs
from executor.worker.abilities import all_queues, type_of
from executor.worker.orders import PAUSE, to_type
from openagents_json.engine.worker_types.autoscaling import Load

if TYPE_CHECKING:
    from openagents_json.engine.facade import Engine


def load_by_queue(engine: Engine, queues: Sequence[str]) -> dict[str, Load]:
    """Return what waits for each of some queues, for both kinds of components; nothing for one that is paused.

    Raises StoreUnavailable.
    """
    loads = dict.fromkeys(queues, Load())
    told = engine.core.directory.orders.in_force()
    at_work = [queue for queue in queues if f"{PAUSE} {to_type(queue)}" not in told]
    waiting = backlogs(engine.core.store, all_queues(at_work))
    for ready, (steps, oldest_ms) in waiting.items():
        queue = type_of(ready)
        load = loads[queue]
        oldest_ms = max(load.oldest_ms, oldest_ms)
        loads[queue] = Load(load.backlog + steps, oldest_ms)
    return loads
