"""Times and durations as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

import click

_UNITS: Final = {
    "ms": 1,
    "s": 1000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
}
LONGEST_MS: Final = 100 * 366 * 86_400_000
"""A hundred years; nobody means more."""

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")


def duration_ms(text: str) -> int | None:
    """Return a duration such as 90s, 15m, 2h or 7d in ms, None when it is none."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        return None
    duration = float(match[1]) * _UNITS[match[2]]
    if duration < LONGEST_MS:
        return int(duration)
    return None


def time_ms(text: str, now_ms: int) -> int | None:
    """Return a time, ISO 8601 (UTC unless it says otherwise) or how long ago (2h, 2h ago), in ms since 1970."""
    ago = duration_ms(text.strip().removesuffix(" ago"))
    if ago is not None:
        return now_ms - ago
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


class Time(click.ParamType):  # type: ignore[type-arg]
    """A time: 2026-11-23T08:00, or how long ago: 2h."""

    name = "TIME"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return the time in ms since 1970."""
        now_ms = int(datetime.now(UTC).timestamp() * 1000)  # noqa: TID251 - the edge of the program
        moment_ms = time_ms(str(value), now_ms)
        if moment_ms is None:
            self.fail(
                f"{value!r} is no time; write 2026-11-23T08:00, or how long ago: 90s, 15m, 2h, 7d",
                param,
                ctx,
            )
        return moment_ms


class Duration(click.ParamType):  # type: ignore[type-arg]
    """A duration: 90s, 15m, 2h."""

    name = "DURATION"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return the duration in ms."""
        duration = duration_ms(str(value))
        if duration is None:
            self.fail(
                f"{value!r} is no duration; write 250ms, 90s, 15m, 2h or 7d", param, ctx
            )
        return duration


def lasting(ms: float | None) -> str:
    """Return a duration in ms as people read it."""
    if ms is None:
        return ""
    if ms < 1000:
        return f"{ms:.0f} ms"
    seconds = ms / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds / 60:.1f} min"
    if seconds < 86_400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86_400:.1f} d"


def ago(time_ms: int, now_ms: int) -> str:
    """Return how long ago a time was, in one whole number of one unit."""
    passed = max(0, now_ms - time_ms)
    for unit in ("w", "d", "h", "m"):
        if passed >= _UNITS[unit]:
            return f"{passed // _UNITS[unit]}{unit} ago"
    return f"{passed // 1000}s ago"
