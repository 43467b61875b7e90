"""What a step may take of the process that runs it, by worker type and by component: time, memory, attempts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from executor.attempts.jobs import Job

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


NO_LIMITS = StepLimits()


@dataclass(frozen=True, slots=True)
class TypeLimits:
    """Limits of the steps of a worker type, and of those of its components that have others, by name."""

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

    def of(self, reference: str) -> StepLimits:
        """Return the limits of a component, as a document names it."""
        if not self.components:
            return self.usual
        name = reference.partition("@")[0]
        return self.components.get(name, self.usual)


NO_TYPE_LIMITS = TypeLimits()


@dataclass(frozen=True, slots=True)
class LimitsOfTypes:
    """The limits that a process holds, by worker type."""

    types: Mapping[str, TypeLimits] = field(default_factory=dict)

    def of(self, job: Job) -> StepLimits:
        """Return the limits of an attempt."""
        if not self.types:
            return NO_LIMITS
        worker_type = job.step.queue.removesuffix(ASYNC)
        return self.types.get(worker_type, NO_TYPE_LIMITS).of(job.component)

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
