"""How long recording waits for a store that is away or full: until it is fit again, or this process ends.

A worker has nothing better to do meanwhile. Whether an outcome still counts afterwards is for its fence to say.
"""

from __future__ import annotations

import threading

from eventstore.errors import StoreRefused, StoreUnavailable

AGAIN_SECONDS = 0.2


def passes(error: Exception) -> bool:
    """Tell whether an error is the store's, whatever it is asked: away, out of memory, a replica."""
    return isinstance(error, StoreUnavailable | StoreRefused)


class Patience:
    """Waits between tries; gives up at once when `closing` is set."""

    def __init__(
        self, closing: threading.Event, seconds: float = AGAIN_SECONDS
    ) -> None:
        self._closing = closing
        self._seconds = seconds

    def lasts(self) -> bool:
        """Wait a little; False when nobody should try again."""
        return not self._closing.wait(self._seconds)


def impatience() -> Patience:
    """Return the patience of those who may not wait: a heartbeat, and a process that ends."""
    over = threading.Event()
    over.set()
    return Patience(over)
