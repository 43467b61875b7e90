"""Schedules: each firing starts exactly one run, whatever crashes between the run and the note of it.

The run of a firing has an id that name and nominal time determine, and a start that is safe to repeat; how far a
schedule has come is written after that, by who has seen its last revision. Two relays that fire at once start one run.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, takewhile
from typing import Any, Final

from eventstore.redis.coordination.schedules import ScheduleStore, StoredSchedule
from executor.coordination.firing_runs import FiringRuns
from executor.coordination.schedule_changes import (
    changed_progress,
    changed_schedule,
    going_on,
)
from executor.coordination.schedule_progress import Progress, progress_of
from executor.coordination.schedule_times import (
    Firing,
    Schedule,
    check,
    firings,
    from_json,
    next_firing,
    start_of,
)
from executor.coordination.starts import RunStarter, Started, raise_if_none
from executor.errors import (
    InvalidSchedule,
    PayloadRefused,
    ScheduleExists,
    ScheduleNotFound,
)
from executor.runs.handler import Handler
from openagents_json.catalog.errors import UnknownWorkflow
from openagents_json.catalog.workflows import Workflows
from openagents_json.workflow.errors import InvalidInputs

log = logging.getLogger(__name__)

QUEUE_AT_MOST: Final = 1000
"""How many firings may wait for their turn; later ones are skipped."""

MISSED_AT_MOST: Final = 10_000
"""How many missed firings are counted: after a long pause, nobody needs to know it to the second."""

SLICE: Final = 20
"""How many firings are acted on in one go: who makes up for many must not hold up what else is due."""

LOOK_AGAIN_MS: Final = (20, 1000)
"""How soon, and how late, a schedule with waiting firings looks whether the run before them has ended."""

REFUSED_MS: Final = 60_000
"""How soon a schedule is looked at again whose times cannot be told here, as its zone is not known."""

NONE_YET: Final = "0"
"""The revision of a schedule that is not there."""

CHUNK: Final = 100
"""How many runs a backfill starts in one round trip."""


class ScheduleService:
    """The schedules of a store; safe for threads."""

    def __init__(
        self,
        handler: Handler,
        starter: RunStarter,
        workflows: Workflows,
        schedules: ScheduleStore,
    ) -> None:
        self._handler = handler
        self._runs = FiringRuns(handler, starter, workflows)
        self._schedules = schedules

    # -- keeping -----------------------------------------------------------------------------------------

    def create(self, schedule: Schedule, *, replace_it: bool = False) -> Progress:
        """Create a schedule, or replace it; its workflow has to be published and take the inputs.

        Raises InvalidSchedule, InvalidInputs, UnknownWorkflow and ScheduleExists.
        """
        check(schedule)
        now = self._schedules.now_ms()
        self._runs.check(schedule, now)
        fresh = Progress(now, next_firing(schedule, now, now))
        # A relay that fires meanwhile takes the revision away, as with `pause`.
        while True:
            stored = self._schedules.get(schedule.name)
            if stored is not None and not replace_it:
                raise ScheduleExists(schedule.name)
            progress = (
                fresh
                if stored is None
                else going_on(fresh, progress_of(stored.state), schedule)
            )
            revision = NONE_YET if stored is None else stored.revision
            if self._put(schedule, progress, revision):
                return progress

    def get(self, name: str) -> tuple[Schedule, Progress]:
        """Return a schedule and how far it has come.

        Raises ScheduleNotFound.
        """
        stored = self._stored(name)
        return from_json(stored.spec), progress_of(stored.state)

    def every(self) -> list[tuple[Schedule, Progress]]:
        """Return all schedules."""
        all_stored = map(self._schedules.get, self._schedules.names())
        return [
            (from_json(stored.spec), progress_of(stored.state))
            for stored in all_stored
            if stored is not None  # deleted since the names were read
        ]

    def delete(self, name: str) -> None:
        """Remove a schedule; its runs go on.

        Raises ScheduleNotFound.
        """
        self._stored(name)
        self._schedules.drop(name)

    def pause(self, name: str, *, paused: bool = True) -> None:
        """Fire no more until resumed; what would have fired meanwhile is not made up for.

        Raises ScheduleNotFound.
        """
        # A relay that fires meanwhile takes the revision away. Then this is tried anew with what the relay has noted:
        # what it says of started runs must not be lost, and it does not fire so often that this would not end.
        while True:
            stored = self._stored(name)
            schedule = from_json(stored.spec)
            progress = progress_of(stored.state)
            if not paused:
                now = self._schedules.now_ms()
                following = next_firing(schedule, now, progress.anchor_ms)
                progress = replace(progress, next_ms=following)
            if self._put(replace(schedule, paused=paused), progress, stored.revision):
                return

    def update(self, name: str, **changes: Any) -> tuple[Schedule, Progress]:
        """Change fields of a schedule and keep the others; new times count from now on.

        Gives the schedule as it is then. Raises ScheduleNotFound, InvalidSchedule, InvalidInputs and UnknownWorkflow.
        """
        # A relay that fires meanwhile takes the revision away, as with `pause`.
        while True:
            stored = self._stored(name)
            before = from_json(stored.spec)
            progress = progress_of(stored.state)
            after = changed_schedule(before, changes)
            now = self._schedules.now_ms()
            self._runs.check(after, now)
            progress = changed_progress(progress, before, after, now)
            if self._put(after, progress, stored.revision):
                return after, progress

    def trigger(
        self, name: str, *, actor: str, idempotency_key: str | None = None
    ) -> str:
        """Start a run of a schedule now, beside its times, and give its id; with the same key it is started once.

        A pause does not hold it back, nor does what the schedule says about overlaps; its times stay as they are.
        Raises ScheduleNotFound, InvalidInputs, UnknownWorkflow, ConcurrencyLimitReached and EventStoreError.
        """
        schedule = from_json(self._stored(name).spec)
        now = self._schedules.now_ms()
        return self._runs.trigger(schedule, now, idempotency_key, actor=actor)

    def next_firings(self, name: str, count: int = 5) -> list[Firing]:
        """Return when a schedule fires next; one that is paused would fire so if it were resumed now.

        Raises ScheduleNotFound and InvalidSchedule.
        """
        stored = self._stored(name)
        schedule = from_json(stored.spec)
        progress = progress_of(stored.state)
        after = self._schedules.now_ms()
        if progress.next_ms is not None and not schedule.paused:
            after = progress.next_ms - 1
        times = islice(firings(schedule, after, progress.anchor_ms), count)
        return [Firing(at, start_of(schedule, at)) for at in times]

    def backfill(
        self, name: str, from_ms: int, to_ms: int, *, actor: str, at_most: int = 1000
    ) -> list[Started]:
        """Start the runs of past firings, from a time and before another; those that were started are left alone.

        Gives their ids; one that has not begun says why in its `error`. Raises ScheduleNotFound, InvalidSchedule,
        TooManyStarts, and the first of the errors when none of them has begun.
        """
        stored = self._stored(name)
        schedule = from_json(stored.spec)
        progress = progress_of(stored.state)
        first = _first(schedule, from_ms, progress.anchor_ms, at_most + 1)
        times = list(takewhile(lambda at: at < to_ms, first))
        if len(times) > at_most:
            raise InvalidSchedule(
                f"that would be more than {at_most} runs",
                remedy="backfill a shorter time",
            )
        results = self._runs.start_each(schedule, times, at_once=CHUNK, actor=actor)
        raise_if_none(results)
        return results

    def _stored(self, name: str) -> StoredSchedule:
        stored = self._schedules.get(name)
        if stored is None:
            raise ScheduleNotFound(name)
        return stored

    def _put(
        self,
        schedule: Schedule,
        progress: Progress,
        revision: str,
        at: int | None = None,
    ) -> bool:
        """Note how far a schedule has come, and when it is looked at next, if not when it fires.

        False when somebody else has noted something since the revision was read. Then nothing is written: what was
        done here, the other one has done too or will do, and it starts no run twice.
        """
        look_at = self._look_at(schedule, progress, at)
        return self._schedules.put(
            schedule.name, revision, schedule.to_json(), progress.to_json(), look_at
        )

    def _look_at(
        self, schedule: Schedule, progress: Progress, at: int | None
    ) -> int | None:
        """Return when a schedule is looked at next: when it fires, or when a waiting firing may have its turn."""
        if schedule.paused:
            return None
        times: list[int] = []
        if at is not None:
            times.append(at)
        elif progress.next_ms is not None:
            times.append(start_of(schedule, progress.next_ms))
        if progress.waiting:
            times.append(self._look_again(progress))
        return min(times, default=None)

    def _look_again(self, progress: Progress) -> int:
        """Return when to look whether the last run has ended: soon for a short one, so that a queue of them drains."""
        now = self._schedules.now_ms()
        soonest, latest = LOOK_AGAIN_MS
        tenth_of_its_age = (now - progress.since_ms) // 10
        return now + max(soonest, min(latest, tenth_of_its_age))

    # -- firing ------------------------------------------------------------------------------------------

    def fire(self, name: str, *, actor: str) -> None:
        """Start what is due of a schedule, and note how far it has come."""
        stored = self._schedules.get(name)
        if stored is None:
            return
        schedule = from_json(stored.spec)
        progress = progress_of(stored.state)
        if schedule.paused:
            # It is still due from before it was paused; noted again, it has no next time.
            self._put(schedule, progress, stored.revision)
            return
        try:
            self._fire_slice(schedule, progress, stored.revision, actor)
        except InvalidSchedule as error:
            # It keeps its time, only later: a worker with other time zones may know when it fires.
            log.error("schedule %s cannot be told the time: %s", name, error)
            again = self._schedules.now_ms() + REFUSED_MS
            refused = replace(progress, error=str(error))
            self._put(schedule, refused, stored.revision, again)

    def _fire_slice(
        self, schedule: Schedule, progress: Progress, revision: str, actor: str
    ) -> None:
        # First the runs, then the note of them: a crash in between fires again, which finds the runs by their ids.
        # The other way around, a firing that was noted would have no run.
        now = self._schedules.now_ms()
        fired = progress
        steps = self._firings(schedule, progress, now, actor)
        try:
            for after in islice(steps, SLICE):
                fired = after
        except (InvalidInputs, UnknownWorkflow, PayloadRefused) as error:
            log.error("schedule %s cannot start a run: %s", schedule.name, error)
            following = next_firing(schedule, now, progress.anchor_ms)
            fired = replace(fired, next_ms=following, error=str(error), waiting=())
        if self._put(schedule, fired, revision):
            self._expect(schedule, fired, now)

    def _expect(self, schedule: Schedule, progress: Progress, now: int) -> None:
        """Have this process look again in time, whose relay does not know yet what was just noted."""
        if progress.waiting:
            self._handler.expect(schedule.name, self._look_again(progress) - now)
        elif progress.next_ms is not None:
            delay = start_of(schedule, progress.next_ms) - now
            self._handler.expect(schedule.name, max(0, delay))

    def _firings(
        self, schedule: Schedule, progress: Progress, now: int, actor: str
    ) -> Iterator[Progress]:
        """Act on what is due, one firing after the other, and return how far that is."""
        while progress.waiting and not self._runs.is_open(progress.last_run):
            at, *waiting = progress.waiting
            progress = replace(progress, waiting=tuple(waiting))
            progress = self._start(schedule, progress, at, now, actor)
            yield progress
        caught_up = self._without_missed(schedule, progress, now)
        if caught_up != progress:
            progress = caught_up
            yield progress
        while progress.next_ms is not None:
            at = progress.next_ms
            if start_of(schedule, at) > now:
                return
            progress = self._fire(schedule, progress, at, now, actor)
            following = next_firing(schedule, at, progress.anchor_ms)
            progress = replace(progress, next_ms=following)
            yield progress

    def _without_missed(
        self, schedule: Schedule, progress: Progress, now: int
    ) -> Progress:
        """Leave out the firings that are too late to be made up for."""
        patience_seconds = schedule.catchup_seconds + schedule.jitter_seconds
        oldest = now - round(patience_seconds * 1000)
        first = progress.next_ms
        if first is None or first >= oldest:
            return progress
        if self._runs.exists(schedule, first):
            return progress  # it was in time, and only the note of it was not written
        times = _first(schedule, first, progress.anchor_ms, MISSED_AT_MOST)
        missed = len(list(takewhile(lambda at: at < oldest, times)))
        following = next_firing(schedule, oldest - 1, progress.anchor_ms)
        return replace(progress, next_ms=following, missed=progress.missed + missed)

    def _fire(
        self, schedule: Schedule, progress: Progress, at: int, now: int, actor: str
    ) -> Progress:
        if not self._overlaps(schedule, progress, at):
            if progress.waiting:
                return _queued(progress, at)  # behind those that came before
            return self._start(schedule, progress, at, now, actor)
        match schedule.overlap:
            case "skip":
                return replace(progress, skipped=progress.skipped + 1)
            case "replace":
                self._runs.cancel(progress.last_run, actor=actor)
                return self._start(schedule, progress, at, now, actor)
            case _:
                return _queued(progress, at)

    def _overlaps(self, schedule: Schedule, progress: Progress, at: int) -> bool:
        """Tell whether a firing would begin beside the run before it; one that has its run already does not begin."""
        if schedule.overlap == "allow" or self._runs.exists(schedule, at):
            return False
        return self._runs.is_open(progress.last_run)

    def _start(
        self, schedule: Schedule, progress: Progress, at: int, now: int, actor: str
    ) -> Progress:
        run = self._runs.start(schedule, at, actor=actor)
        return replace(
            progress,
            last_run=run,
            last_ms=at,
            since_ms=now,
            started=progress.started + 1,
            error="",
        )


def _first(
    schedule: Schedule, from_ms: int, anchor_ms: int, count: int
) -> Iterator[int]:
    """Return the first firings from a time on."""
    anchor = anchor_ms
    if schedule.every_seconds and from_ms <= anchor_ms:
        # The anchor is moved back by whole intervals, so that the times before it fit those behind it.
        interval = round(schedule.every_seconds * 1000)
        intervals = (anchor_ms - from_ms) // interval + 2
        anchor = anchor_ms - intervals * interval
    return islice(firings(schedule, from_ms - 1, anchor), count)


def _queued(progress: Progress, at: int) -> Progress:
    if len(progress.waiting) >= QUEUE_AT_MOST:
        return replace(progress, skipped=progress.skipped + 1)
    return replace(progress, waiting=(*progress.waiting, at))
