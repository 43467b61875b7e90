"""What happens, as it happens: server-sent events whose ids are positions in the log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from openagents_json.engine import OpenAgentsError, RunHandle
from openagents_json.server.http.access import AsViewer, Stopping
from openagents_json.server.http.bodies import StrictRoute
from openagents_json.server.http.problems import of_error
from openagents_json.server.http.replies import json_bytes

router = APIRouter(route_class=StrictRoute, tags=["live"])

HEARTBEAT_SECONDS: Final = 15
_FIRST: Final = asyncio.FIRST_COMPLETED
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_FEED: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"text/event-stream": {}}, "description": "A feed without end."}
}

_DESCRIPTION: Final = "The id of the last event that was seen."

LastVersion = Annotated[
    str, Header(alias="last-event-id", pattern=r"^\d{0,18}$", description=_DESCRIPTION)
]
LastEntry = Annotated[
    str,
    Header(
        alias="last-event-id",
        pattern=r"^(\d{1,18}-\d{1,18})?$",
        description=_DESCRIPTION,
    ),
]


@router.get(
    "/runs/{run}/events",
    operation_id="followRun",
    response_class=StreamingResponse,
    responses=_FEED,
)
async def follow_run(
    run: str, engine: AsViewer, stopping: Stopping, last_event_id: LastVersion = ""
) -> Response:
    """Follow the events of a run until it has ended; a feed that broke off goes on behind `Last-Event-ID`."""
    await run_in_threadpool(engine.state, run)  # one that is not there is a 404
    events = RunHandle[Any](run, engine).aevents(after=int(last_event_id or 0))
    messages = (
        message(str(event.version), event.type, event) async for event in events
    )
    return _feed(messages, stopping)


@router.get(
    "/runs/{run}/output",
    operation_id="followRunOutput",
    response_class=StreamingResponse,
    responses=_FEED,
)
async def follow_output(
    run: str, engine: AsViewer, stopping: Stopping, last_event_id: LastEntry = ""
) -> Response:
    """Follow what the components of a run show while they run, such as tokens of a language model."""
    await run_in_threadpool(engine.state, run)
    shown = RunHandle[Any](run, engine).aemissions(after=last_event_id or "0-0")
    messages = (message(entry.id, "emission", entry) async for entry in shown)
    return _feed(messages, stopping)


def _feed(messages: AsyncIterator[bytes], stopping: asyncio.Event) -> Response:
    body = with_heartbeats(messages, HEARTBEAT_SECONDS, stopping)
    return StreamingResponse(body, 200, _HEADERS, "text/event-stream")


def message(position: str, kind: str, value: Any) -> bytes:
    """Return an event as it stands in a feed."""
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (
        position.encode(),
        kind.encode(),
        json_bytes(value),
    )


async def with_heartbeats(
    messages: AsyncIterator[bytes], seconds: float, stopping: asyncio.Event
) -> AsyncIterator[bytes]:
    """Return messages with a comment wherever none came for some time, and one that says that it is over.

    Who is between sees by the comments that the connection lives, and we that the caller has gone. When the service
    is stopping, the feed breaks off: who follows it goes on with another instance, behind what was seen last.
    """
    stop = asyncio.ensure_future(stopping.wait())
    coming: asyncio.Task[bytes] | None = None
    try:
        while not stopping.is_set():
            coming = coming or asyncio.ensure_future(_next(messages))
            await asyncio.wait({coming, stop}, timeout=seconds, return_when=_FIRST)
            if coming.done():
                arrived, coming = coming, None
                yield arrived.result()
            elif not stopping.is_set():
                yield b": still here\n\n"
    except StopAsyncIteration:
        yield b"event: end\ndata: {}\n\n"
    except OpenAgentsError as error:
        yield b"event: error\ndata: %s\n\n" % bytes(of_error(error).body)
    finally:
        stop.cancel()
        if coming is not None:
            coming.cancel()


async def _next(messages: AsyncIterator[bytes]) -> bytes:
    return await anext(messages)
