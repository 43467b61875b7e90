"""What holds for a worker type in the end, and for a process that serves some of them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from executor.attempts.step_limits import (
    MEGABYTE,
    LimitsOfTypes,
    StepLimits,
    TypeLimits,
)
from executor.worker.memory import can_measure, resident_bytes
from executor.worker.runtime import WorkSettings
from openagents_json.engine.errors import InvalidSetting
from openagents_json.engine.profiles.worker_type import (
    PREFORK,
    THREADS,
    StepSettings,
    WorkerType,
)

if TYPE_CHECKING:
    from openagents_json.engine.settings import Settings

log = logging.getLogger(__name__)

NOTHING = StepSettings()


@dataclass(frozen=True, slots=True)
class TypeProcesses:
    """The processes of a worker type: their settings, which serve it alone, their pool, and how many there are."""

    name: str
    queue: str
    settings: Settings
    pool: str
    at_least: int = 1
    at_most: int = 1


def processes_of(
    settings: Settings, name: str, options: Mapping[str, Any]
) -> TypeProcesses:
    """Return how the processes of a worker type work; `options` of a command hold for each type, None is not given."""
    worker_type = settings.worker_types.get(name, WorkerType())
    queue = worker_type.queue or name
    lease_ms = worker_type.lease_ms or settings.leases.get(queue, settings.lease_ms)
    own = settings.model_copy(
        update={
            "queues": queue,
            "concurrency": options.get("concurrency")
            or worker_type.concurrency
            or settings.concurrency,
            "leases": {queue: lease_ms},
            "worker_types": {name: worker_type},
        }
    )
    at_most = max(worker_type.min_processes, worker_type.max_processes)
    pool = options.get("pool") or worker_type.pool
    return TypeProcesses(name, queue, own, pool, worker_type.min_processes, at_most)


def work_settings(settings: Settings, queues: Sequence[str]) -> WorkSettings:
    """Return how a process works that serves some queues."""
    by_queue = _by_queue(settings)
    limits = {
        queue: _limits_of(by_queue[queue]) for queue in queues if queue in by_queue
    }
    return WorkSettings(
        queues=tuple(queues),
        concurrency=settings.concurrency,
        lease_ms=settings.lease_ms,
        leases={**settings.leases, **_numbers(by_queue, "lease_ms")},
        async_limit=settings.async_limit,
        prefetches=_numbers(by_queue, "prefetch"),
        slots=_numbers(by_queue, "concurrency"),
        limits=LimitsOfTypes(limits),
    )


def _numbers(by_queue: Mapping[str, WorkerType], name: str) -> dict[str, int]:
    """Return a number of each type by its queue, of those that say it."""
    numbers = {queue: getattr(by_queue[queue], name) for queue in by_queue}
    return dict(filter(itemgetter(1), numbers.items()))


def pool_of(settings: Settings, queues: Sequence[str]) -> str:
    """Return the pool that all served worker types ask for, that of threads where they differ."""
    by_queue = _by_queue(settings)
    pools = {by_queue.get(queue, WorkerType()).pool for queue in queues}
    return pools.pop() if len(pools) == 1 else THREADS


def check_memory(work: WorkSettings, pool: str) -> None:
    """Refuse memory limits that could not be held.

    Raises InvalidSetting.
    """
    limit_mb = work.limits.smallest_memory_mb
    if not limit_mb:
        return
    if pool != PREFORK:
        raise InvalidSetting(
            "worker_types",
            f"a memory limit cannot be held by the pool {pool!r}, whose steps share one process; "
            'say pool = "prefork" of the worker type, and serve it by itself',
        )
    if not can_measure():
        raise InvalidSetting(
            "worker_types",
            "memory limits are held on Linux only: there is no /proc here",
        )
    at_rest_mb = resident_bytes() // MEGABYTE
    if limit_mb <= at_rest_mb:
        raise InvalidSetting(
            "worker_types",
            f"memory_mb is {limit_mb}, and a process that has loaded the components has {at_rest_mb} MB already",
        )


def _by_queue(settings: Settings) -> dict[str, WorkerType]:
    return {
        worker_type.queue or name: worker_type
        for name, worker_type in settings.worker_types.items()
    }


def _limits_of(worker_type: WorkerType) -> TypeLimits:
    usual = _limits(worker_type, NOTHING)
    components = {
        name: _limits(own, worker_type) for name, own in worker_type.components.items()
    }
    return TypeLimits(usual, components)


def _limits(own: StepSettings, usual: StepSettings) -> StepLimits:
    """Return limits as they are said; what is 0 is as usual."""
    seconds = own.step_seconds or usual.step_seconds
    memory_mb = own.memory_mb or usual.memory_mb
    attempts = own.max_attempts or usual.max_attempts
    return StepLimits(round(seconds * 1000), memory_mb, attempts)


def in_this_process(
    settings: Settings, queues: Sequence[str], threads: int
) -> WorkSettings:
    """Return how threads of a program work: so many for each queue, without limits that only a process can hold."""
    work = work_settings(settings, queues)
    if work.limits_memory:
        log.warning("memory limits are not held here: threads share their process")
    unheld = {
        queue: limits.without_memory() for queue, limits in work.limits.types.items()
    }
    return replace(work, concurrency=threads, slots={}, limits=LimitsOfTypes(unheld))
