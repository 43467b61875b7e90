"""What the composition root puts together, and hands from one of its modules to another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventstore.redis.driver.connection import Connection
from eventstore.redis.driver.forking import ForkSafeLock
from executor.encryption import Masters

if TYPE_CHECKING:  # whoever only reads views needs none of these, and they take their time
    from executor.coordination.concurrency import Gatekeeper
    from executor.coordination.schedules import Timetable
    from executor.coordination.starts import Starter
    from executor.runs.codec import Limits
    from executor.runs.handler import Handler
    from executor.runs.keyring import Keyring
    from executor.runs.repository import Sessions
    from executor.wakeup import Doorbell, Ringer
    from openagents_json.catalog.definitions import Definitions
    from openagents_json.catalog.workflows import Workflows


@dataclass(frozen=True, slots=True)
class Deciding:
    """The parts that fold runs, decide and commit."""

    sessions: Sessions
    keyring: Keyring
    definitions: Definitions
    handler: Handler
    ringer: Ringer
    workflows: Workflows
    gatekeeper: Gatekeeper
    starter: Starter
    timetable: Timetable


@dataclass(frozen=True, slots=True)
class Given:
    """What a program says about how runs are decided; None stands for the defaults."""

    connection: Connection
    masters: Masters
    doorbell: Doorbell | None = None
    limits: Limits | None = None


class Late:
    """Parts that are built, and imported, when one of them is asked for first; safe for threads."""

    def __init__(self, build: Callable[[], Deciding]) -> None:
        self._build = build
        self._built: Deciding | None = None
        self._lock = ForkSafeLock()

    def get(self) -> Deciding:
        """Give the parts."""
        with self._lock:  # two of them would have two caches, and a relay that listens at only one
            if self._built is None:
                self._built = self._build()
            return self._built
