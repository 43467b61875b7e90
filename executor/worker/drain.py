"""Draining: what a doorbell starts. Claim ready steps, run them, record and fetch in one round trip, linger, end.

Short steps are taken in batches, and their outcomes share a pipeline. A finished outcome never waits behind a step that
is long or not safe to repeat: such steps are preceded by a flush, and a step that turns out long loses what waits
with it to the watchdog, which records what is finished and gives back what has not begun.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

from msgspec import structs

from eventstore.errors import EventStoreError
from eventstore.run_model import ClaimReply, Lease, build_in
from executor.attempts.durations import DurationAverages
from executor.attempts.group_commit import Batch
from executor.attempts.jobs import ONCE, REPEATABLE, Finished, Job, unbegun
from executor.attempts.log_fields import named
from executor.attempts.outcome_commits import NextClaim, RecordedOutcomes
from executor.attempts.recorder import Recorder
from executor.clock import Clock
from executor.runs.repository import Session
from executor.worker.hints import Hints
from executor.worker.orders import StopSignal
from executor.worker.runtime import DrainSettings, Runtime
from openagents_json.components.errors import describe_error
from openagents_json.workflow.core import commands as cmd

log = logging.getLogger(__name__)

CLAIMED_AT_ONCE = 8
"""In so many partitions at most a drain claims at a time: commits to runs of one partition share a call."""

LONG_MS = 25.0
"""A step that runs this long lets go of what waits with it."""

FLUSH_MS = 4.0
"""How long a finished outcome of a batch may wait for the others."""

LOOK_MS = 50.0
"""How often a drain that always has work looks at the bell."""

SHORT_MS = 0.1
"""Of steps as short as that, one drain does those of a run sooner than several: each would have to read what the others
write, and to decide behind them."""

MANY = 16
"""So many steps of one run, taken at a time, show that the run is wide."""


class Drain:
    """One drain of one queue on the calling thread."""

    def __init__(
        self,
        runtime: Runtime,
        settings: DrainSettings,
        name: str,
        execute: Callable[[Job], cmd.Outcome],
    ) -> None:
        self._runtime = runtime
        self._settings = settings
        self._name = name
        self._execute = execute
        self._recorder: Recorder = runtime.recorder(name)
        self._clock: Clock = runtime.clock
        self._pace: DurationAverages = runtime.pace
        self._lock = threading.Lock()
        self._jobs: deque[Job] = deque()
        self._done: list[Finished] = []
        self._first_done = 0.0
        self._running_since = 0.0
        self._hints = Hints(
            runtime.ringer, settings.queue, name, settings.linger_ms, self._listen
        )
        self._taken: dict[Lease, None] = {}
        self._stop: StopSignal = threading.Event()

    def run(self, stop: StopSignal) -> int:
        """Drain until there is nothing left, the budget is spent or `stop` is set; gives the number of steps run."""
        settings = self._settings
        self._stop = stop
        try:
            return self._run(stop, self._clock.steady_ms() + settings.budget_ms)
        except Exception:
            self._settle("the drain is interrupted")
            raise
        finally:
            self._abandon()

    def _run(self, stop: StopSignal, ends: float) -> int:
        settings, count = self._settings, 0
        self._hints.wake()
        with self._runtime.watchdog.watching(self):
            while not stop.is_set():
                count += self._work()
                if stop.is_set() or (
                    not settings.forever and self._clock.steady_ms() > ends
                ):
                    break
                if self._jobs:
                    self._look()
                elif not self._fetch() and not self._idle():
                    return count
        self._close()
        return count

    # -- working -----------------------------------------------------------------------------------------

    def _work(self) -> int:
        """Run the jobs at hand, and those that recording them brings, until there are none or it is time to look up."""
        count = 0
        until = self._clock.steady_ms() + LOOK_MS
        while True:
            job = self._next(until)
            if job is None:
                is_time = self._clock.steady_ms() > until
                keep = is_time and self._settings.takes_one
                if not self._flush(keep=keep) or is_time:
                    return count
            elif job.alone or self._settings.takes_one:
                self._finish(Finished(job, self._run_one(job)))
                count += 1
            else:
                count += self._run_batch(job)

    def _next(self, until: float) -> Job | None:
        """Return the job to run next, None when there is none; `until` is when it is time to look up."""
        with self._lock:
            if not self._jobs:
                return None
            job = self._jobs[0]
            if not self._done:
                return self._start()
            alone = self._alone(job)
            if not alone and self._clock.steady_ms() - self._first_done <= FLUSH_MS:
                return self._start()
        # Only a step that may take long must not have more steps of ours behind it. Between short ones, what outcomes
        # lead to is claimed with them, or each would be told of, looked for and claimed by itself; when it is time to
        # look up, it is not, so that the jobs at hand come to an end.
        self._flush(keep=alone or self._clock.steady_ms() > until)
        with self._lock:
            return self._start() if self._jobs else None

    def _start(self) -> Job:
        job = self._jobs.popleft()
        self._running_since = self._clock.steady_ms()
        return job

    def _alone(self, job: Job) -> bool:
        return (
            not job.alone
            or job.step.effect not in REPEATABLE
            or self._pace.expected_ms(job.component) > FLUSH_MS
        )

    def _run_one(self, job: Job) -> cmd.Outcome:
        if self._pace.expected_ms(job.component) > LONG_MS:
            self._busy()
        if job.step.effect == ONCE and not self._runtime.keeper.begin([job])[0]:
            return unbegun(job)
        begun = self._clock.steady_ms()
        try:
            outcome = self._execute(job)
        except Exception as error:  # a defect of the engine: it fails the step that met it, and no other
            log.exception(
                "run %s: step %s met a defect of the engine",
                job.lease.run,
                job.lease.step,
                extra=named(job.lease),
            )
            outcome = cmd.Failed(
                job.lease.step, job.lease.attempt, describe_error(error)
            )
        self._pace.ran(job.component, self._clock.steady_ms() - begun)
        return outcome

    def _run_batch(self, job: Job) -> int:
        """Run a step, and those that it leads to as far as the document lets them wait; gives how many."""
        runtime = self._runtime
        outcome, session = self._run_one(job), runtime.sessions.get(job.lease.run)
        first = Finished(job, outcome)
        batch = None if session is None else self._begin(session, first)
        if batch is None:
            self._finish(first)
            return 1
        count = 1
        while (following := self._following(batch, job)) is not None:
            if not batch.add_safely(following, self._run_one(following), self._name):
                break
            count += 1
        with self._lock:
            self._running_since = 0.0
        next_claim = NextClaim(self._settings.queue, 0 if self._stop.is_set() else 1)
        self._take_in(self._recorder.record_batch(batch, first, next_claim), [first])
        return count

    def _begin(self, session: Session, first: Finished) -> Batch | None:
        """Begin a batch; None when the outcome goes to the log by itself, which also says what is wrong with it."""
        handler, now_ms = self._runtime.handler, self._clock.steady_ms()
        try:
            return Batch.begin(session, first.job, first.outcome, handler, now_ms)
        except Exception as error:
            log.warning("run %s: an outcome begins no batch: %s", session.run, error)
            return None

    def _following(self, batch: Batch, job: Job) -> Job | None:
        """Return the next step of a batch, None when it has to go to the log."""
        held = self._runtime.keeper.held(job.lease)
        if self._stop.is_set() or held is None or held.over or held.token.cancelled:
            return None
        following = batch.following(self._settings.queue, self._clock.steady_ms())
        if following is None:
            return None
        can = self._runtime.abilities.can(following.component)
        return structs.replace(following, build=build_in(can)) if can else None

    def _finish(self, item: Finished) -> None:
        with self._lock:
            self._running_since = 0.0
            if not self._done:
                self._first_done = self._clock.steady_ms()
            self._done.append(item)

    def _flush(self, *, keep: bool = False) -> bool:
        """Record what is finished; True when there are jobs to go on with."""
        with self._lock:
            done, self._done = self._done, []
        if not done:
            return bool(self._jobs)
        self._take_in(self._recorder.record(done, self._next_claim(done, keep)), done)
        return bool(self._jobs)

    def _next_claim(self, done: Sequence[Finished], keep: bool) -> NextClaim:
        room = self._room()
        if keep or self._stop.is_set() or (room <= 0 and self._jobs):
            return NextClaim(self._settings.queue, 0)
        runs = {x.job.lease.run for x in done}
        each = max(1, room // max(1, len(runs)))
        hints = None if self._jobs else self._hints.request()
        return NextClaim(self._settings.queue, each, self._keeps(runs), hints)

    def _keeps(self, runs: Collection[str]) -> bool:
        """Tell whether this drain keeps what is left of a run, and does not tell others of it."""
        return len(runs) == 1 and self._pace.all_within(SHORT_MS)

    def _room(self) -> int:
        return self._pace.batch(self._settings.batch) - len(self._jobs)

    def _take_in(self, flushed: RecordedOutcomes, done: Sequence[Finished]) -> None:
        self._hints.keep(flushed.left)
        if flushed.hints is not None:
            self._hints.answered(flushed.hints, goes_on=bool(flushed.jobs))
        self._accept(flushed.jobs)
        self._let_go_of(done)
        self._runtime.ignored(flushed.refused)

    def _accept(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._taken[job.lease] = None
            self._runtime.keeper.hold(job)
        with self._lock:
            self._jobs.extend(jobs)
            wait = len(self._jobs) > 1 or bool(self._hints.kept)
        if wait:
            self._runtime.watchdog.look()

    def _let_go_of(self, done: Sequence[Finished]) -> None:
        """Extend no more what is recorded, given back or given up."""
        for item in done:
            self._runtime.keeper.drop(item.job.lease)
            self._taken.pop(item.job.lease, None)

    # -- fetching ----------------------------------------------------------------------------------------

    def _fetch(self) -> bool:
        """Claim in the partitions that have work; True when there are jobs."""
        hints = self._hints
        hints.take()
        while hints.partitions and not self._jobs:
            room = max(1, self._room())
            partitions = hints.next(max(1, min(room // 2, CLAIMED_AT_ONCE)))
            each = max(1, -(-room // len(partitions)))
            self._claim(partitions, each)
        if self._jobs:
            hints.hand_over()
        return bool(self._jobs)

    def _look(self) -> None:
        """Take something new along although there is work: a long run must not starve the others."""
        if partitions := self._hints.take_one():
            self._claim(partitions, 1)

    def _claim(self, partitions: Sequence[int], each: int) -> None:
        self._claimed(
            self._runtime.claim(self._settings.queue, partitions, each, self._name)
        )

    def _claimed(self, replies: Sequence[ClaimReply]) -> None:
        runtime, queue = self._runtime, self._settings.queue
        claimed = [claim for reply in replies for claim in reply.claimed]
        for reply in replies:
            if reply.left or reply.unknown:
                self._look_again(reply)
        runtime.leave_to_others(queue, replies)
        if claimed:
            # Before the histories are read: others can begin with the rest meanwhile.
            self._hints.hand_over()
        self._accept(runtime.jobs(queue, claimed))

    def _look_again(self, reply: ClaimReply) -> None:
        """Note that something was left: where many steps of one run were taken, what is left is of that run too."""
        runs = {claim.lease.run for claim in reply.claimed}
        is_wide = len(reply.claimed) >= MANY
        hints = self._hints
        remember = hints.keep if is_wide and self._keeps(runs) else hints.add
        remember([reply.partition])

    def _idle(self) -> bool:
        """Wait for work; False when the drain is over."""
        hints, settings = self._hints, self._settings
        if hints.listen() or self._jobs or settings.forever:
            return True
        return hints.leave()

    def _listen(self) -> int | None:
        """Sleep until there is work, and take in what is claimed with the wake-up; gives where else to look."""
        # It counts as awake by now, and is told to stop before it is taken down: it takes nothing that is given back.
        if self._stop.is_set():
            return None
        queue, linger_ms = self._settings.queue, self._settings.linger_ms
        heard = self._runtime.listen(queue, max(1, self._room()), self._name, linger_ms)
        if heard.reply is not None:
            self._claimed([heard.reply])
        return heard.partition

    def _abandon(self) -> None:
        """Extend no lease any more that this drain took, however it ends: nobody works on it, so it must run out."""
        with self._lock:
            self._done, self._jobs = [], deque()
        for lease in list(self._taken):
            self._runtime.keeper.drop(lease)
        self._taken.clear()

    # -- letting go --------------------------------------------------------------------------------------

    def let_go(self) -> bool:
        """Called by the watchdog: free what waits behind a step that runs long; False when nothing waits."""
        with self._lock:
            since = self._running_since
            if not self._done and not self._jobs and not self._hints.kept:
                return False
            if not since or self._clock.steady_ms() - since < LONG_MS:
                return True
            done, self._done = self._done, []
            jobs, self._jobs = list(self._jobs), deque()
        self._record_and_release(done, jobs, "the worker is busy")
        with suppress(EventStoreError):
            self._hints.give_up()
        self._busy()
        return False

    def _record_and_release(
        self, done: Sequence[Finished], jobs: Sequence[Job], reason: str
    ) -> None:
        given = [
            Finished(job, cmd.Released(job.lease.step, job.lease.attempt, reason))
            for job in jobs
        ]
        everything = [*done, *given]
        if not everything:
            return
        try:
            flushed = self._recorder.record(everything)
        finally:
            self._let_go_of(everything)
        self._runtime.ignored(flushed.refused)

    def _settle(self, reason: str) -> None:
        """Record what is finished, and give back what was not begun."""
        with self._lock:
            done, self._done = self._done, []
            jobs, self._jobs = list(self._jobs), deque()
        self._record_and_release(done, jobs, reason)

    def _busy(self) -> None:
        """Say that this drain is out of reach; a store that is away must not keep a claimed step from being run."""
        with suppress(EventStoreError):
            self._runtime.ringer.busy(self._settings.queue, self._name)

    def _close(self) -> None:
        self._settle("the drain ends")
        self._hints.end()
