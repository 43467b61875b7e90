"""How many processes a worker type should have: more while steps wait for a slot, fewer when none has for a while."""

from __future__ import annotations

from typing import Final

LOOKS: Final = 2
"""So many looks in a row have to see steps that wait: at most moments, some step is on its way to a slot."""

IDLE_MS: Final = 30_000.0
"""How long no step must have waited before there is one process fewer."""


class Scaling:
    """Decides for one worker type, between two bounds; it is told at each look how many steps wait."""

    def __init__(self, at_least: int, at_most: int, now_ms: float) -> None:
        self._at_least = at_least
        self._at_most = at_most
        self._looks = 0
        self._waited_ms = now_ms

    def next_count(self, count: int, waiting: int, now_ms: float) -> int:
        """Return how many processes there should be where there are `count`: one more, one fewer, or as many."""
        self._looks = self._looks + 1 if waiting else 0
        if waiting:
            self._waited_ms = now_ms
        if self._looks >= LOOKS:
            self._looks = 0
            return self._bounded(count + 1)
        if now_ms - self._waited_ms >= IDLE_MS:
            self._waited_ms = now_ms
            return self._bounded(count - 1)
        return self._bounded(count)

    def _bounded(self, count: int) -> int:
        return min(max(count, self._at_least), self._at_most)
