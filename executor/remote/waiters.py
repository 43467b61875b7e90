"""Who asks for steps over HTTP, and waits until there are some: no thread is held for it."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass

from eventstore.run_model import Claimed
from executor.remote.served import ServedComponents


@dataclass(frozen=True, slots=True)
class WorkRequest:
    """Up to `at_most` steps of a worker type, for who has these components; the same ones under its `id`."""

    id: str
    worker: str
    worker_type: str
    at_most: int
    lease_ms: int
    components: ServedComponents


@dataclass(frozen=True, slots=True)
class TakenSteps:
    """Steps that were claimed for a request, of one queue in one partition."""

    queue: str
    partition: int
    claimed: tuple[Claimed, ...]


class Waiter:
    """A request that waits. Whoever claims for it holds its lock: once it is closed, nothing is claimed any more."""

    def __init__(self, request: WorkRequest) -> None:
        self.request = request
        self.lock = threading.Lock()
        self.taken: Future[TakenSteps] = Future()
        self._is_open = True

    @property
    def is_open(self) -> bool:
        """Tell whether it still waits; certain to whoever holds the lock."""
        return self._is_open

    def take(self, taken: TakenSteps) -> None:
        """End the wait with what was claimed; the lock is held."""
        self._is_open = False
        self.taken.set_result(taken)

    def fail(self, error: Exception) -> None:
        """End the wait with what went wrong."""
        with self.lock:
            if self._is_open:
                self._is_open = False
                self.taken.set_exception(error)

    def close(self) -> TakenSteps | None:
        """Wait no more, and return what was claimed before that: somebody has to hear of it.

        Raises what kept anything from being claimed.
        """
        with self.lock:
            self._is_open = False
        # What was claimed was told under the lock, so by now it is there.
        return self.taken.result() if self.taken.done() else None
