"""Whether a store makes progress: what time brings is acted on, what waits has workers, and views follow the log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from eventstore.errors import StoreUnavailable
from eventstore.redis.upkeep.overdue import overdue_ms
from executor.worker.orders import known_types
from openagents_json.engine.components import queues_of
from openagents_json.engine.facade import Engine
from openagents_json.engine.worker_types.backlog import load_by_queue
from openagents_json.errors import OpenAgentsError

LATE_MS: Final = 60_000
"""So long may what is due, and what waits for a worker type without a worker, go unseen.

A relay looks twice a second, the partitions of a dead one are taken over within 15 s, and a type that was scaled down
to none needs its time to begin.
"""

FAR_BEHIND: Final = 50_000
"""So many events a view may be behind its log: whoever reads it next brings them in, and is patient for 10 s."""


@dataclass(frozen=True, slots=True)
class ProgressCheck:
    """One thing that was looked at; `detail` says what is wrong where it is not `ok`, and names no run."""

    name: str
    ok: bool
    detail: str = ""


def progress_of(
    engine: Engine, *, far_behind: int = FAR_BEHIND
) -> tuple[ProgressCheck, ...]:
    """Look at the progress of a store, in a few round trips; a view may be `far_behind` the log, and no more.

    Raises StoreUnavailable.
    """
    return (
        _checked("due", _overdue, engine),
        _checked("workers", _unserved, engine),
        _checked("views", partial(_behind, far_behind), engine),
    )


def _checked(name: str, look: Callable[[Engine], str], engine: Engine) -> ProgressCheck:
    """Return what a look has told; one that is refused, as where a record is damaged, has found no progress."""
    try:
        detail = look(engine)
    except StoreUnavailable:
        raise
    except OpenAgentsError as error:
        detail = f"it cannot be looked at ({error.code})"
    return ProgressCheck(name, not detail, detail)


def _overdue(engine: Engine) -> str:
    late_ms = overdue_ms(engine.core.store)
    if late_ms <= LATE_MS:
        return ""
    return f"nobody acts on what is due, for {late_ms // 1000} s: no timer fires, no lease is taken over"


def _unserved(engine: Engine) -> str:
    """Say in how many worker types steps wait for long that nobody alive takes.

    Looked at are those types that are known, and those that this program has components of.
    """
    directory = engine.core.directory
    alive = directory.workers().values()
    served = {queue for info in alive for queue in info["queues"]}
    types = known_types(directory, directory.orders.in_force())
    types.update(queues_of(engine.registry))
    loads = load_by_queue(engine, sorted(types - served)).values()
    waiting = [load for load in loads if load.backlog and load.oldest_ms > LATE_MS]
    if not waiting:
        return ""
    steps = sum(load.backlog for load in waiting)
    return f"no live worker serves {len(waiting)} worker type(s) in which {steps} step(s) wait"


def _behind(far_behind: int, engine: Engine) -> str:
    stands = engine.projections.status()
    still = sum(bool(status.trouble) for status in stands)
    if still:
        return f"{still} view(s) stand still: `openagents doctor` says why"
    lag = max((status.lag for status in stands), default=0)
    return f"a view is {lag} events behind" if lag > far_behind else ""
