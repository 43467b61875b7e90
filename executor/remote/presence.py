"""Workers over HTTP among the live ones: who has asked for steps lately, or holds one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from eventstore.redis.coordination.members import Directory
from executor.remote.waiters import Waiter, WorkRequest

AGAIN_MS: Final = 3_000
"""How often it is said of each that it is alive."""

FORGOTTEN_MS: Final = 60_000
SAY_AGAIN_MS: Final = 3_600_000
"""How often it is said which components a hash stands for: the store forgets that in a day."""


class RemotePresence:
    """Says of workers over HTTP that they are alive, as processes say it of themselves; safe for threads."""

    def __init__(
        self,
        directory: Directory,
        steady_ms: Callable[[], float],
        common: Mapping[str, Any],
    ) -> None:
        """Say in the name of others; `common` is what each of them has of the process that speaks for it."""
        self._directory = directory
        self._steady_ms = steady_ms
        self._common = common
        self._lock = threading.Lock()
        self._infos: dict[str, dict[str, Any]] = {}
        self._beaten_ms: dict[str, float] = {}
        self._announced: dict[str, float] = {}

    def came(self, request: WorkRequest) -> bool:
        """Hear that a worker asks for steps; True when nobody has asked here with its components for long."""
        is_new = self._announce(request)
        with self._lock:
            before = self._infos.get(request.worker, {})
            info = {**self._common, **_info(request, before)}
            has_changed = info != before
            self._infos[request.worker] = info
        self._say([request.worker], at_once=has_changed)
        return is_new

    def seen(self, waiters: Sequence[Waiter]) -> None:
        """Hear who waits."""
        self._say([waiter.request.worker for waiter in waiters])

    def works(self, worker: str) -> None:
        """Hear that a worker holds a lease; of one that has never asked for steps here, nothing can be said."""
        self._say([worker])

    def _announce(self, request: WorkRequest) -> bool:
        components, now = request.components, self._steady_ms()
        having = components.fingerprint
        with self._lock:
            said_ms = self._announced.get(having, float("-inf"))
        if now - said_ms < SAY_AGAIN_MS:
            return False
        # First: who sees the worker asks for that.
        self._directory.put_components(having, components.runnable())
        with self._lock:
            self._announced = {
                other: other_ms
                for other, other_ms in self._announced.items()
                if now - other_ms < SAY_AGAIN_MS
            }
            self._announced[having] = now
        return True

    def _say(self, workers: Iterable[str], *, at_once: bool = False) -> None:
        now = self._steady_ms()
        with self._lock:
            due = {
                name: self._infos[name]
                for name in workers
                if name in self._infos and (at_once or self._is_due(name, now))
            }
            self._beaten_ms.update(dict.fromkeys(due, now))
            self._forget(now)
        self._directory.beat_remote(due)

    def _is_due(self, worker: str, now: float) -> bool:
        return now - self._beaten_ms.get(worker, float("-inf")) >= AGAIN_MS

    def _forget(self, now: float) -> None:
        old = [
            name
            for name, beaten_ms in self._beaten_ms.items()
            if now - beaten_ms > FORGOTTEN_MS
        ]
        for name in old:
            del self._beaten_ms[name]
            self._infos.pop(name, None)


def _info(request: WorkRequest, before: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is shown of a worker; one that asks for steps of several types serves all of them."""
    leases = {**before.get("lease_ms", {}), request.worker_type: request.lease_ms}
    return {
        "queues": sorted(leases),
        "concurrency": request.at_most,
        "lease_ms": leases,
        "components": len(request.components.runnable()),
        "having": request.components.fingerprint,
        "over": "http",
    }
