"""The view of workers: what each process has begun, ended and lost."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from eventstore.event import Recorded
from openagents_json.workflow.core.event_traits import Attempt
from openagents_json.workflow.core.event_types import names_by_attempt
from projections.projection import Projection, counted_before

_COUNTS: Final = names_by_attempt(
    {
        Attempt.BEGUN: "started",
        Attempt.COMPLETED: "completed",
        Attempt.FAILED: "failed",
        Attempt.TIMED_OUT: "failed",
        Attempt.LOST: "lost",
        Attempt.LATE: "ignored",
        Attempt.GIVEN_BACK: None,
        Attempt.CANCELLED: None,
        Attempt.OVERRIDDEN: None,
    }
)
"""The name of an event -> what it is counted as, by the view of workers."""

_PROCESS: Final = re.compile(r"(?!relay:|http:)(.+:\d+:[0-9a-z]{5})(?:/\d+)?|(http:.+)")
"""The id of a process, with the number of one of its drains; or the name of a worker over HTTP."""


def _key(event: Recorded) -> str | None:
    if counted_before(event):
        return None
    match = _PROCESS.fullmatch(str(event.data.get("worker") or event.actor))
    if match:
        return match[1] or match[2]
    return None


def _apply(worker: dict[str, Any] | None, event: Recorded) -> dict[str, Any]:
    before = worker or {"first_ms": event.time_ms}
    name = _COUNTS[event.type]
    return {**before, name: before.get(name, 0) + 1, "last_ms": event.time_ms}


WORKERS: Final = Projection(
    "workers", _apply, key=_key, types=frozenset(_COUNTS), sums=True
)


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Put together what two partitions know of a worker."""
    names = {*one, *other} - {"first_ms", "last_ms"}
    counts = {name: one.get(name, 0) + other.get(name, 0) for name in names}
    return {
        **counts,
        "first_ms": min(one["first_ms"], other["first_ms"]),
        "last_ms": max(one["last_ms"], other["last_ms"]),
    }
