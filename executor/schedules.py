"""Schedules: each firing starts exactly one run, whatever crashes between the run and the note of it.

The run of a firing has an id that name and nominal time determine, and a start that is safe to repeat; how far a
schedule has come is written after that, by who has seen its last revision. Two relays that fire at once start one run.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, Final

from eventstore.errors import EventStoreError
from eventstore.schedule_store import ScheduleStore, StoredSchedule
from executor.handle import Handler, Start
from executor.journal import PayloadOverLimit
from executor.schedule_times import (
    InvalidSchedule,
    Schedule,
    check,
    firings,
    from_json,
    iso,
    next_firing,
    start_of,
)
from executor.sessions import RunNotFound
from executor.workflows import UnknownWorkflow, Workflows
from openagents_json.workflow import commands as cmd
from openagents_json.workflow.errors import InvalidInputs
from openagents_json.workflow.parameters import check_inputs
from openagents_json.workflow.types import Json

log = logging.getLogger(__name__)

CLOSED: Final = frozenset({"completed", "failed", "cancelled"})
QUEUE_AT_MOST: Final = 1000
"""How many firings may wait for their turn; later ones are skipped."""

LOOK_AGAIN_MS: Final = 1000
"""How soon a schedule with waiting firings looks whether the run before them has ended."""


class ScheduleNotFound(EventStoreError):
    """There is no schedule of a name."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"there is no schedule {name!r} in this store; `openagents schedules list` shows them")


class ScheduleExists(EventStoreError):
    """There is a schedule of that name already."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"there is a schedule {name!r} already; delete it first, or say that it is to be replaced")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a schedule has come: the next nominal time, the last run, firings that wait, what became of others."""

    anchor_ms: int
    next_ms: int | None
    last_run: str = ""
    last_ms: int = 0
    waiting: tuple[int, ...] = ()
    started: int = 0
    skipped: int = 0
    missed: int = 0
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON."""
        return {name: getattr(self, name) for name in self.__slots__} | {"waiting": list(self.waiting)}


def progress_of(data: Mapping[str, Any]) -> Progress:
    """Read how far a schedule has come."""
    values = {key: value for key, value in data.items() if key in Progress.__slots__}
    return Progress(**{**values, "waiting": tuple(values.get("waiting", ()))})


class Timetable:
    """The schedules of a store; safe for threads."""

    def __init__(self, handler: Handler, workflows: Workflows, schedules: ScheduleStore) -> None:
        self._handler, self._workflows, self._schedules = handler, workflows, schedules

    # -- keeping -----------------------------------------------------------------------------------------

    def create(self, schedule: Schedule, *, replace_it: bool = False) -> Progress:
        """Create a schedule, or replace it; its workflow has to be published and take the inputs.

        Raises InvalidSchedule, InvalidInputs, UnknownWorkflow and ScheduleExists.
        """
        check(schedule)
        now = self._schedules.now_ms()
        check_inputs(self._workflows.resolve(schedule.workflow, schedule.name), self._inputs(schedule, now))
        progress = Progress(now, next_firing(schedule, now, now))
        if not self._put(schedule, progress, "" if replace_it else "0"):
            raise ScheduleExists(schedule.name)
        return progress

    def get(self, name: str) -> tuple[Schedule, Progress]:
        """Give a schedule and how far it has come.

        Raises ScheduleNotFound.
        """
        stored = self._stored(name)
        return from_json(stored.spec), progress_of(stored.state)

    def every(self) -> list[tuple[Schedule, Progress]]:
        """Give all schedules."""
        found = [self._schedules.get(name) for name in self._schedules.names()]
        return [(from_json(x.spec), progress_of(x.state)) for x in found if x is not None]

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
            again = progress if paused else replace(progress, next_ms=next_firing(schedule, now, progress.anchor_ms))
            if self._put(replace(schedule, paused=paused), again, stored.revision):
                return

    def backfill(self, name: str, from_ms: int, to_ms: int, *, actor: str, at_most: int = 1000) -> list[str]:
        """Start the runs of past firings, from a time and before another; those that were started are left alone.

        Raises ScheduleNotFound and InvalidSchedule.
        """
        stored = self._stored(name)
        schedule, progress = from_json(stored.spec), progress_of(stored.state)
        times = list(takewhile(lambda at: at < to_ms, _first(schedule, from_ms, progress.anchor_ms, at_most + 1)))
        if len(times) > at_most:
            raise InvalidSchedule(f"that would be more than {at_most} runs; backfill a shorter time")
        return [self._start(schedule, at, actor) for at in times]

    def _stored(self, name: str) -> StoredSchedule:
        stored = self._schedules.get(name)
        if stored is None:
            raise ScheduleNotFound(name)
        return stored

    def _put(self, schedule: Schedule, progress: Progress, revision: str) -> bool:
        at = None if schedule.paused or progress.next_ms is None else start_of(schedule, progress.next_ms)
        if progress.waiting and not schedule.paused:
            soon = self._schedules.now_ms() + LOOK_AGAIN_MS
            at = soon if at is None else min(at, soon)
        return self._schedules.put(schedule.name, revision, schedule.to_json(), progress.to_json(), at)

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
        now = self._schedules.now_ms()
        try:
            for at in progress.waiting:
                if self._open(progress.last_run):
                    break
                progress = replace(progress, waiting=progress.waiting[1:])
                progress = self._started(schedule, progress, at, actor)
            progress = self._due(schedule, progress, now, actor)
        except (InvalidInputs, UnknownWorkflow, PayloadOverLimit, InvalidSchedule) as error:
            log.error("schedule %s cannot start a run: %s", name, error)
            progress = replace(
                progress, next_ms=next_firing(schedule, now, progress.anchor_ms), error=str(error), waiting=()
            )
        self._put(schedule, progress, stored.revision)

    def _due(self, schedule: Schedule, progress: Progress, now: int, actor: str) -> Progress:
        progress = self._without_missed(schedule, progress, now)
        while progress.next_ms is not None and start_of(schedule, progress.next_ms) <= now:
            at = progress.next_ms
            progress = self._fire(schedule, progress, at, actor)
            progress = replace(progress, next_ms=next_firing(schedule, at, progress.anchor_ms))
        return progress

    def _without_missed(self, schedule: Schedule, progress: Progress, now: int) -> Progress:
        """Leave out the firings that are too late to be made up for."""
        oldest = now - round((schedule.catchup_seconds + schedule.jitter_seconds) * 1000)
        first = progress.next_ms
        if first is None or first >= oldest or self._exists(schedule, first):
            return progress
        missed = sum(1 for _ in takewhile(lambda at: at < oldest, _first(schedule, first, progress.anchor_ms, 10_000)))
        following = next_firing(schedule, oldest - 1, progress.anchor_ms)
        return replace(progress, next_ms=following, missed=progress.missed + missed)

    def _fire(self, schedule: Schedule, progress: Progress, at: int, actor: str) -> Progress:
        if self._exists(schedule, at) or schedule.overlap == "allow" or not self._open(progress.last_run):
            if not progress.waiting:
                return self._started(schedule, progress, at, actor)
        elif schedule.overlap == "skip":
            return replace(progress, skipped=progress.skipped + 1)
        elif schedule.overlap == "replace":
            self._cancel(progress.last_run, actor)
            return self._started(schedule, progress, at, actor)
        if len(progress.waiting) >= QUEUE_AT_MOST:
            return replace(progress, skipped=progress.skipped + 1)
        return replace(progress, waiting=(*progress.waiting, at))

    def _started(self, schedule: Schedule, progress: Progress, at: int, actor: str) -> Progress:
        run = self._start(schedule, at, actor)
        return replace(progress, last_run=run, last_ms=at, started=progress.started + 1, error="")

    def _start(self, schedule: Schedule, at: int, actor: str) -> str:
        run, commit = self._identity(schedule, at)
        plan = self._workflows.resolve(schedule.workflow, run)
        inputs = check_inputs(plan, self._inputs(schedule, at))
        labels = {**(schedule.labels or {}), "schedule": schedule.name, "scheduled_for": iso(at)}
        self._handler.start([Start(run, plan, inputs, commit, labels)], actor=f"schedule:{schedule.name} ({actor})")
        return run

    def _inputs(self, schedule: Schedule, at: int) -> dict[str, Json]:
        """Give the inputs of a firing; the text {{scheduled_time}} stands for its nominal time."""
        given = schedule.inputs or {}
        return {key: iso(at) if value == "{{scheduled_time}}" else value for key, value in given.items()}

    def _identity(self, schedule: Schedule, at: int) -> tuple[str, str]:
        digest = hashlib.sha256(f"schedule\0{schedule.name}\0{at}".encode("utf-8", "surrogatepass")).hexdigest()
        partitions = self._handler.store.keys.partitions
        return f"{int(digest[:8], 16) % partitions}-{digest[8:34]}", f"s{digest[34:50]}"

    def _exists(self, schedule: Schedule, at: int) -> bool:
        return bool(self._handler.store.statuses([self._identity(schedule, at)[0]])[0])

    def _open(self, run: str) -> bool:
        return bool(run) and self._handler.store.statuses([run])[0] not in (*CLOSED, "")

    def _cancel(self, run: str, actor: str) -> None:
        try:
            self._handler.handle(run, cmd.CancelRun("a newer firing takes its place"), actor=actor)
        except (RunNotFound, cmd.Rejected) as error:
            log.info("run %s: %s", run, error)


def _first(schedule: Schedule, from_ms: int, anchor_ms: int, count: int) -> Any:
    """Give the first firings from a time on."""
    anchor = min(anchor_ms, from_ms) if schedule.every_seconds else anchor_ms
    if schedule.every_seconds:  # counted back from the anchor, so that times are the same before and after it
        step = round(schedule.every_seconds * 1000)
        anchor = anchor_ms - ((anchor_ms - from_ms) // step + 2) * step if from_ms < anchor_ms else anchor_ms
    source = firings(schedule, from_ms - 1, anchor)
    return (at for _, at in zip(range(count), source, strict=False))
