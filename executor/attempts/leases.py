"""Leases of this process: one heartbeat for all of them, and the news that comes back with it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from msgspec import Struct

from eventstore.errors import EventStoreError
from eventstore.redis.driver.outages import level_of
from eventstore.run_model import Lease
from eventstore.runs import RunStore
from executor.attempts.jobs import ONCE, Job
from executor.attempts.log_fields import named
from executor.attempts.step_limits import UNLIMITED, LimitsOfTypes
from executor.clock import Clock
from openagents_json.components.context import CancelToken
from openagents_json.components.usage import UsageMeter
from openagents_json.errors import OpenAgentsError
from openagents_json.workflow.core.usage import ByModel

log = logging.getLogger(__name__)


STUCK_MS = 5000.0
"""How long a component has to stop after it was told to."""


_LATE = {
    "heartbeat": "no heartbeat for {} ms",
    "start_to_close": "it has had its {} ms",
}
"""What a component is told when it is late."""


class HeldLease(Struct, gc=False):
    """A held lease, of `lease_ms`, and the token that its component can see; times are steady ms.

    `meter` has what its component reports to have used. `over` tells that the lease is not ours any more, `told`
    when the component was told to stop, 0 if it was not.
    """

    job: Job
    lease_ms: int
    token: CancelToken
    since: float
    extended: float
    heartbeat: float
    over: bool = False
    told: float = 0.0
    stuck: bool = False
    meter: UsageMeter | None = None


@dataclass(frozen=True, slots=True)
class Overdue:
    """What to do about a component that is late, and about one that does not stop.

    It is late without a `heartbeat`, or after `start_to_close`; `late` gets which of these, and the limit in ms.
    """

    late: Callable[[Job, str, int], None]
    stuck: Callable[[Job], None]


class LeaseKeeper:
    """Extends leases of steps that run long; a lease that is lost cancels its token.

    `lease_of` gives how long a lease is by the queue of its step, `shortest_ms` is the shortest of them.
    Holding and dropping are plain dictionary operations, because they lie on the path of every step.
    """

    def __init__(
        self,
        store: RunStore,
        clock: Clock,
        lease_of: Callable[[str], int],
        shortest_ms: int,
        limits: LimitsOfTypes = UNLIMITED,
    ) -> None:
        self._store = store
        self._clock = clock
        self._lease_of = lease_of
        self._limits = limits
        self._beat_ms = min(shortest_ms / 6, 1000)
        self._held: dict[Lease, HeldLease] = {}
        self._latest_ms = float("-inf")
        self._overdue: Overdue | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def when_overdue(self, overdue: Overdue) -> None:
        """Say what happens to components that are overdue; without it they are only told to stop."""
        self._overdue = overdue

    def start(self) -> None:
        """Begin to beat."""
        self._thread = threading.Thread(
            target=self._loop, name="openagents-keeper", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the beat; leases run out by themselves."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def hold(self, job: Job) -> None:
        """Take a lease into the beat, if it is not there."""
        if job.lease not in self._held:
            now = self._latest_ms = self._clock.steady_ms()
            self._held[job.lease] = HeldLease(
                job=job,
                lease_ms=self._lease_of(job.step.queue),
                token=CancelToken(),
                since=now,
                extended=now,
                heartbeat=now,
            )

    def drop(self, lease: Lease) -> None:
        """Forget a lease: its outcome is recorded, or it is given back."""
        self._held.pop(lease, None)

    def held(self, lease: Lease) -> HeldLease | None:
        """Return what is known about a lease; None when it is not held any more."""
        return self._held.get(lease)

    def usage(self, lease: Lease) -> ByModel | None:
        """Return what the component of a lease has used, as far as it is not on its way to the log yet."""
        held = self._held.get(lease)
        return None if held is None or held.meter is None else held.meter.take()

    def begin(self, jobs: Sequence[Job]) -> list[bool]:
        """Ask whether steps that are held may begin; those that may not be started twice are noted as begun first.

        Without that note, nobody could tell a claim whose reply was lost from a step that has done half of its work.
        """
        once: dict[int, list[Lease]] = {}
        for job in jobs:
            if job.step.effect == ONCE:
                once.setdefault(self._lease_of(job.step.queue), []).append(job.lease)
        held: dict[Lease, int] = {}
        for lease_ms, leases in once.items():
            try:
                held.update(
                    zip(
                        leases,
                        self._store.beat(leases, lease_ms, begin=True),
                        strict=True,
                    )
                )
            except EventStoreError as error:
                log.log(
                    level_of(error),
                    "%d steps that may not be started twice are given back unbegun: %s",
                    len(leases),
                    error,
                )
                held.update(dict.fromkeys(leases, 0))
        return [held.get(job.lease, 1) > 0 for job in jobs]

    def heartbeat(self, lease: Lease) -> None:
        """Note that the component of a lease reported itself alive."""
        held = self._held.get(lease)
        if held is not None:
            held.heartbeat = self._clock.steady_ms()

    def jobs(self) -> list[Job]:
        """Return the jobs whose leases are held."""
        return [held.job for held in list(self._held.values()) if not held.over]

    def quiet_ms(self) -> float:
        """Return how long ago the latest step was taken, 0 while one is held.

        A run of short steps holds none at most moments, as it is with the server or with another process then.
        """
        if self._held:
            return 0.0
        return self._clock.steady_ms() - self._latest_ms

    def tell(self, jobs: Iterable[Job], reason: str) -> None:
        """Tell the components of jobs to stop."""
        for job in jobs:
            held = self._held.get(job.lease)
            if held is not None:
                self._tell(held, reason)

    def _tell(self, held: HeldLease, reason: str) -> None:
        held.told = held.told or self._clock.steady_ms()
        held.token.cancel(reason)

    def beat(self) -> None:
        """Extend what is a third used up, and pass on what comes back; failures are left to the next beat."""
        now = self._clock.steady_ms()
        everything = list(self._held.values())
        due: dict[int, list[HeldLease]] = {}
        for held in everything:
            if not held.over and now - held.extended >= held.lease_ms / 3:
                due.setdefault(held.lease_ms, []).append(held)
        try:
            for lease_ms in sorted(
                due
            ):  # the short ones first: the store may go away meanwhile
                self._extend(due[lease_ms], lease_ms, now)
        finally:  # what does not need the store is not put off when the store is away
            for held in everything:
                self._looked_after(held, now)

    def _extend(self, due: Sequence[HeldLease], lease_ms: int, now: float) -> None:
        answers = self._store.beat([held.job.lease for held in due], lease_ms)
        for held, answer in zip(due, answers, strict=True):
            if (
                answer < 0
            ):  # one partition is out of reach: the others are extended all the same
                continue
            held.extended = now
            held.over = answer == 0
            if answer != 1:
                self._tell(
                    held,
                    "the run is being cancelled" if answer else "the lease was lost",
                )

    def _looked_after(self, held: HeldLease, now: float) -> None:
        """Look after one step, whatever befalls that must not keep the others from it."""
        lease = held.job.lease
        try:
            self._look_after(held, now)
        except OpenAgentsError as error:
            log.log(
                level_of(error),
                "run %s: what befell step %s could not be recorded: %s",
                lease.run,
                lease.step,
                error,
                extra=named(lease),
            )
        except Exception:
            log.exception(
                "run %s: looking after step %s met a defect of the engine",
                lease.run,
                lease.step,
                extra=named(lease),
            )

    def _look_after(self, held: HeldLease, now: float) -> None:
        heartbeat_ms = held.job.step.timeouts.heartbeat_ms
        # The relay looks after the limit of the step; that of this worker's type is known here alone.
        attempt_ms = self._limits.of(held.job).time_ms
        if heartbeat_ms and now - held.heartbeat > heartbeat_ms:
            self._end_late(held, "heartbeat", heartbeat_ms)
        elif attempt_ms and now - held.since > attempt_ms:
            self._end_late(held, "start_to_close", attempt_ms)
        if held.told and not held.stuck and now - held.told > STUCK_MS:
            held.stuck = True
            if self._overdue is not None:
                self._overdue.stuck(held.job)

    def _end_late(self, held: HeldLease, kind: str, limit_ms: int) -> None:
        if held.over:
            return
        held.over = True
        try:
            # First: a component that is told may return at once.
            if self._overdue is not None:
                self._overdue.late(held.job, kind, limit_ms)
        finally:
            self._tell(held, _LATE[kind].format(limit_ms))

    def _loop(self) -> None:
        while not self._stop.wait(self._beat_ms / 1000):
            try:
                if self._held:
                    self.beat()
            except EventStoreError as error:
                log.log(level_of(error), "leases could not be extended: %s", error)
            except Exception:
                # Without a heartbeat, all steps of this process would be lost.
                log.exception("the heartbeat met a defect of the engine")
