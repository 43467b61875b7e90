"""The events of a run, checked one after the other as they are read: nothing of them but names and numbers is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from eventstore.event import Recorded
from eventstore.redis.paging import Unreadable
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.event_types import (
    AFTERWARDS,
    CLOSED_AS,
    OUTCOMES,
    SCHEDULES,
)

REOPENED: Final = ev.RunReopened.__name__
STARTED: Final = ev.StepStarted.__name__
LEASE_LOST: Final = ev.StepLeaseLost.__name__

BETWEEN = frozenset({"total", "schedule_to_start"})
"""Limits that may end a step between two attempts."""


@dataclass(slots=True)
class HistorySummary:
    """What a run's events say: how many there are, which commit came last, which closed it, and what is wrong.

    `unreadable` are the versions of events that nobody can read, with why; `misplaced` versions at places that are not
    theirs, `again` commits that came a second time, `closings` the versions of the events that closed the run since it
    was last opened, and `end` that of the last event of its course.
    """

    run: str
    events: int = 0
    commit: str = ""
    end: int = 0
    unreadable: list[tuple[int, str]] = field(default_factory=list)
    misplaced: list[int] = field(default_factory=list)
    again: list[str] = field(default_factory=list)
    closings: list[int] = field(default_factory=list)
    _commits: set[str] = field(default_factory=set)
    _scheduled: set[str] = field(default_factory=set)
    _started: set[tuple[str, int]] = field(default_factory=set)
    _ended: Counter[tuple[str, int]] = field(default_factory=Counter)
    _fence: int = 0
    _faults: list[tuple[int, str]] = field(default_factory=list)

    @classmethod
    def of(
        cls, run: str, events: Iterable[Recorded | Unreadable], *, steps: bool = True
    ) -> HistorySummary:
        """Check events; those of other streams than runs without `steps`, because they may say anything."""
        summary = cls(run)
        for event in events:
            summary.events += 1
            if isinstance(event, Unreadable):
                # It takes a version all the same: those behind it are not misplaced because of it.
                summary.unreadable.append((event.version, event.why))
                continue
            summary._note_version(event)
            summary._note_commit(event)
            summary._note_end(event)
            if steps:
                summary._note_attempt(event)
        return summary

    def faults(self) -> Iterator[tuple[int, str]]:
        """Return what is wrong with the attempts of the run, each with the number of its invariant."""
        yield from self._faults
        for (step, attempt), count in self._ended.items():
            if count > 1:
                yield 3, f"attempt {attempt} of step {step} has {count} outcomes"

    def _note_version(self, event: Recorded) -> None:
        if event.version != self.events:
            self.misplaced.append(event.version)

    def _note_commit(self, event: Recorded) -> None:
        if event.commit == self.commit and self.events > 1:
            return
        # Events of one commit stand together: an id that comes back behind another one was applied twice.
        # Appends need not have an id, so the empty one may come back.
        if event.commit and event.commit in self._commits:
            self.again.append(event.commit)
        self._commits.add(event.commit)
        self.commit = event.commit

    def _note_end(self, event: Recorded) -> None:
        if event.type == REOPENED:
            self.closings.clear()
        elif event.type in CLOSED_AS:
            self.closings.append(event.version)
        if event.type not in AFTERWARDS:
            self.end = event.version

    def _note_attempt(self, event: Recorded) -> None:
        data = event.data if isinstance(event.data, dict) else {}
        step = str(data.get("step"))
        attempt = int(data.get("attempt", 0))
        if event.type in SCHEDULES:
            self._scheduled.add(str(data.get(SCHEDULES[event.type])))
        elif event.type == STARTED:
            self._note_start(step, attempt, int(data["fence"]))
        elif event.type in OUTCOMES and attempt:
            between_attempts = data.get("kind") in BETWEEN
            self._note_outcome(event.type, step, attempt, between_attempts)

    def _note_start(self, step: str, attempt: int, fence: int) -> None:
        if step not in self._scheduled:
            self._blame(3, f"step {step} was started without a schedule")
        if (step, attempt) in self._started:
            self._blame(3, f"attempt {attempt} of step {step} was claimed twice")
        # Fences rise over the whole run, not only over a step: a late outcome is refused by that alone.
        if fence <= self._fence:
            self._blame(7, f"the fence of step {step}, attempt {attempt} did not rise")
        self._started.add((step, attempt))
        self._fence = fence

    def _note_outcome(
        self, kind: str, step: str, attempt: int, between_attempts: bool
    ) -> None:
        if between_attempts and self._ended[step, attempt]:
            return  # the attempt has ended before, and the limit ended the step behind it
        # A lost lease is no outcome yet: the same decision may draw a failure of that attempt from it.
        self._ended[step, attempt] += kind != LEASE_LOST
        if (step, attempt) not in self._started:
            self._blame(3, f"attempt {attempt} of step {step} ended without a start")

    def _blame(self, number: int, fault: str) -> None:
        self._faults.append((number, fault))
