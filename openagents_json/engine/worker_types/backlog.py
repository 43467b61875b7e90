"""Whether steps wait for a slot, by queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from executor.worker.abilities import ASYNC, all_queues

if TYPE_CHECKING:
    from openagents_json.engine.facade import Engine


def waiting_by_queue(engine: Engine, queues: Sequence[str]) -> dict[str, int]:
    """Return in how many partitions each queue has steps that nobody is about to take, of both kinds of components.

    Raises StoreUnavailable.
    """
    waiting = engine.core.ringer.bell.waiting(all_queues(queues))
    return {queue: waiting[queue] + waiting[f"{queue}{ASYNC}"] for queue in queues}
