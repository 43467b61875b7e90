"""When a schedule fires: cron expressions and intervals, in a time zone, with a jitter that can be computed again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from executor.coordination import cron_times
from executor.coordination.overlaps import OVERLAPS
from executor.coordination.zones import zone
from executor.errors import InvalidCron, InvalidSchedule, UnknownZone
from openagents_json.workflow.types import Json

HORIZON_MS: Final = 50 * 366 * 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Schedule:
    """What somebody asked for: `cron` or `every_seconds`, in `timezone`, with what happens when runs overlap.

    A firing that is late by more than `catchup_seconds` is not made up for. `jitter_seconds` spreads the starts.
    """

    name: str
    workflow: str
    cron: str = ""
    every_seconds: float = 0.0
    timezone: str = "UTC"
    inputs: Mapping[str, Json] | None = None
    overlap: str = "skip"
    catchup_seconds: float = 3600.0
    jitter_seconds: float = 0.0
    labels: Mapping[str, str] | None = None
    paused: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Firing:
    """A time of a schedule, and when its run starts: later, where the schedule has a jitter; ms since 1970."""

    nominal_ms: int
    starts_ms: int


def from_json(data: Mapping[str, Any]) -> Schedule:
    """Read a schedule; fields of a newer version are dropped."""
    names = {field.name for field in fields(Schedule)}
    return Schedule(**{name: data[name] for name in names & data.keys()})


def check(schedule: Schedule) -> None:
    """Refuse a schedule that cannot be.

    Raises InvalidSchedule.
    """
    if not schedule.name or not schedule.workflow:
        raise InvalidSchedule("a schedule needs a name and a workflow")
    if "|" in schedule.name:
        raise InvalidSchedule(
            f"the name {schedule.name!r} has a |, which no name of a schedule may have"
        )
    if bool(schedule.cron) == bool(schedule.every_seconds):
        raise InvalidSchedule(
            "a schedule needs a cron expression or an interval, and not both"
        )
    is_out_of_range = (
        schedule.every_seconds and not 1 <= schedule.every_seconds <= HORIZON_MS / 1000
    )
    if is_out_of_range:
        raise InvalidSchedule(
            f"an interval of {schedule.every_seconds:g} s is not between a second and fifty years"
        )
    if schedule.overlap not in OVERLAPS:
        raise InvalidSchedule(
            f"overlap {schedule.overlap!r} is none of {', '.join(OVERLAPS)}"
        )
    for seconds in (schedule.catchup_seconds, schedule.jitter_seconds):
        if not 0 <= seconds <= HORIZON_MS / 1000:
            raise InvalidSchedule(
                "the catch-up limit and the jitter are numbers of seconds from 0 to fifty years"
            )
    _check_clock(schedule)


def _check_clock(schedule: Schedule) -> None:
    try:
        zone(schedule.timezone)
        if schedule.cron:
            cron_times.parse(schedule.cron)
    except (UnknownZone, InvalidCron) as error:
        raise InvalidSchedule(str(error)) from error


def firings(schedule: Schedule, after_ms: int, anchor_ms: int) -> Iterator[int]:
    """Return the nominal times after a time, in ms since 1970; intervals count from `anchor_ms`.

    Raises InvalidSchedule.
    """
    if schedule.cron:
        yield from _cron(schedule, after_ms)
        return
    step = round(schedule.every_seconds * 1000)
    number = max(1, (after_ms - anchor_ms) // step + 1)
    while True:
        yield anchor_ms + number * step
        number += 1


def _cron(schedule: Schedule, after_ms: int) -> Iterator[int]:
    try:
        cron = cron_times.parse(schedule.cron)
        where = zone(schedule.timezone)
    except (UnknownZone, InvalidCron) as error:
        raise InvalidSchedule(str(error)) from error
    return (at * 1000 for at in cron_times.moments(cron, where, after_ms // 1000))


def next_firing(schedule: Schedule, after_ms: int, anchor_ms: int) -> int | None:
    """Return the next nominal time, None when there is none."""
    return next(firings(schedule, after_ms, anchor_ms), None)


def start_of(schedule: Schedule, nominal_ms: int) -> int:
    """Return when a firing starts its run: its nominal time with the jitter, which name and time determine."""
    if not schedule.jitter_seconds:
        return nominal_ms
    text = f"{schedule.name}/{nominal_ms}"
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    share = int.from_bytes(digest, "big") / 2**64
    return nominal_ms + round(share * schedule.jitter_seconds * 1000)


def iso(at_ms: int) -> str:
    """Return a time as text."""
    epoch = datetime.fromtimestamp(0, UTC)
    moment = epoch + timedelta(milliseconds=at_ms)
    return moment.isoformat().replace("+00:00", "Z")
