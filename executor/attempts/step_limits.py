"""What a step may take of the process that runs it, by worker type and by component: time, memory, attempts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from executor.attempts.jobs import Job
from openagents_json.workflow.component_spec import (
    LIMITS,
    Catalog,
    ComponentSpec,
    is_limit,
)

ASYNC = ".async"
MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class StepLimits:
    """Limits of a step; 0 is none. `attempts` counts from when the step was scheduled, lost ones too."""

    time_ms: int = 0
    memory_mb: int = 0
    attempts: int = 0

    @property
    def memory_bytes(self) -> int:
        """Return how much memory the process of a step may have, 0 for as much as there is."""
        return self.memory_mb * MEGABYTE

    def over(self, usual: StepLimits) -> StepLimits:
        """Return these limits, and those of `usual` where they say nothing."""
        return StepLimits(
            self.time_ms or usual.time_ms,
            self.memory_mb or usual.memory_mb,
            self.attempts or usual.attempts,
        )


NO_LIMITS = StepLimits()


def full_name(spec: ComponentSpec) -> str:
    """Return what a component and its version are called together."""
    return f"{spec.name}@{spec.version}"


def declared_limits(specs: Iterable[ComponentSpec]) -> dict[str, StepLimits]:
    """Return the limits that components declare among their resources, by full name, of those that do."""
    limits = {full_name(spec): _declared(spec) for spec in specs if spec.resources}
    return {name: own for name, own in limits.items() if own != NO_LIMITS}


def _declared(spec: ComponentSpec) -> StepLimits:
    # What is no number there has been published by somebody else, and is passed over as any other resource is.
    given = {name: spec.resources.get(name) for name in LIMITS}
    numbers: dict[str, Any] = {
        name: value for name, value in given.items() if is_limit(name, value)
    }
    seconds = numbers.get("step_seconds", 0)
    memory_mb, attempts = numbers.get("memory_mb", 0), numbers.get("max_attempts", 0)
    return StepLimits(round(seconds * 1000), memory_mb, attempts)


@dataclass(frozen=True, slots=True)
class TypeLimits:
    """Limits of the steps of a worker type, and of those of its components that have others.

    Those are by name, and by full name where each version may have its own.
    """

    usual: StepLimits = NO_LIMITS
    components: Mapping[str, StepLimits] = field(default_factory=dict)

    def __iter__(self) -> Iterator[StepLimits]:
        yield self.usual
        yield from self.components.values()

    def without_memory(self) -> TypeLimits:
        """Return the limits that hold where nothing can be done about memory."""
        others = {
            name: replace(limits, memory_mb=0)
            for name, limits in self.components.items()
        }
        return TypeLimits(replace(self.usual, memory_mb=0), others)

    def of(self, reference: str, catalog: Catalog | None = None) -> StepLimits:
        """Return the limits of a component, as a document names it; which version that means, a catalog says."""
        if not self.components:
            return self.usual
        spec = None if catalog is None else catalog.find(reference)
        if spec is not None and full_name(spec) in self.components:
            return self.components[full_name(spec)]
        name = reference.partition("@")[0]
        return self.components.get(name, self.usual)


NO_TYPE_LIMITS = TypeLimits()


@dataclass(frozen=True, slots=True)
class LimitsOfTypes:
    """The limits that a process holds, by worker type; `catalog` has the components that it runs."""

    types: Mapping[str, TypeLimits] = field(default_factory=dict)
    catalog: Catalog | None = None

    def of(self, job: Job) -> StepLimits:
        """Return the limits of an attempt."""
        if not self.types:
            return NO_LIMITS
        worker_type = job.step.queue.removesuffix(ASYNC)
        limits = self.types.get(worker_type, NO_TYPE_LIMITS)
        return limits.of(job.bound, self.catalog)

    def without_memory(self) -> LimitsOfTypes:
        """Return the limits that hold where nothing can be done about memory."""
        types = {name: limits.without_memory() for name, limits in self.types.items()}
        return LimitsOfTypes(types, self.catalog)

    def attempt_ms(self, job: Job) -> int:
        """Return how long an attempt may take, 0 for as long as it likes: what is shortest of its step's and ours."""
        own, ours = job.step.timeouts.start_to_close_ms, self.of(job).time_ms
        return min(filter(None, (own, ours)), default=0)

    def attempts_left(self, job: Job) -> int | None:
        """Return how many attempts may follow this one, below 0 if it is one too many; None for any number."""
        most = self.of(job).attempts
        return most - job.tried - 1 if most else None

    @property
    def smallest_memory_mb(self) -> int:
        """Return the smallest memory limit, 0 where there is none."""
        limits = [limit.memory_mb for x in self.types.values() for limit in x]
        return min(filter(None, limits), default=0)


UNLIMITED = LimitsOfTypes()


def limits_of_components(
    queues: Sequence[str], catalog: Catalog, specs: Iterable[ComponentSpec]
) -> LimitsOfTypes:
    """Return the limits that components declare, where no worker type says anything."""
    declared = declared_limits(specs)
    if not declared:
        return UNLIMITED
    return LimitsOfTypes(
        {queue: TypeLimits(NO_LIMITS, declared) for queue in queues}, catalog
    )
