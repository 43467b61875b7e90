"""Positions of the log: told with each write, and waited for by who reads behind one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from starlette.responses import Response

from openagents_json.engine import RunHandle
from openagents_json.engine.consistency.errors import (
    InvalidPosition,
    PositionNotReached,
)
from openagents_json.engine.consistency.positions import merged, token_of
from openagents_json.server.http.access import services_of

PATIENCE_SECONDS: Final = 5.0
"""How long a store that is behind is waited for, as after a failover."""

_PAUSE_SECONDS: Final = 0.05
_WORK: Final = "leases"

_LONGEST: Final = 16_000

DECLARED: Final = {
    "name": "if-position",
    "in": "header",
    "required": False,
    "description": "Answer from behind this `X-Log-Position`; several are parted by commas.",
    "schema": {
        "type": "string",
        "title": "If-Position",
        "description": "Answer from behind this `X-Log-Position`; several are parted by commas.",
        "maxLength": _LONGEST,
        "default": "",
    },
}
"""The header as the document of an operation says it: it is read before the operation begins."""


async def reached(request: Request) -> Mapping[int, int]:
    """Wait until the store is where the caller has seen it, and return that position.

    Raises InvalidPosition, PositionNotReached and StoreUnavailable.
    """
    text = request.headers.get("if-position", "")
    if not text:
        return {}
    if len(text) > _LONGEST:
        raise InvalidPosition
    services = services_of(request)
    positions = services.positions
    asked = positions.parse(text)
    until = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while not positions.is_known(asked):
        if await run_in_threadpool(positions.has, asked):
            break
        is_over = asyncio.get_running_loop().time() >= until
        if is_over or services.stopping.is_set():
            raise PositionNotReached
        await asyncio.sleep(_PAUSE_SECONDS)
    return asked


async def tell_position(
    route: APIRoute, request: Request, response: Response, asked: Mapping[int, int]
) -> None:
    """Say where the log is behind a write, and behind what its caller has seen before.

    What workers say of their steps has none: it is for them to write, and for others to read.
    """
    has_written = request.method != "GET" and response.status_code < 400
    only_reads = getattr(route.endpoint, "only_reads", False)
    if not has_written or only_reads or _WORK in route.tags:
        return
    positions = services_of(request).positions
    there: Mapping[int, int] | None = getattr(request.state, "position", None)
    if there is None:
        runs = _runs_of(request, response)
        there = await run_in_threadpool(positions.after, runs)
    token = token_of(merged([asked, there]))
    response.headers["X-Log-Position"] = token


def note_start(request: Request, handle: RunHandle[Any]) -> None:
    """Keep where the log was behind the start of a run, where that was told with it: nobody has to ask again."""
    if handle.log_position:
        positions = services_of(request).positions
        request.state.position = positions.of(handle.id, handle.log_position)


def _runs_of(request: Request, response: Response) -> Sequence[str] | None:
    """Return the runs that a write was about, None where it was about something else, or many."""
    run = request.path_params.get("run", "")
    begun = response.headers.get("location", "").removeprefix("/v1/runs/")
    runs = [name for name in (run, begun) if name]
    return runs or None
