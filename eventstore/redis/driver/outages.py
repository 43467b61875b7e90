"""What the log of a process says of something that is away for a while: that it went, and when it is back, how long."""

from __future__ import annotations

import logging
from collections.abc import Callable

from eventstore.errors import NotReplicated, StoreRefused, StoreUnavailable


def level_of(error: Exception) -> int:
    """Return how loud a line about an error is that a background thread met.

    That the store is away, or takes nothing, is said once by whoever watches for it: all others notice it too, again
    and again, and would flood the log. Replicas are missed by writers alone, so those say it themselves.
    """
    is_outage = isinstance(error, StoreUnavailable | StoreRefused)
    if is_outage and not isinstance(error, NotReplicated):
        return logging.DEBUG
    return logging.WARNING


class Outage:
    """Two lines for each time that something is away, however often it is tried meanwhile; for one thread."""

    def __init__(
        self,
        log: logging.Logger,
        steady_ms: Callable[[], float],
        level: int = logging.WARNING,
    ) -> None:
        self._log = log
        self._steady_ms = steady_ms
        self._level = level
        self._since_ms: float | None = None

    @property
    def lasts(self) -> bool:
        """Tell whether it is away."""
        return self._since_ms is not None

    def begin(self, message: str, *details: object) -> None:
        """Say that it is away, if that is news."""
        if self._since_ms is None:
            self._since_ms = self._steady_ms()
            self._log.log(self._level, message, *details)
        else:
            self._log.debug(message, *details)

    def end(self, subject: str) -> None:
        """Say that it is back, if it was away."""
        since_ms = self._since_ms
        self._since_ms = None
        if since_ms is not None:
            seconds = (self._steady_ms() - since_ms) / 1000
            self._log.log(self._level, "%s again, after %.1f s", subject, seconds)
