"""What can be said of a worker type, and of a component that needs something else than the others of its type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from openagents_json.workflow.component_spec import LIMITS

SHORTEST_LEASE_MS: Final = 300
LONGEST_LEASE_MS: Final = 3_600_000
MOST_AT_ONCE: Final = 1000
"""Steps of a process, and processes of a type."""

WORKER_TYPES: Final = "worker_types"
"""The setting that all of this is."""

THREADS: Final = "threads"
PREFORK: Final = "prefork"


def _number(description: str, most: int, *, least: int = 0) -> Any:
    """Return a whole number that may be said, and is the least where it is not."""
    return Field(default=least, ge=least, le=most, description=description)


class StepSettings(BaseModel):
    """What a step may take; 0 is as much as it likes, of a component as much as its type says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    memory_mb: int = _number(
        "MB that the process of a step may have; the step that takes more fails, and its process ends",
        LIMITS["memory_mb"],
    )
    step_seconds: float = Field(
        default=0,
        ge=0,
        le=LIMITS["step_seconds"],
        description="how long an attempt may take, whatever its document says",
    )
    max_attempts: int = _number(
        "how many attempts a step has, whatever its document says",
        LIMITS["max_attempts"],
    )


class WorkerType(StepSettings):
    """How the processes of a worker type work; what is 0 or empty is as for all types."""

    queue: str = Field(
        default="",
        pattern=r"^[^|{},\s]*$",
        description="the queue that is served; without it, that of the type's name",
    )
    pool: Literal["threads", "prefork", "solo"] = Field(
        default=THREADS,
        description="in threads of one process, in processes of their own, or one by one",
    )
    concurrency: int = _number("how many steps a process runs at a time", MOST_AT_ONCE)
    prefetch: int = _number(
        "how many steps a slot takes at a time at most; 1 where none may wait behind another",
        MOST_AT_ONCE,
    )
    lease_ms: int = _number(
        "how long a process may be silent before its steps go to others",
        LONGEST_LEASE_MS,
    )
    min_processes: int = Field(
        default=1,
        ge=0,
        le=MOST_AT_ONCE,
        description="how many processes there are at least; 0 is none while no step waits",
    )
    max_processes: int = _number(
        "how many there are at most, when steps wait; 0 is as many as at least",
        MOST_AT_ONCE,
    )
    components: Mapping[str, StepSettings] = Field(
        default_factory=dict,
        description="the limits of some of its components, by name; each holds in the place of the type's",
    )

    @field_validator("lease_ms")
    @classmethod
    def _is_a_lease(cls, lease_ms: int) -> int:
        if 0 < lease_ms < SHORTEST_LEASE_MS:
            raise ValueError(f"a lease has {SHORTEST_LEASE_MS} ms at least")
        return lease_ms


NAMES: Final = tuple(name for name in WorkerType.model_fields if name != "components")
"""What is said of a worker type itself."""

OF_COMPONENTS: Final = tuple(StepSettings.model_fields)
"""What may be said of one component too."""
