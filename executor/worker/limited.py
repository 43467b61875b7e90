"""Steps of a process that holds memory limits: one at a time, `async def` or not, and one too many ends the process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace

from msgspec import structs

from executor.attempts.execution import Execution
from executor.attempts.jobs import Finished, Job
from executor.attempts.log_fields import named
from executor.worker.memory import MemoryGuard
from executor.worker.runtime import Runtime
from executor.worker.shared_loop import StepLoop
from openagents_json.workflow.core import commands as cmd

log = logging.getLogger(__name__)

GIVEN_UP = "the process of another step ends"


class LimitedSteps:
    """Runs the steps of this process; `end` has to end it at once, and `retiring` is set when it should be replaced."""

    def __init__(
        self,
        runtime: Runtime,
        execution: Execution,
        name: str,
        end: Callable[[], None],
        stopping: threading.Event,
    ) -> None:
        self._runtime = runtime
        self._name = name
        self._end = end
        self._stopping = stopping
        self._loop = StepLoop()
        # On one loop: what an agent's instance opens on it is there for its next step.
        self._execution = replace(execution, coroutines=self._loop.run)
        self._guard = MemoryGuard(runtime.settings.limits, self._give_up, self._retire)
        self.retiring = False

    def run(self, job: Job) -> cmd.Outcome:
        """Run a step."""
        # What the guard makes of an outcome is one of this attempt too, which may be the last.
        return self._execution.capped(job, self._guard.run(self._execution.run, job))

    def close(self) -> None:
        """Close the instances of agents that are bound to the loop, and the loop."""
        self._loop.close(self._execution.registry.agents.close_on_loop)

    def _give_up(self, job: Job, outcome: cmd.Outcome) -> None:
        """Record what became of a step, and end the process; if it cannot be recorded, the lease runs out."""
        try:
            self._record_end(job, self._execution.capped(job, outcome))
        finally:
            self._end()

    def _record_end(self, job: Job, outcome: cmd.Outcome) -> None:
        log.error(
            "step %s of run %s has too much memory: its process is ended",
            job.lease.step,
            job.lease.run,
            extra=named(job.lease),
        )
        waiting = [other for other in self._runtime.keeper.jobs() if other != job]
        released = [Finished(other, self._given_up(other)) for other in waiting]
        used = self._runtime.keeper.usage(job.lease)
        ended = Finished(job, structs.replace(outcome, usage=used))
        self._runtime.recorder(self._name, patient=False).record([ended, *released])

    def _given_up(self, job: Job) -> cmd.Outcome:
        """Return the outcome of a step that ends with its process; what it has used until now has been spent."""
        lease, used = job.lease, self._runtime.keeper.usage(job.lease)
        return cmd.Released(lease.step, lease.attempt, GIVEN_UP, used)

    def _retire(self) -> None:
        """Take no more steps here: what this process has kept could be counted against the next one."""
        self.retiring = True
        self._stopping.set()
