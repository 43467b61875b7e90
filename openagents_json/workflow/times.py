"""Durations and times as documents write them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, TypeGuard

from openagents_json.workflow.errors import InvalidTime
from openagents_json.workflow.types import Json, type_name

MAX_WAIT_MS: Final = 100 * 366 * 24 * 3600 * 1000
"""No wait is longer than a hundred years."""


def delay_of(seconds: Json) -> int:
    """Return seconds, a number or its text, as ms.

    Raises InvalidTime.
    """
    try:
        value = float(seconds) if isinstance(seconds, str) else seconds
    except ValueError:
        value = None
    if not _is_number(value) or not 0 <= value * 1000 <= MAX_WAIT_MS:
        raise InvalidTime(
            f"{_shown(seconds)} is not a number of seconds between 0 and a hundred years"
        )
    return round(value * 1000)


def _is_number(value: Json) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def moment_of(value: Json) -> int:
    """Return a time, ISO 8601 (UTC when it says no zone) or seconds since 1970, as ms since 1970.

    Raises InvalidTime.
    """
    if _is_number(value) and 0 <= value * 1000 <= 4 * MAX_WAIT_MS:
        return max(1, round(value * 1000))
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip().replace("Z", "+00:00"))
            whole = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
            return max(1, round(whole.timestamp() * 1000))
        except (ValueError, OverflowError):
            pass
    raise InvalidTime(
        f"{_shown(value)} is not a time",
        remedy="write it as 2030-01-31T09:00:00Z or as seconds since 1970",
    )


def _shown(value: Json) -> str:
    if isinstance(value, str | int | float):
        return repr(value)[:60]
    return type_name(value)
