"""A thread of a worker process that keeps the views of its partitions up to date."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from eventstore.errors import LockTaken
from eventstore.redis.driver.outages import level_of
from openagents_json.errors import OpenAgentsError
from projections.reader import Rebuilding
from projections.runner import Runner

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""How often somebody looks whether the views are behind."""

QUIET_MS = 1000.0
"""How long there must have been no steps to run before the views are brought up to date at leisure."""

PARTITIONS = 4
"""How many partitions are folded at a time, one while there are steps to run."""

BUSY_PAUSE = 3
"""So many times as long as it has folded it pauses while there are steps to run."""

QUIET_PAUSE = 1
"""The same when there are none: a run that is started just then finds half of a core free."""

BUSY_SECONDS = 15.0
"""How long they may stay behind while this process has steps to run; whoever asks brings them up to date itself."""


class ProjectionService:
    """Folds what has come in, again and again, when there are no steps to run, or else a little at a time.

    `partitions` says which are this process's at the moment, `quiet_ms` how long it has had no steps to run, and
    `rebuilding` gives the views to who alone may let readers use one that was built anew.
    """

    def __init__(
        self,
        runner: Runner,
        partitions: Callable[[], Sequence[int]],
        quiet_ms: Callable[[], float],
        steady_ms: Callable[[], float],
        rebuilding: Rebuilding,
    ) -> None:
        self._runner = runner
        self._rebuilding = rebuilding
        self._partitions = partitions
        self._quiet_ms = quiet_ms
        self._steady_ms = steady_ms
        self._latest = steady_ms()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(
            target=self._loop, name="openagents-projections", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End; what is not folded yet will be, by whoever comes next."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _loop(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            try:
                self.look()
            except OpenAgentsError as error:
                level = level_of(error)
                log.log(level, "the views could not be brought up to date: %s", error)
            except Exception:
                # Views may fall behind; the runs of this process must not.
                log.exception("the views met a defect of the engine")

    def look(self) -> None:
        """Bring the views up to date if it is quiet, or if they have been behind for too long."""
        overdue = self._steady_ms() >= self._latest + 1000 * BUSY_SECONDS
        if self._busy() and not overdue:
            return
        try:
            done = self._pass(overdue)
        except Exception:
            self._latest = self._steady_ms()
            raise
        if done:
            self._latest = self._steady_ms()

    def _busy(self) -> bool:
        return self._quiet_ms() < QUIET_MS

    def _pass(self, overdue: bool) -> bool:
        """Bring the views up to date, a few partitions at a time; False when it gave way to steps.

        Threads share one interpreter, and all processes one server: what is folded at leisure is left as soon as there
        are steps to run. What is overdue goes on beside them, in a quarter of the time, and no long piece of it.
        """
        targets = self._runner.targets()
        todo = self._runner.behind(self._partitions(), targets)
        while todo:
            begun = self._steady_ms()
            busy = self._busy()
            if busy and not overdue:
                return False
            size = 1 if busy else PARTITIONS
            some = todo[:size]
            todo = todo[size:]
            if self._runner.advance(some, targets):
                todo += some
            pause = BUSY_PAUSE if busy else QUIET_PAUSE
            took_seconds = (self._steady_ms() - begun) / 1000
            if self._stop.wait(pause * took_seconds):
                return False
        self._switch()
        return True

    def _switch(self) -> None:
        """Let readers use what was built anew, if nobody else does so just now."""
        for projection in self._runner.built():
            # Who has begun to build it on its own thread lets readers over itself.
            with suppress(LockTaken), self._rebuilding(projection.id) as store:
                self._runner.writing_to(store).switch(projection)
