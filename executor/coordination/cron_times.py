"""The times of a cron expression in a time zone, with one rule for changes of the clocks.

Between two changes of its clocks, a zone is a fixed offset from UTC, and an expression is matched on the plain local
time. At a change, it depends on what the expression says of the time of day:

- *Interval-like*: seconds, minutes or hours begin with `*`. It fires whenever the clocks show a time that matches: not
  at a time that the clocks leave out, and twice at one that they show twice, so that the intervals stay even.
- *Fixed*: none of them does. It fires once for each time: what the clocks leave out is made up for at the moment of the
  change, once, and of a time that they show twice the first one counts.

Five fields are six with the second 0. The days are those of cron in Debian.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Final

from executor.errors import InvalidCron

if TYPE_CHECKING:
    from cronsim import CronSim

EPOCH: Final = datetime(1970, 1, 1)
DAY_SECONDS: Final = 24 * 3600
HORIZON_SECONDS: Final = 50 * 366 * DAY_SECONDS
"""An expression that fires at no time for so long is not looked for any further."""


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression that was read; `fixed` tells that it names times of the day."""

    fields: CronSim
    hours: tuple[int, ...]
    minutes: tuple[int, ...]
    seconds: tuple[int, ...]
    fixed: bool

    def on(self, day: date) -> bool:
        """Tell whether it fires on a day."""
        return day.month in self.fields.months and self.fields.match_day(day)

    def times(self, start: int) -> Iterator[int]:
        """Return the seconds of a day at which it fires, from one on."""
        for hour in self.hours:
            if (hour + 1) * 3600 <= start:
                continue
            for minute in self.minutes:
                at = hour * 3600 + minute * 60
                if at + 60 <= start:
                    continue
                times = (at + second for second in self.seconds)
                yield from (time for time in times if time >= start)


def parse(expression: str) -> Cron:
    """Read an expression of five or six fields.

    Raises InvalidCron.
    """
    # Imported only for schedules that have a cron expression: it would slow every start of a process.
    from cronsim import CronSim, CronSimError

    try:
        fields = CronSim(expression, EPOCH)
    except CronSimError as error:
        raise InvalidCron(f"cron expression {expression!r}: {error}") from error
    fixed = not any(part.startswith("*") for part in fields.parts[:3])
    return Cron(
        fields,
        hours=tuple(sorted(fields.hours)),
        minutes=tuple(sorted(fields.minutes)),
        seconds=tuple(sorted(fields.seconds)),
        fixed=fixed,
    )


def moments(cron: Cron, zone: tzinfo, after: int) -> Iterator[int]:
    """Return the times at which an expression fires after a time, in seconds since 1970, in order.

    It ends when nothing fires for fifty years.
    """
    start = after
    last = after
    try:
        while start - last < HORIZON_SECONDS:
            end = _same_offset(zone, start)
            for at in _between(cron, zone, start, end):
                if at > last:
                    yield at
                    last = at
            start = end
    except OverflowError:  # the calendar ends with the year 9999
        return


def _between(cron: Cron, zone: tzinfo, start: int, end: int) -> Iterator[int]:
    """Return the firings from a time on and before another, with one offset from UTC between them."""
    offset = _offset(zone, start)
    before = _offset(zone, start - 1)
    put_forward = before < offset
    if cron.fixed and put_forward:
        left_out = _first(cron, start + before, start + offset)
        if left_out is not None:
            yield start
    for local in _matching(cron, start + offset, end + offset):
        if not cron.fixed or _is_first(local, zone, offset):
            yield local - offset


def _is_first(local: int, zone: tzinfo, offset: int) -> bool:
    """Tell whether the clocks show a local time for the first time at this offset."""
    shown = (EPOCH + timedelta(seconds=local)).replace(tzinfo=zone, fold=0)
    return int(shown.utcoffset().total_seconds()) <= offset  # type: ignore[union-attr]


def _first(cron: Cron, start: int, end: int) -> int | None:
    return next(_matching(cron, start, end), None)


def _matching(cron: Cron, start: int, end: int) -> Iterator[int]:
    """Return the plain local times that match, from one on and before another, in seconds since 1970."""
    day = (EPOCH + timedelta(seconds=start)).date()
    midnight = (day - EPOCH.date()).days * DAY_SECONDS
    while midnight < end:
        if cron.on(day):
            for at in cron.times(start - midnight):
                if midnight + at >= end:
                    return
                yield midnight + at
        day += timedelta(days=1)
        midnight += DAY_SECONDS


def _offset(zone: tzinfo, at: int) -> int:
    """Return the offset from UTC at a time, in seconds."""
    moment = (EPOCH + timedelta(seconds=at)).replace(tzinfo=UTC).astimezone(zone)
    return int(moment.utcoffset().total_seconds())  # type: ignore[union-attr]


def _same_offset(zone: tzinfo, start: int) -> int:
    """Return an end, at most a day later, up to which the offset from UTC stays what it is."""
    offset = _offset(zone, start)
    same = start
    other = start + DAY_SECONDS
    if _offset(zone, other) == offset:
        return other
    while other - same > 1:
        middle = (same + other) // 2
        if _offset(zone, middle) == offset:
            same = middle
        else:
            other = middle
    return other
