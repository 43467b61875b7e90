"""What holds for a worker type in the end, and for a process that serves some of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from executor.attempts.step_limits import (
    MEGABYTE,
    NO_LIMITS,
    LimitsOfTypes,
    StepLimits,
    TypeLimits,
    declared_limits,
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
    from openagents_json.catalog.registry import Registry
    from openagents_json.engine.settings import Settings

log = logging.getLogger(__name__)

TIMEKEEPING: Final = WorkSettings(queues=(), concurrency=0)
"""How a process works that runs no steps: it looks after leases that run out, retries and timers."""


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
    at_most = max(worker_type.min_processes, worker_type.max_processes, 1)
    pool = options.get("pool") or worker_type.pool
    return TypeProcesses(name, queue, own, pool, worker_type.min_processes, at_most)


def worker_settings(
    settings: Settings,
    queues: Sequence[str],
    registry: Registry,
    pool: str,
    tell: Callable[[str], None],
) -> WorkSettings:
    """Return how a worker process works that serves some queues with its components.

    What components declare of memory is held where the pool can, and where it cannot, that is told. What is configured
    has to be held. Raises InvalidSetting.
    """
    check_memory(work_settings(settings, queues), pool)
    work = work_settings(settings, queues, registry)
    if pool == PREFORK and can_measure():
        check_memory(work, pool)
        return work
    if work.limits_memory:
        tell(
            f"memory limits of components are not held by the pool {pool!r}; "
            'say pool = "prefork" of their worker type'
        )
    return replace(work, limits=work.limits.without_memory())


def in_threads(settings: Settings) -> Settings:
    """Return the settings of one process that serves all worker types in threads: limits of time and attempts hold."""
    types = {name: _in_threads(x) for name, x in settings.worker_types.items()}
    return settings.model_copy(update={"worker_types": types})


def _in_threads(worker_type: WorkerType) -> WorkerType:
    any_memory = {"memory_mb": 0}
    components = {
        name: own.model_copy(update=any_memory)
        for name, own in worker_type.components.items()
    }
    usual = {
        name: WorkerType.model_fields[name].default
        for name in ("pool", "concurrency", "min_processes", "max_processes")
    }
    return worker_type.model_copy(
        update={**usual, **any_memory, "components": components}
    )


def work_settings(
    settings: Settings, queues: Sequence[str], registry: Registry | None = None
) -> WorkSettings:
    """Return how a process works that serves some queues, with the limits that its components declare."""
    by_queue = _by_queue(settings)
    declared = {} if registry is None else declared_limits(registry.specs())
    limits = {
        queue: _limits_of(by_queue.get(queue, WorkerType()), declared)
        for queue in queues
        if declared or queue in by_queue
    }
    return WorkSettings(
        queues=tuple(queues),
        concurrency=settings.concurrency,
        lease_ms=settings.lease_ms,
        leases={**settings.leases, **_numbers(by_queue, "lease_ms")},
        async_limit=settings.async_limit,
        prefetches=_numbers(by_queue, "prefetch"),
        slots=_numbers(by_queue, "concurrency"),
        limits=LimitsOfTypes(limits, registry),
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
            f"memory_mb of a worker type or a component is {limit_mb}, and a process that has loaded the "
            f"components has {at_rest_mb} MB already",
        )


def _by_queue(settings: Settings) -> dict[str, WorkerType]:
    return {
        worker_type.queue or name: worker_type
        for name, worker_type in settings.worker_types.items()
    }


def _limits_of(
    worker_type: WorkerType, declared: Mapping[str, StepLimits]
) -> TypeLimits:
    """Return the limits of a type: what is configured for a component counts, then what it declares, then the type."""
    usual = _limits(worker_type)
    own = {name: _limits(settings) for name, settings in worker_type.components.items()}
    of_versions = {
        name: own.get(name.partition("@")[0], NO_LIMITS).over(limits).over(usual)
        for name, limits in declared.items()
    }
    of_names = {name: limits.over(usual) for name, limits in own.items()}
    return TypeLimits(usual, {**of_names, **of_versions})


def _limits(settings: StepSettings) -> StepLimits:
    """Return limits as they are configured; 0 is none."""
    time_ms = round(settings.step_seconds * 1000)
    return StepLimits(time_ms, settings.memory_mb, settings.max_attempts)


def in_this_process(
    settings: Settings, queues: Sequence[str], threads: int, registry: Registry
) -> WorkSettings:
    """Return how threads of a program work: so many for each queue, without limits that only a process can hold."""
    work = work_settings(settings, queues, registry)
    if work.limits_memory:
        log.warning("memory limits are not held here: threads share their process")
    unheld = work.limits.without_memory()
    return replace(work, concurrency=threads, slots={}, limits=unheld)
