"""Looks after the instances of agents in a process: closes those that idle for too long, and says what there is."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from eventstore.errors import EventStoreError
from eventstore.redis.driver.outages import level_of

log = logging.getLogger(__name__)

REAP_SECONDS: Final = 1.0


class Agents(Protocol):
    """The instances of the agents of this process."""

    def pools(self) -> Mapping[str, object]:
        """Return the pools of instances, each by the name of an agent."""
        ...

    def reap(self) -> None:
        """Close what has been idle for too long."""
        ...

    def close(self) -> None:
        """Close what nobody uses."""
        ...

    async def close_on_loop(self) -> None:
        """Close what belongs to the running event loop."""
        ...

    def statistics(self) -> dict[str, dict[str, float]]:
        """Return what has happened to the instances, by the name of the agent."""
        ...


class InstanceService:
    """A thread of its own: what authors wrote to clean up may hang, and must not hold up a heartbeat."""

    def __init__(
        self, agents: Agents, say: Callable[[Mapping[str, Any]], None]
    ) -> None:
        self._agents = agents
        self._say = say
        self._told: Mapping[str, Any] = {}
        self._stop = threading.Event()

    def start(self) -> None:
        """Begin, if there is anything to look after."""
        if self._agents.pools():
            threading.Thread(
                target=self._loop, name="openagents-instances", daemon=True
            ).start()

    def stop(self) -> None:
        """End; nobody waits for a clean-up that hangs."""
        self._stop.set()

    def _loop(self) -> None:
        while not self._stop.wait(REAP_SECONDS):
            try:
                self.look()
            except EventStoreError as error:
                log.log(level_of(error), "instances could not be reported: %s", error)
            except Exception:
                log.exception("looking after instances met a defect of the engine")

    def look(self) -> None:
        """Close what has been idle for too long, and say what there is when calls have been made since."""
        self._agents.reap()
        statistics = self._agents.statistics()
        counted = {name: _without_age(row) for name, row in statistics.items()}
        if counted != self._told:
            self._say(statistics)
            self._told = counted


def _without_age(row: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in row.items() if name != "oldest_seconds"}
