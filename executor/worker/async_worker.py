"""The lane of `async def` components: one event loop a process, steps claimed in bulk, no pool slot held.

Three parties: the loop runs the components; the claimer thread fetches work while there is room; the recorder thread
puts outcomes on the log, many a pipeline, and takes along what their runs schedule next.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Sequence
from functools import partial

from eventstore.redis.driver.outages import level_of
from eventstore.run_model import ClaimReply, Lease
from executor.attempts.execution import STOPPING, Execution
from executor.attempts.jobs import Finished, Job, unbegun
from executor.attempts.log_fields import named
from executor.attempts.outcome_commits import NextClaim
from executor.worker.runtime import Runtime
from executor.worker.shared_loop import SharedLoop, close_on, run_until_ended
from openagents_json.components.errors import describe_error
from openagents_json.errors import OpenAgentsError
from openagents_json.workflow.core import commands as cmd

log = logging.getLogger(__name__)

LINGER_MS = 1000
FLUSH_AT_MOST = 256

LOOK_SECONDS = 0.5
"""How soon a lane that was told to take nothing looks whether it may."""


class AsyncLane:
    """Runs the asynchronous steps of one queue, at most `limit` at a time."""

    def __init__(
        self,
        runtime: Runtime,
        execution: Execution,
        queue_name: str,
        name: str,
        limit: int,
    ) -> None:
        self._runtime = runtime
        self._execution = execution
        self._queue = queue_name
        self._name = name
        self._limit = limit
        self._recorder = runtime.recorder(name)
        self._finished: queue.SimpleQueue[Finished | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._room = threading.Condition()
        self._running = 0
        self._loop = SharedLoop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._jobs: dict[Lease, Job] = {}
        self._threads = [
            threading.Thread(
                target=run_until_ended,
                args=(self._loop, queue_name),
                name=f"openagents-loop-{queue_name}",
                daemon=True,
            ),
            threading.Thread(
                target=self._claim_loop,
                name=f"openagents-claim-{queue_name}",
                daemon=True,
            ),
            threading.Thread(
                target=self._record_loop,
                name=f"openagents-record-{queue_name}",
                daemon=True,
            ),
        ]

    @property
    def place(self) -> tuple[str, str]:
        """Return the queue that it serves and its name there."""
        return self._queue, self._name

    @property
    def _limit_now(self) -> int:
        """Return how many steps may run at a time: its own limit, or what it was told where that is less."""
        told = self._runtime.orders.current.limit_of(self._queue)
        return self._limit if told is None else min(told, self._limit)

    @property
    def _free(self) -> int:
        """Return how many more steps may begin now."""
        return self._limit_now - self._running

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Take nothing more."""
        self._stop.set()
        with self._room:
            self._room.notify_all()

    def stop(self, grace_seconds: float = 5.0) -> None:
        """End: tell what runs to stop, and give it back."""
        self.close()
        self._threads[1].join(
            0.05
        )  # it may be listening, and will find the door closed
        self._runtime.keeper.tell(list(self._jobs.values()), STOPPING)
        with self._room:
            self._room.wait_for(lambda: self._running == 0, grace_seconds)
        self._finished.put(None)
        self._threads[2].join()
        close_on(self._loop, self._execution.registry.agents.close_on_loop)
        self._loop.call_soon_threadsafe(self._loop.end)
        self._threads[0].join()
        self._loop.dispose()

    # -- claiming ----------------------------------------------------------------------------------------

    def _claim_loop(self) -> None:
        while not self._stop.is_set():
            with self._room:
                self._room.wait_for(
                    lambda: self._free > 0 or self._stop.is_set(), LOOK_SECONDS
                )
            if self._free <= 0:  # full still, or told to take nothing
                continue
            try:
                self._claim_some()
            except Exception as error:
                if self._stop.is_set():
                    return
                if isinstance(error, OpenAgentsError):
                    log.log(
                        level_of(error),
                        "no steps could be claimed for %s: %s",
                        self._queue,
                        error,
                    )
                else:  # a defect met in one run must not end the work on all others
                    log.exception(
                        "claiming for %s met a defect of the engine", self._queue
                    )
                self._stop.wait(1.0)

    def _claim_some(self) -> None:
        bell = self._runtime.ringer.bell
        partitions = bell.take(self._queue, self._name, LINGER_MS + 200, 16)
        if not partitions:
            partitions = self._listen()
        while partitions and not self._stop.is_set():
            room = self._free
            if room <= 0:
                self._runtime.ringer.hand_over(self._queue, self._name, partitions)
                return
            partitions = self._claim_in(partitions, room)

    def _listen(self) -> list[int]:
        """Sleep until there is work, and begin what is claimed with the wake-up; gives where to look for more."""
        # It counts as awake by now, and is told to stop before it is taken down: it takes nothing that is given back.
        if self._stop.is_set():
            return []
        room = max(1, min(200, self._free))
        heard = self._runtime.listen(self._queue, room, self._name, LINGER_MS)
        partitions = [] if heard.partition is None else [heard.partition]
        if heard.reply is not None:
            partitions += self._begin([heard.reply])
        return partitions

    def _claim_in(self, partitions: Sequence[int], room: int) -> list[int]:
        taken = partitions[:room]
        each = min(200, max(1, room // len(taken)))
        replies = self._runtime.claim(self._queue, taken, each, self._name)
        return [*self._begin(replies), *partitions[room:]]

    def _begin(self, replies: Sequence[ClaimReply]) -> list[int]:
        """Begin what was claimed; gives the partitions that have more."""
        runtime = self._runtime
        claimed = [claim for reply in replies for claim in reply.claimed]
        self._submit(runtime.jobs(self._queue, claimed))
        runtime.leave_to_others(self._queue, replies)
        return [reply.partition for reply in replies if reply.left or reply.unknown]

    # -- running -----------------------------------------------------------------------------------------

    def _submit(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._runtime.keeper.hold(job)
            self._jobs[job.lease] = job
        with self._room:
            self._running += len(jobs)
        may_begin = self._runtime.keeper.begin(jobs)
        for job, may in zip(jobs, may_begin, strict=True):
            if not may:
                self._finished.put(Finished(job, unbegun(job)))
        self._loop.call_soon_threadsafe(
            self._spawn, [job for job, may in zip(jobs, may_begin, strict=True) if may]
        )

    def _spawn(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            task = self._loop.create_task(self._one(job))
            self._tasks.add(task)
            task.add_done_callback(partial(self._ended, job))

    def _ended(self, job: Job, task: asyncio.Task[None]) -> None:
        """Give an outcome to a step that was cancelled before it began, as a component may do to all tasks it finds."""
        self._tasks.discard(task)
        if task.cancelled():
            error = describe_error(
                asyncio.CancelledError("its task was cancelled before it began")
            )
            self._finished.put(
                Finished(job, cmd.Failed(job.lease.step, job.lease.attempt, error))
            )

    async def _one(self, job: Job) -> None:
        try:
            outcome = await self._execution.run_async(job)
        except BaseException as error:  # whatever it is: without an outcome, the lease would be held for ever
            log.exception(
                "run %s: step %s met a defect of the engine",
                job.lease.run,
                job.lease.step,
                extra=named(job.lease),
            )
            outcome = cmd.Failed(
                job.lease.step, job.lease.attempt, describe_error(error)
            )
        self._finished.put(Finished(job, outcome))

    # -- recording ---------------------------------------------------------------------------------------

    def _record_loop(self) -> None:
        while True:
            batch = self._batch()
            if not batch:
                return
            try:
                self._record(batch)
            except Exception:
                # A defect met in one run must not end the work on all others.
                log.exception(
                    "%d outcomes met a defect of the engine; their leases will run out",
                    len(batch),
                )
            for item in batch:
                self._runtime.keeper.drop(item.job.lease)
                self._jobs.pop(item.job.lease, None)
            with self._room:
                self._running -= len(batch)
                self._room.notify_all()

    def _batch(self) -> list[Finished]:
        """Take what is finished, waiting for the first."""
        batch = []
        item = self._finished.get()
        while item is not None:
            batch.append(item)
            if len(batch) >= FLUSH_AT_MOST:
                break
            try:
                item = self._finished.get_nowait()
            except queue.Empty:
                break
        return batch

    def _record(self, batch: Sequence[Finished]) -> None:
        # Each outcome gives its slot to another step, unless more run than may: that was told while they did.
        is_full = self._stop.is_set() or self._free < 0
        at_most = 0 if is_full else max(1, self._free // len(batch))
        flushed = self._recorder.record(batch, NextClaim(self._queue, min(at_most, 64)))
        self._submit(flushed.jobs)
        self._runtime.ignored(flushed.refused)
