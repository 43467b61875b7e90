"""What the composition root puts together, and hands from one of its modules to another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Generic, TypeVar

from eventstore.redis.driver.connection import Connection
from eventstore.redis.driver.forking import ForkSafeLock
from executor.clock import Clock, SystemClock
from executor.encryption import MasterKeys

if (
    TYPE_CHECKING
):  # whoever only reads views needs none of these, and they take their time
    from executor.coordination.business_keys import KeyedStarts
    from executor.coordination.concurrency import ConcurrencyLimiter
    from executor.coordination.schedules import ScheduleService
    from executor.coordination.starts import RunStarter
    from executor.runs.codec import Limits
    from executor.runs.handler import Handler
    from executor.runs.keyring import Keyring
    from executor.runs.repository import SessionCache
    from executor.wakeup import Doorbell, Waker
    from openagents_json.catalog.definitions import Definitions
    from openagents_json.catalog.registered import RegisteredComponents
    from openagents_json.catalog.workflows import Workflows


@dataclass(frozen=True, slots=True)
class DecisionParts:
    """The parts that fold runs, decide and commit."""

    sessions: SessionCache
    keyring: Keyring
    definitions: Definitions
    handler: Handler
    ringer: Waker
    workflows: Workflows
    registered: RegisteredComponents
    gatekeeper: ConcurrencyLimiter
    starter: RunStarter
    keyed_starts: KeyedStarts
    timetable: ScheduleService


@dataclass(frozen=True, slots=True)
class DecisionSettings:
    """What a program says about how runs are decided; None stands for the defaults."""

    connection: Connection
    masters: MasterKeys
    doorbell: Doorbell | None = None
    limits: Limits | None = None
    clock: Clock = field(default_factory=SystemClock)


@dataclass(frozen=True, slots=True)
class Tenure:
    """How the engine itself holds leases: for how long, how long it waits for one, and whether it renews them.

    It waits longer than a lease lasts: for who was killed with one, and not for who is at work.
    """

    lease_seconds: float = 5.0
    patience_seconds: float = 8.0
    renews: bool = True

    def waiting(self, seconds: float) -> Tenure:
        """Return the same for who waits otherwise."""
        return replace(self, patience_seconds=seconds)


Built = TypeVar("Built")


class LazyParts(Generic[Built]):
    """Parts that are built, and imported, when one of them is asked for first; safe for threads."""

    def __init__(self, build: Callable[[], Built]) -> None:
        self._build = build
        self._built: Built | None = None
        self._lock = ForkSafeLock()

    def get(self) -> Built:
        """Return the parts."""
        with (
            self._lock
        ):  # two of them would have two caches, and a relay that listens at only one
            if self._built is None:
                self._built = self._build()
            return self._built

    def taken(self) -> Built | None:
        """Return the parts if they were built, and forget them, as somebody closes them."""
        with self._lock:
            built, self._built = self._built, None
        return built
