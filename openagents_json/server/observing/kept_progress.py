"""The progress of a store as it was looked at lately: probes come often, from many, and without a key."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Final

from openagents_json.engine.diagnosis.progress import ProgressCheck

KEPT_MS: Final = 2_000
"""So long counts what was looked at."""

Look = Callable[[], tuple[ProgressCheck, ...]]


class KeptProgress:
    """Looks at the progress of a store, once for all who ask at about the same time; safe for threads."""

    def __init__(self, look: Look, steady_ms: Callable[[], float]) -> None:
        self._look = look
        self._steady_ms = steady_ms
        self._lock = Lock()
        self._checks: tuple[ProgressCheck, ...] = ()
        self._until_ms = float("-inf")

    def checks(self) -> tuple[ProgressCheck, ...]:
        """Return the checks.

        Raises StoreUnavailable.
        """
        with self._lock:
            if self._steady_ms() >= self._until_ms:
                self._checks = self._look()
                self._until_ms = self._steady_ms() + KEPT_MS
            return self._checks
