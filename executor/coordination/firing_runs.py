"""The runs of firings: which run a firing stands for, whether it is there, and how it starts.

Name and nominal time of a firing determine the id of its run and of the commit that begins it. So two workers that fire
at once, or one that fires again after a crash, start one run: whoever comes second finds the id taken.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from typing import Final

from eventstore.errors import EventStoreError
from executor.coordination.schedule_times import Schedule, iso
from executor.coordination.starts import RunStarter, Started
from executor.errors import ConcurrencyLimitReached, RunExists
from executor.runs.beginnings import Start
from executor.runs.handler import Handler
from openagents_json.catalog.workflows import Workflows
from openagents_json.errors import RunUnreadable
from openagents_json.statuses import CLOSED_RUN
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core.parameters import check_inputs
from openagents_json.workflow.types import Json

log = logging.getLogger(__name__)

HAS_ITS_RUN: Final = (RunExists, RunUnreadable)
"""What starting tells of a firing whose run is there: in the archive, from another store, sealed."""


class FiringRuns:
    """Starts, finds and cancels the runs of firings; safe for threads."""

    def __init__(
        self, handler: Handler, starter: RunStarter, workflows: Workflows
    ) -> None:
        self._handler = handler
        self._starter = starter
        self._workflows = workflows

    def check(self, schedule: Schedule, at: int) -> None:
        """Refuse a schedule whose workflow is not published, or does not take its inputs.

        Raises InvalidInputs and UnknownWorkflow.
        """
        plan = self._workflows.resolve(schedule.workflow, schedule.name)
        check_inputs(plan, _inputs(schedule, at))

    def start(self, schedule: Schedule, at: int, *, actor: str) -> str:
        """Start the run of a firing, and return its id; one that is there already, or was refused, counts as started.

        Raises InvalidInputs, UnknownWorkflow, PayloadRefused and EventStoreError.
        """
        start = self._start_of(schedule, at)
        try:
            self._starter.start(start, actor=_actor(schedule, actor))
        except (*HAS_ITS_RUN, ConcurrencyLimitReached) as error:
            # A run that was refused is on record as refused: to fire again would not begin another one.
            log.info("schedule %s: %s", schedule.name, error)
        return start.run

    def trigger(
        self, schedule: Schedule, at: int, key: str | None, *, actor: str
    ) -> str:
        """Start a run beside the times of a schedule, once for a key, and return its id.

        Raises InvalidInputs, UnknownWorkflow, ConcurrencyLimitReached, PayloadRefused and EventStoreError.
        """
        # Without a key, it is a run of its own: whoever else triggers or fires at the same moment has another one.
        once = self._handler.commit_id() if key is None else key
        start = self._start_of(schedule, at, once)
        [started] = self._start_slice([start], _actor(schedule, actor))
        if started.error is not None:
            raise started.error
        return start.run

    def start_each(
        self, schedule: Schedule, times: Sequence[int], *, at_once: int, actor: str
    ) -> list[Started]:
        """Start the runs of past firings, `at_once` in a round trip; those that are there already are left alone.

        Raises TooManyStarts, InvalidInputs and UnknownWorkflow before any has begun.
        """
        self._starter.allow(len(times))
        starts = [self._start_of(schedule, at) for at in times]
        started_by = _actor(schedule, actor)
        results: list[Started] = []
        for first in range(0, len(starts), at_once):
            results += self._start_slice(starts[first : first + at_once], started_by)
        return results

    def _start_slice(self, starts: Sequence[Start], actor: str) -> list[Started]:
        try:
            results = self._starter.start_each(starts, actor=actor)
        except EventStoreError as error:
            # Others may have begun before these: whoever asked is told which, and may ask again for all of them.
            return [Started(start.run, error) for start in starts]
        return [
            Started(result) if isinstance(result.error, HAS_ITS_RUN) else result
            for result in results
        ]

    def exists(self, schedule: Schedule, at: int) -> bool:
        """Tell whether a firing has its run, here or in the archive."""
        run, _ = self._identity(schedule, at)
        store = self._handler.store
        return bool(store.statuses([run])[0]) or store.is_gone(run)

    def is_open(self, run: str) -> bool:
        """Tell whether a run is under way; "" is none."""
        if not run:
            return False
        status = self._handler.store.statuses([run])[0]
        return bool(status) and status not in CLOSED_RUN

    def cancel(self, run: str, *, actor: str) -> None:
        """Cancel a run for a newer one, unless it has ended or left the store."""
        command = cmd.CancelRun("a newer firing takes its place")
        try:
            self._handler.handle(run, command, actor=actor)
        except (RunUnreadable, cmd.Rejected) as error:
            log.info("run %s: %s", run, error)

    def _start_of(self, schedule: Schedule, at: int, key: str | None = None) -> Start:
        run, commit = self._identity(schedule, at if key is None else f"key\0{key}")
        plan = self._workflows.resolve(schedule.workflow, run)
        inputs = check_inputs(plan, _inputs(schedule, at))
        labels = {
            **(schedule.labels or {}),
            "schedule": schedule.name,
            "scheduled_for": iso(at),
        }
        return Start(run=run, plan=plan, inputs=inputs, commit_id=commit, labels=labels)

    def _identity(self, schedule: Schedule, at: int | str) -> tuple[str, str]:
        """Return the ids of the run of a firing and of the commit that begins it; a key may stand for its time."""
        text = f"schedule\0{schedule.name}\0{at}"
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        partition = int(digest[:8], 16) % self._handler.store.partitions
        return f"{partition}-{digest[8:34]}", f"s{digest[34:50]}"


def _inputs(schedule: Schedule, at: int) -> dict[str, Json]:
    """Return the inputs of a firing; the text {{scheduled_time}} stands for its nominal time."""
    inputs = schedule.inputs or {}
    return {
        name: iso(at) if value == "{{scheduled_time}}" else value
        for name, value in inputs.items()
    }


def _actor(schedule: Schedule, actor: str) -> str:
    return f"schedule:{schedule.name} ({actor})"
