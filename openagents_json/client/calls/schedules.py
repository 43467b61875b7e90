"""Schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from openagents_json.client.calls.call import Call, get, nothing, path, post
from openagents_json.client.calls.starting import id_of
from openagents_json.engine import plain

if TYPE_CHECKING:
    from openagents_json.engine import Firing, Progress, Schedule

IF_NEW: Final = {"If-None-Match": "*"}
"""What puts something where nothing is yet (RFC 9110)."""


def every() -> Call[list[tuple[Schedule, Progress]]]:
    """Return the call for all schedules."""

    def read(value: Any) -> list[tuple[Schedule, Progress]]:
        return [_read(one) for one in value]

    return get(path("schedules"), read)


def one(name: str) -> Call[tuple[Schedule, Progress]]:
    """Return the call for a schedule."""
    return get(path("schedules", name), _read)


def put(schedule: Schedule, *, replace_it: bool) -> Call[Progress]:
    """Return the call that creates a schedule, or replaces it; twice, only what replaces does the same."""

    def read(value: Any) -> Progress:
        return _read(value)[1]

    body = plain(schedule)
    name = body.pop("name")
    return Call(
        "PUT",
        path("schedules", name),
        read,
        body=body,
        headers={} if replace_it else IF_NEW,
        repeatable=replace_it,
    )


def delete(name: str) -> Call[None]:
    """Return the call that removes a schedule."""
    return Call("DELETE", path("schedules", name), nothing)


def pause(name: str, key: str, *, paused: bool) -> Call[None]:
    """Return the call that pauses a schedule, or lets it fire again."""
    action = "pause" if paused else "resume"
    return post(path("schedules", name, action), {}, nothing, key=key)


def trigger(name: str, key: str) -> Call[str]:
    """Return the call that starts a run of a schedule now."""
    return post(path("schedules", name, "trigger"), {}, id_of, key=key)


def next_firings(name: str, count: int) -> Call[list[Firing]]:
    """Return the call for when a schedule fires next."""
    from openagents_json.engine import Firing

    def read(value: Any) -> list[Firing]:
        return msgspec.convert(value, list[Firing])

    return get(path("schedules", name, "next"), read, count=count)


def _read(value: Any) -> tuple[Schedule, Progress]:
    from openagents_json.engine import Progress, Schedule

    schedule = msgspec.convert(value["schedule"], Schedule)
    return schedule, msgspec.convert(value["progress"], Progress)
