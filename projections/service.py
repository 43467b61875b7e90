"""A thread of a worker process that keeps the views of its partitions up to date."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from eventstore.errors import EventStoreError
from projections.runner import Runner

log = logging.getLogger(__name__)

IDLE_SECONDS = 0.5
"""How long the views may stay behind when there is little to do."""


class ProjectionService:
    """Folds what has come in, again and again; `partitions` says which are this process's at the moment."""

    def __init__(self, runner: Runner, partitions: Callable[[], Sequence[int]]) -> None:
        self._runner, self._partitions = runner, partitions
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._loop, name="openagents-projections", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; what is not folded yet will be, by whoever comes next."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _loop(self) -> None:
        while not self._stop.wait(IDLE_SECONDS):
            try:
                while self._runner.advance(self._partitions()) and not self._stop.is_set():
                    pass
                self._runner.switch()
            except EventStoreError as error:
                log.warning("the views could not be brought up to date: %s", error)
            except Exception:  # views may fall behind; the runs of this process must not
                log.exception("the views met a defect of the engine")
