"""A thread that looks after the drains of a process: a step that runs long must not hold up what waits behind it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from eventstore.redis.driver.outages import level_of
from openagents_json.errors import OpenAgentsError

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.02


class Releasable(Protocol):
    """Something that can free what waits behind a long step."""

    def let_go(self) -> bool:
        """Free it, if a step is running long; False when nothing waits behind a step."""
        ...


class Watchdog:
    """Looks at the registered drains while something waits in one of them; sleeps otherwise."""

    def __init__(self) -> None:
        self._watched: set[Releasable] = set()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    @contextmanager
    def watching(self, drain: Releasable) -> Iterator[None]:
        """Look after a drain for the time of a block."""
        with self._lock:
            self._watched.add(drain)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._loop, name="openagents-watchdog", daemon=True
                )
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._watched.discard(drain)

    def look(self) -> None:
        """Begin to look: in some drain, steps wait behind another one. To be said after they are there."""
        self._wake.set()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._wake.wait()
            self._wake.clear()  # first: what comes to wait from here on is looked at in the next round
            with self._lock:
                drains = list(self._watched)
            for drain in drains:
                try:
                    if drain.let_go():
                        self._wake.set()
                except OpenAgentsError as error:
                    level = level_of(error)
                    log.log(level, "a batch could not be released: %s", error)
                except Exception:
                    log.exception("the watchdog met a defect of the engine")
            self._stop.wait(LOOK_SECONDS)
