"""Schedules: each firing starts exactly one run, whatever crashes between the run and the note of it.

The run of a firing has an id that name and nominal time determine, and a start that is safe to repeat; how far a
schedule has come is written after that, by who has seen its last revision. Two relays that fire at once start one run.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, takewhile
from typing import Any, Final

from eventstore.errors import EventStoreError
from eventstore.redis.coordination.schedules import ScheduleStore, StoredSchedule
from executor.coordination.schedule_times import (
    Schedule,
    check,
    firings,
    from_json,
    iso,
    next_firing,
    start_of,
)
from executor.coordination.starts import RunStarter, Started, raise_if_none
from executor.errors import (
    ConcurrencyLimitReached,
    InvalidSchedule,
    PayloadRefused,
    RunExists,
    ScheduleExists,
    ScheduleNotFound,
)
from executor.runs.handler import Handler, Start
from openagents_json.catalog.errors import UnknownWorkflow
from openagents_json.catalog.workflows import Workflows
from openagents_json.errors import RunUnreadable
from openagents_json.statuses import CLOSED_RUN
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core.parameters import check_inputs
from openagents_json.workflow.errors import InvalidInputs
from openagents_json.workflow.types import Json

log = logging.getLogger(__name__)

HAS_ITS_RUN: Final = (RunExists, RunUnreadable)
"""What starting tells of a firing whose run is there: in the archive, from another store, sealed."""

QUEUE_AT_MOST: Final = 1000
"""How many firings may wait for their turn; later ones are skipped."""

SLICE: Final = 20
"""How many firings are acted on in one go: who makes up for many must not hold up what else is due."""

LOOK_AGAIN_MS: Final = (20, 1000)
"""How soon, and how late, a schedule with waiting firings looks whether the run before them has ended."""

REFUSED_MS: Final = 60_000
"""How soon a schedule is looked at again whose times cannot be told here, as its zone is not known."""

CHUNK: Final = 100
"""How many runs a backfill starts in one round trip."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a schedule has come: the next nominal time, the last run, firings that wait, what became of others.

    `last_ms` is the nominal time of the last run, `since_ms` when it was started.
    """

    anchor_ms: int
    next_ms: int | None
    last_run: str = ""
    last_ms: int = 0
    waiting: tuple[int, ...] = ()
    started: int = 0
    skipped: int = 0
    missed: int = 0
    error: str = ""
    since_ms: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {name: getattr(self, name) for name in self.__slots__} | {
            "waiting": list(self.waiting)
        }


def progress_of(data: Mapping[str, Any]) -> Progress:
    """Read how far a schedule has come."""
    values = {key: value for key, value in data.items() if key in Progress.__slots__}
    return Progress(**{**values, "waiting": tuple(values.get("waiting", ()))})


class ScheduleService:
    """The schedules of a store; safe for threads."""

    def __init__(
        self,
        handler: Handler,
        starter: RunStarter,
        workflows: Workflows,
        schedules: ScheduleStore,
    ) -> None:
        self._handler, self._workflows, self._schedules = handler, workflows, schedules
        self._starter = starter

    # -- keeping -----------------------------------------------------------------------------------------

    def create(self, schedule: Schedule, *, replace_it: bool = False) -> Progress:
        """Create a schedule, or replace it; its workflow has to be published and take the inputs.

        Raises InvalidSchedule, InvalidInputs, UnknownWorkflow and ScheduleExists.
        """
        check(schedule)
        now = self._schedules.now_ms()
        check_inputs(
            self._workflows.resolve(schedule.workflow, schedule.name),
            self._inputs(schedule, now),
        )
        progress = Progress(now, next_firing(schedule, now, now))
        if not self._put(schedule, progress, "" if replace_it else "0"):
            raise ScheduleExists(schedule.name)
        return progress

    def get(self, name: str) -> tuple[Schedule, Progress]:
        """Return a schedule and how far it has come.

        Raises ScheduleNotFound.
        """
        stored = self._stored(name)
        return from_json(stored.spec), progress_of(stored.state)

    def every(self) -> list[tuple[Schedule, Progress]]:
        """Return all schedules."""
        found = [self._schedules.get(name) for name in self._schedules.names()]
        return [
            (from_json(x.spec), progress_of(x.state)) for x in found if x is not None
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
        while True:
            stored = self._stored(name)
            schedule, progress = from_json(stored.spec), progress_of(stored.state)
            now = self._schedules.now_ms()
            again = (
                progress
                if paused
                else replace(
                    progress, next_ms=next_firing(schedule, now, progress.anchor_ms)
                )
            )
            if self._put(replace(schedule, paused=paused), again, stored.revision):
                return

    def backfill(
        self, name: str, from_ms: int, to_ms: int, *, actor: str, at_most: int = 1000
    ) -> list[Started]:
        """Start the runs of past firings, from a time and before another; those that were started are left alone.

        Gives their ids; one that has not begun says why in its `error`. Raises ScheduleNotFound, InvalidSchedule,
        TooManyStarts, and the first of the errors when none of them has begun.
        """
        stored = self._stored(name)
        schedule, progress = from_json(stored.spec), progress_of(stored.state)
        times = list(
            takewhile(
                lambda at: at < to_ms,
                _first(schedule, from_ms, progress.anchor_ms, at_most + 1),
            )
        )
        if len(times) > at_most:
            raise InvalidSchedule(
                f"that would be more than {at_most} runs; backfill a shorter time"
            )
        self._starter.allow(len(times))
        starts = [self._start_of(schedule, at) for at in times]
        results: list[Started] = []
        for first in range(0, len(starts), CHUNK):
            results += self._started_each(
                starts[first : first + CHUNK], _actor(schedule, actor)
            )
        raise_if_none(results)
        return results

    def _started_each(self, starts: Sequence[Start], actor: str) -> list[Started]:
        try:
            results = self._starter.start_each(starts, actor=actor)
        except EventStoreError as error:  # others may have begun before these
            return [Started(start.run, error) for start in starts]
        return [
            Started(run) if isinstance(run.error, HAS_ITS_RUN) else run
            for run in results
        ]

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
        """Note how far a schedule has come, and when it is looked at next, if not when it fires."""
        if at is None and not schedule.paused and progress.next_ms is not None:
            at = start_of(schedule, progress.next_ms)
        if progress.waiting and not schedule.paused:
            soon = self._look_again(progress)
            at = soon if at is None else min(at, soon)
        return self._schedules.put(
            schedule.name, revision, schedule.to_json(), progress.to_json(), at
        )

    def _look_again(self, progress: Progress) -> int:
        """Return when to look whether the last run has ended: soon for a short one, so that a queue of them drains."""
        now, (soonest, latest) = self._schedules.now_ms(), LOOK_AGAIN_MS
        return now + max(soonest, min(latest, (now - progress.since_ms) // 10))

    # -- firing ------------------------------------------------------------------------------------------

    def fire(self, name: str, *, actor: str) -> None:
        """Start what is due of a schedule, and note how far it has come."""
        stored = self._schedules.get(name)
        if stored is None:
            return
        schedule, progress = from_json(stored.spec), progress_of(stored.state)
        if schedule.paused:
            self._put(schedule, progress, stored.revision)
            return
        try:
            self._fire_slice(schedule, progress, stored.revision, actor)
        except (
            InvalidSchedule
        ) as error:  # a worker with other time zones may know when it fires
            log.error("schedule %s cannot be told the time: %s", name, error)
            again = self._schedules.now_ms() + REFUSED_MS
            self._put(
                schedule, replace(progress, error=str(error)), stored.revision, again
            )

    def _fire_slice(
        self, schedule: Schedule, progress: Progress, revision: str, actor: str
    ) -> None:
        now, fired = self._schedules.now_ms(), progress
        try:
            for after in islice(self._firing(schedule, progress, now, actor), SLICE):
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
            self._handler.expect(
                schedule.name, max(0, start_of(schedule, progress.next_ms) - now)
            )

    def _firing(
        self, schedule: Schedule, progress: Progress, now: int, actor: str
    ) -> Iterator[Progress]:
        """Act on what is due, one firing after the other, and give how far that is."""
        while progress.waiting and not self._open(progress.last_run):
            at, *rest = progress.waiting
            progress = self._started(
                schedule, replace(progress, waiting=tuple(rest)), at, now, actor
            )
            yield progress
        known, progress = progress, self._without_missed(schedule, progress, now)
        if progress != known:
            yield progress
        while (
            progress.next_ms is not None and start_of(schedule, progress.next_ms) <= now
        ):
            at = progress.next_ms
            progress = self._fire(schedule, progress, at, now, actor)
            progress = replace(
                progress, next_ms=next_firing(schedule, at, progress.anchor_ms)
            )
            yield progress

    def _without_missed(
        self, schedule: Schedule, progress: Progress, now: int
    ) -> Progress:
        """Leave out the firings that are too late to be made up for."""
        oldest = now - round(
            (schedule.catchup_seconds + schedule.jitter_seconds) * 1000
        )
        first = progress.next_ms
        if first is None or first >= oldest or self._exists(schedule, first):
            return progress
        missed = sum(
            1
            for _ in takewhile(
                lambda at: at < oldest,
                _first(schedule, first, progress.anchor_ms, 10_000),
            )
        )
        following = next_firing(schedule, oldest - 1, progress.anchor_ms)
        return replace(progress, next_ms=following, missed=progress.missed + missed)

    def _fire(
        self, schedule: Schedule, progress: Progress, at: int, now: int, actor: str
    ) -> Progress:
        if (
            schedule.overlap == "allow"
            or self._exists(schedule, at)
            or not self._open(progress.last_run)
        ):
            if not progress.waiting:
                return self._started(schedule, progress, at, now, actor)
        elif schedule.overlap == "skip":
            return replace(progress, skipped=progress.skipped + 1)
        elif schedule.overlap == "replace":
            self._cancel(progress.last_run, actor)
            return self._started(schedule, progress, at, now, actor)
        if len(progress.waiting) >= QUEUE_AT_MOST:
            return replace(progress, skipped=progress.skipped + 1)
        return replace(progress, waiting=(*progress.waiting, at))

    def _started(
        self, schedule: Schedule, progress: Progress, at: int, now: int, actor: str
    ) -> Progress:
        start = self._start_of(schedule, at)
        try:
            self._starter.start(start, actor=_actor(schedule, actor))
        except HAS_ITS_RUN as error:
            log.info("schedule %s: %s", schedule.name, error)
        except ConcurrencyLimitReached as error:  # its run is on record as refused
            log.info("schedule %s: %s", schedule.name, error)
        return replace(
            progress,
            last_run=start.run,
            last_ms=at,
            since_ms=now,
            started=progress.started + 1,
            error="",
        )

    def _start_of(self, schedule: Schedule, at: int) -> Start:
        run, commit = self._identity(schedule, at)
        plan = self._workflows.resolve(schedule.workflow, run)
        inputs = check_inputs(plan, self._inputs(schedule, at))
        labels = {
            **(schedule.labels or {}),
            "schedule": schedule.name,
            "scheduled_for": iso(at),
        }
        return Start(run, plan, inputs, commit, labels)

    def _inputs(self, schedule: Schedule, at: int) -> dict[str, Json]:
        """Return the inputs of a firing; the text {{scheduled_time}} stands for its nominal time."""
        given = schedule.inputs or {}
        return {
            key: iso(at) if value == "{{scheduled_time}}" else value
            for key, value in given.items()
        }

    def _identity(self, schedule: Schedule, at: int) -> tuple[str, str]:
        digest = hashlib.sha256(
            f"schedule\0{schedule.name}\0{at}".encode("utf-8", "surrogatepass")
        ).hexdigest()
        partitions = self._handler.store.partitions
        return f"{int(digest[:8], 16) % partitions}-{digest[8:34]}", f"s{digest[34:50]}"

    def _exists(self, schedule: Schedule, at: int) -> bool:
        """Tell whether a firing has its run, here or in the archive."""
        run, store = self._identity(schedule, at)[0], self._handler.store
        return bool(store.statuses([run])[0]) or store.is_gone(run)

    def _open(self, run: str) -> bool:
        return bool(run) and self._handler.store.statuses([run])[0] not in (
            *CLOSED_RUN,
            "",
        )

    def _cancel(self, run: str, actor: str) -> None:
        try:
            self._handler.handle(
                run, cmd.CancelRun("a newer firing takes its place"), actor=actor
            )
        except (RunUnreadable, cmd.Rejected) as error:
            log.info("run %s: %s", run, error)


def _actor(schedule: Schedule, actor: str) -> str:
    return f"schedule:{schedule.name} ({actor})"


def _first(schedule: Schedule, from_ms: int, anchor_ms: int, count: int) -> Any:
    """Return the first firings from a time on."""
    anchor = anchor_ms
    if (
        schedule.every_seconds and from_ms <= anchor_ms
    ):  # counted back, so that times are the same before and after it
        step = round(schedule.every_seconds * 1000)
        anchor = anchor_ms - ((anchor_ms - from_ms) // step + 2) * step
    source = firings(schedule, from_ms - 1, anchor)
    return (at for _, at in zip(range(count), source, strict=False))
