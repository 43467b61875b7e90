"""Work that others do for a component, such as a database: ended when its time is over, or its attempt should stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from openagents_json.components.context import CancelToken
from openagents_json.components.errors import (
    CancelledByEngine,
    ComponentError,
    RetryableError,
)

FIRST_PAUSE_SECONDS: Final = 0.05
LONGEST_PAUSE_SECONDS: Final = 1.0


class Guard:
    """Calls what stops the work until it has ended, and never after that."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._lock = threading.Lock()
        self._has_ended = threading.Event()
        self.reason = ""
        """Why the work was stopped, empty while it was not."""

    def stop(self, reason: str) -> None:
        """Stop the work, if it is still going on."""
        with self._lock:
            if self._has_ended.is_set() or self.reason:
                return
            self.reason = reason
        # Whoever cancels an attempt has others to cancel: the work is waited for by a thread of its own.
        threading.Thread(target=self._stop_until_ended, daemon=True).start()

    def _stop_until_ended(self) -> None:
        """Say it again and again: a database forgets a word to stop that came before its statement began."""
        pause = FIRST_PAUSE_SECONDS
        while self._say():
            self._has_ended.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _say(self) -> bool:
        # Under the lock: what comes after the block, such as the next query on a connection, must not be hit.
        with self._lock:
            if self._has_ended.is_set():
                return False
            self._stop()
            return True

    def end(self) -> None:
        """Say that the work has ended."""
        with self._lock:
            self._has_ended.set()


@contextmanager
def guarded(
    token: CancelToken, seconds: float, what: str, stop: Callable[[], None]
) -> Iterator[Guard]:
    """Give the block so many seconds; what it raises once it was stopped is told as what stopped it.

    Raises RetryableError and CancelledByEngine.
    """
    guard = Guard(stop)
    time_is_over = f"{what}: it took longer than its time (timeout_seconds)"
    timer = threading.Timer(seconds, guard.stop, [time_is_over])
    timer.daemon = True
    timer.start()
    token.on_cancel(guard.stop)
    try:
        yield guard
    except ComponentError:
        raise  # it says more than that the work was stopped
    except Exception:
        guard.end()
        if token.cancelled:
            raise CancelledByEngine(token.reason) from None
        if guard.reason:
            raise RetryableError(guard.reason) from None
        raise
    finally:
        guard.end()
        timer.cancel()
