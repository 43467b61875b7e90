"""The events of a run, checked one after the other as they are read: nothing of them but names and numbers is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

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
    _wrong: list[tuple[int, str]] = field(default_factory=list)

    @classmethod
    def of(
        cls, run: str, events: Iterable[Recorded | Unreadable], *, steps: bool = True
    ) -> HistorySummary:
        """Check events; those of other streams than runs without `steps`, because they may say anything."""
        course = cls(run)
        for item in events:
            if isinstance(item, Unreadable):
                course.events += 1
                course.unreadable.append((item.version, item.why))
                continue
            course._add(item)
            if steps:
                course._attempt(item, item.data if isinstance(item.data, dict) else {})
        return course

    def faults(self) -> Iterator[tuple[int, str]]:
        """Return what is wrong with the attempts of the run, each with the number of its invariant."""
        yield from self._wrong
        for (step, attempt), count in self._ended.items():
            if count > 1:
                yield 3, f"attempt {attempt} of step {step} has {count} outcomes"

    def _add(self, item: Recorded) -> None:
        self.events += 1
        if item.version != self.events:
            self.misplaced.append(item.version)
        if item.commit != self.commit or self.events == 1:
            if (
                item.commit and item.commit in self._commits
            ):  # appends need not have an id
                self.again.append(item.commit)
            self._commits.add(item.commit)
            self.commit = item.commit
        self._close(item)

    def _close(self, item: Recorded) -> None:
        if item.type == REOPENED:
            self.closings.clear()
        elif item.type in CLOSED_AS:
            self.closings.append(item.version)
        if item.type not in AFTERWARDS:
            self.end = item.version

    def _attempt(self, item: Recorded, data: dict[str, Any]) -> None:
        step, attempt = str(data.get("step")), int(data.get("attempt", 0))
        if item.type in SCHEDULES:
            self._scheduled.add(str(data.get(SCHEDULES[item.type])))
        elif item.type == STARTED:
            self._start(step, attempt, int(data["fence"]))
        elif item.type in OUTCOMES and attempt:
            if self._ended[step, attempt] and data.get("kind") in BETWEEN:
                return
            self._ended[step, attempt] += item.type != LEASE_LOST
            if (step, attempt) not in self._started:
                self._wrong.append(
                    (3, f"attempt {attempt} of step {step} ended without a start")
                )

    def _start(self, step: str, attempt: int, fence: int) -> None:
        if step not in self._scheduled:
            self._wrong.append((3, f"step {step} was started without a schedule"))
        if (step, attempt) in self._started:
            self._wrong.append(
                (3, f"attempt {attempt} of step {step} was claimed twice")
            )
        if fence <= self._fence:
            self._wrong.append(
                (7, f"the fence of step {step}, attempt {attempt} did not rise")
            )
        self._started.add((step, attempt))
        self._fence = fence
