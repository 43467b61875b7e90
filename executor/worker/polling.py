"""Looking for work without a bell: a broker that is wiped, hangs or is gone costs time, and nothing else.

Doorbells start the drains of a worker. When none has come for a queue for some seconds, this looks whether the store
has hints for it that nobody takes, and drains on a thread of its own. It is one short round trip every few seconds, and
never more drains than the worker has slots.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from eventstore.redis.driver.outages import level_of
from executor.clock import Clock
from openagents_json.errors import OpenAgentsError

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
SILENT_MS = 2000.0
"""How long a bell must not have been heard before this looks by itself."""


class WorkPoller:
    """Looks after the queues of one worker; `slots` is how many drains may be at work at a time."""

    def __init__(
        self,
        waiting: Callable[[Sequence[str]], Mapping[str, int]],
        drain: Callable[[str], object],
        queues: Sequence[str],
        slots: int,
        clock: Clock,
        stopping: threading.Event,
    ) -> None:
        self._waiting = waiting
        self._drain = drain
        self._clock = clock
        self._stopping = stopping
        self._slots = threading.Semaphore(slots)
        self._heard = dict.fromkeys(queues, clock.steady_ms())

    def start(self) -> None:
        """Begin; it ends with its worker."""
        threading.Thread(
            target=self._loop, name="openagents-lookout", daemon=True
        ).start()

    @contextmanager
    def heard(self, queue: str) -> Iterator[None]:
        """Have a place for the time of a drain that a bell started."""
        self._heard[queue] = self._clock.steady_ms()
        with self._slots:
            yield
        self._heard[queue] = self._clock.steady_ms()

    def _loop(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                self.look()
            except OpenAgentsError as error:
                level = level_of(error)
                log.log(level, "nobody could look whether there is work: %s", error)
            except Exception:
                # Without this thread, a broker that is gone would stop the worker.
                log.exception("looking for work met a defect of the engine")

    def look(self) -> None:
        """Start one drain for each queue that was not rung for and has work that nobody takes."""
        now = self._clock.steady_ms()
        silent = [
            queue for queue, heard in self._heard.items() if now - heard >= SILENT_MS
        ]
        waiting = self._waiting(silent) if silent else {}
        for queue in silent:
            if not waiting[queue]:
                self._heard[queue] = now
            elif self._slots.acquire(blocking=False):
                thread = threading.Thread(
                    target=self._work,
                    args=(queue,),
                    name=f"openagents-look-{queue}",
                    daemon=True,
                )
                thread.start()

    def _work(self, queue: str) -> None:
        try:
            self._drain(queue)
        finally:
            self._slots.release()
