"""Memory limits that hold: a process that runs one step at a time, and that ends with the step that takes too much.

Two things watch. The kernel refuses at once what would go far beyond the limit, so that one call cannot take all that
the machine has. A thread looks how much the process really has, and ends it when that is more than the step may have.
Either way the attempt has failed with `MemoryLimitExceeded`, and there is no other step in the process to be lost.

A step is not blamed for what others have left: a process that has kept much of its limit is replaced between two steps.
"""

from __future__ import annotations

import gc
import logging
import os
import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from msgspec import structs

from executor.attempts.jobs import Job
from executor.attempts.step_limits import MEGABYTE, LimitsOfTypes
from openagents_json.components.errors import MemoryLimitExceeded, describe_error
from openagents_json.workflow.core import commands as cmd

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.02
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_SIZES: Final = Path("/proc/self/statm")
_RESIDENT: Final = 1
_DATA: Final = 5

Execute = Callable[[Job], cmd.Outcome]


def can_measure() -> bool:
    """Tell whether a process can know here how much memory it has."""
    return _SIZES.exists()


def resident_bytes() -> int:
    """Return how much memory this process has."""
    return _pages(_RESIDENT) * _PAGE


def _pages(column: int) -> int:
    return int(_SIZES.read_text().split()[column])


class MemoryGuard:
    """Runs steps one at a time under the limits of their worker types.

    `end` is called once, on another thread, with the step that has taken too much and its outcome: it has to end the
    process. `replace` is called between two steps, when the process should be replaced by a new one.
    """

    def __init__(
        self,
        limits: LimitsOfTypes,
        end: Callable[[Job, cmd.Outcome], None],
        replace: Callable[[], None],
        resident: Callable[[], int] = resident_bytes,
    ) -> None:
        self._limits = limits
        self._end = end
        self._replace = replace
        self._resident = resident
        self._at_rest = resident()
        self._lock = threading.Lock()
        self._job: Job | None = None
        self._begun = threading.Event()
        self._thread: threading.Thread | None = None

    def run(self, execute: Execute, job: Job) -> cmd.Outcome:
        """Run a step; one that takes too much does not return, as its process ends."""
        limit = self._limits.of(job).memory_bytes
        if not limit:
            return execute(job)
        with self._watched(job), _refused_beyond(limit, self._resident()):
            outcome = execute(job)
        if _ran_out(outcome):
            exceeded = self._exceeded(job, "it asked for more")
            # What it has used until then has been spent.
            outcome = structs.replace(exceeded, usage=outcome.usage)
        self._look_back(limit)
        return outcome

    @contextmanager
    def _watched(self, job: Job) -> Iterator[None]:
        self._start()
        with self._lock:
            self._job = job
        self._begun.set()
        try:
            yield
        finally:
            # While the step is being ended, this thread waits here for good: its outcome must not come after that.
            with self._lock:
                self._job = None

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._loop, name="openagents-memory", daemon=True
            )
            self._thread.start()

    def _loop(self) -> None:
        pause = threading.Event()
        while True:
            self._begun.wait()
            with self._lock:
                job = self._job
                if job is None:
                    self._begun.clear()
                else:
                    self._look_safely(job)
            pause.wait(LOOK_SECONDS)

    def _look_safely(self, job: Job) -> None:
        # The step may have taken all that can be had, and then this thread is refused memory, too. It looks again soon:
        # without it, the step would be held by the bound of the kernel alone.
        with suppress(MemoryError):
            self._look(job)

    def _look(self, job: Job) -> None:
        used = self._resident()
        if used > self._limits.of(job).memory_bytes:
            had = f"its process had {used // MEGABYTE} MB"
            self._end(job, self._exceeded(job, had))

    def _exceeded(self, job: Job, what: str) -> cmd.Outcome:
        allowed_mb = self._limits.of(job).memory_mb
        error = MemoryLimitExceeded(job.lease.step, allowed_mb, what)
        return cmd.Failed(job.lease.step, job.lease.attempt, describe_error(error))

    def _look_back(self, limit: int) -> None:
        """Have the process replaced when what is left of a step could be counted against the next one."""
        enough = kept_at_most(limit, self._at_rest)
        if self._resident() <= enough:
            return
        gc.collect()
        if self._resident() > enough:
            self._replace()


def kept_at_most(limit: int, at_rest: int) -> int:
    """Return how much a process may have between two steps: half of what is free for steps has to be free."""
    return at_rest + max(0, limit - at_rest) // 2


def _ran_out(outcome: cmd.Outcome) -> bool:
    """Tell whether a component was refused memory; libraries have errors of their own for that, named alike."""
    if not isinstance(outcome, cmd.Failed):
        return False
    return str(outcome.error["type"]).endswith("MemoryError")


@contextmanager
def _refused_beyond(limit: int, used: int) -> Iterator[None]:
    """Have the kernel refuse, for the time of a block, what goes beyond a limit by more than a quarter and some MB.

    The bound is on what is asked for, of which not all is used: so it lies above the limit that the thread looks after.
    """
    before, most = resource.getrlimit(resource.RLIMIT_DATA)
    room = max(0, limit - used) + limit // 4 + 64 * MEGABYTE
    _bound_data((_pages(_DATA) * _PAGE + room, most))
    try:
        yield
    finally:
        _bound_data((before, most))


def _bound_data(bounds: tuple[Any, Any]) -> None:
    # Where the kernel does not let us, the thread that looks is all there is.
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, bounds)
