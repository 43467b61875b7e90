"""Whether anybody works on the runs of a wave: who waits for what nobody does is told before all the time is over."""

from __future__ import annotations

from typing import Final

from openagents_json.engine.errors import NobodyWorks
from openagents_json.engine.services import Services

LOOK_SECONDS: Final = 1.0
"""How often it is looked whether somebody works."""


class IdleWatch:
    """Looks whether somebody works on the runs of a wave, and gives up when nobody has for `limit_seconds`."""

    def __init__(
        self, services: Services, heal: str, wave: int, limit_seconds: float | None
    ) -> None:
        """Without a limit, it is waited for workers as long as for runs."""
        self._services = services
        self._heal = heal
        self._wave = wave
        self._limit_seconds = limit_seconds
        self._idle_since_ms: float | None = None

    def slice_of(self, seconds: float) -> float:
        """Return how much of a time is waited before the next look."""
        if self._limit_seconds is None:
            return seconds
        return min(seconds, LOOK_SECONDS)

    def look(self, run: str) -> None:
        """Look at a run that has not ended.

        Raises NobodyWorks.
        """
        limit_seconds = self._limit_seconds
        if limit_seconds is None:
            return
        now_ms = self._services.clock.steady_ms()
        because = self._lack(run)
        if not because:
            self._idle_since_ms = None
            return
        if self._idle_since_ms is None:
            self._idle_since_ms = now_ms
        if now_ms - self._idle_since_ms >= limit_seconds * 1000:
            raise NobodyWorks(
                heal=self._heal,
                wave=self._wave,
                run=run,
                seconds=limit_seconds,
                because=because,
            )

    def _lack(self, run: str) -> str:
        """Return who is missing for a run to go on, empty where somebody may be at it."""
        if not self._services.workers():
            return "no worker is alive in this store"
        lacks = self._services.lacking(run)
        return "; ".join(f"step {step} {why}" for step, why in lacks.items())
