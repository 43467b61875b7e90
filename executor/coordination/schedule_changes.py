"""A schedule that is changed: what stays of it, and what it has come to before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Final

from executor.coordination.schedule_progress import Progress
from executor.coordination.schedule_times import Schedule, check, next_firing
from executor.errors import InvalidSchedule

FIXED: Final = frozenset({"name", "paused"})
"""What is not changed so: another name is another schedule, and a pause says what becomes of the times in it."""

_OF_TIMES: Final = ("cron", "every_seconds", "timezone")


def changed_schedule(before: Schedule, changes: Mapping[str, Any]) -> Schedule:
    """Return a schedule with changes; a cron expression takes the place of an interval, and the other way around.

    Raises InvalidSchedule.
    """
    changeable = {field.name for field in fields(Schedule)} - FIXED
    unknown = sorted(changes.keys() - changeable)
    if unknown:
        raise InvalidSchedule(
            f"{', '.join(unknown)} of a schedule cannot be changed",
            remedy=f"{', '.join(sorted(changeable))} can",
        )
    rule: dict[str, Any] = {}
    if changes.get("cron"):
        rule = {"every_seconds": 0.0}
    elif changes.get("every_seconds"):
        rule = {"cron": ""}
    after = replace(before, **(rule | dict(changes)))
    check(after)
    return after


def changed_progress(
    progress: Progress, before: Schedule, after: Schedule, now: int
) -> Progress:
    """Return how far a changed schedule has come: other times count from now on, and what it has started is kept."""
    has_other_times = any(
        getattr(before, name) != getattr(after, name) for name in _OF_TIMES
    )
    if has_other_times:
        following = next_firing(after, now, now)
        progress = replace(progress, anchor_ms=now, next_ms=following)
    waiting = progress.waiting if after.overlap == "queue" else ()
    return replace(progress, waiting=waiting, error="")


def going_on(fresh: Progress, before: Progress, schedule: Schedule) -> Progress:
    """Return the progress of a schedule that takes the place of another: what that has started is not forgotten.

    Else its first firing would begin beside the last run of the one before, whatever it says about overlaps.
    """
    waiting = before.waiting if schedule.overlap == "queue" else ()
    return replace(
        before,
        anchor_ms=fresh.anchor_ms,
        next_ms=fresh.next_ms,
        waiting=waiting,
        error="",
    )
