"""What the composition root puts together, and hands from one of its modules to another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventstore.redis.driver.connection import Connection
from eventstore.redis.driver.forking import ForkSafeLock
from executor.encryption import MasterKeys

if (
    TYPE_CHECKING
):  # whoever only reads views needs none of these, and they take their time
    from executor.coordination.concurrency import ConcurrencyLimiter
    from executor.coordination.schedules import ScheduleService
    from executor.coordination.starts import RunStarter
    from executor.runs.codec import Limits
    from executor.runs.handler import Handler
    from executor.runs.keyring import Keyring
    from executor.runs.repository import SessionCache
    from executor.wakeup import Doorbell, Waker
    from openagents_json.catalog.definitions import Definitions
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
    gatekeeper: ConcurrencyLimiter
    starter: RunStarter
    timetable: ScheduleService


@dataclass(frozen=True, slots=True)
class DecisionSettings:
    """What a program says about how runs are decided; None stands for the defaults."""

    connection: Connection
    masters: MasterKeys
    doorbell: Doorbell | None = None
    limits: Limits | None = None


class LazyParts:
    """Parts that are built, and imported, when one of them is asked for first; safe for threads."""

    def __init__(self, build: Callable[[], DecisionParts]) -> None:
        self._build = build
        self._built: DecisionParts | None = None
        self._lock = ForkSafeLock()

    def get(self) -> DecisionParts:
        """Return the parts."""
        with (
            self._lock
        ):  # two of them would have two caches, and a relay that listens at only one
            if self._built is None:
                self._built = self._build()
            return self._built
