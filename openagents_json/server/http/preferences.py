"""What callers prefer (RFC 7240): how long an answer may wait for the end of a run."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Coroutine
from typing import Annotated, Any, Final

from fastapi import Depends, Header

from openagents_json.engine import (
    Engine,
    OutputMismatch,
    RunHandle,
    RunNotCompleted,
)

LONGEST_SECONDS: Final = 300
_WAIT: Final = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?(?:$|[,;\s])")


async def _seconds(
    prefer: Annotated[
        str,
        Header(
            description="`wait=30`: answer when the run has ended, at most so many seconds later.",
            examples=["wait=30"],
        ),
    ] = "",
) -> int:
    """Return the seconds that a caller would wait; what is not understood is ignored, as the RFC says."""
    match = _WAIT.search(prefer)
    return min(int(match[1]), LONGEST_SECONDS) if match else 0


WaitSeconds = Annotated[int, Depends(_seconds)]


async def has_ended(
    engine: Engine, run: str, seconds: float, stopping: asyncio.Event
) -> bool:
    """Wait for the end of a run without a thread, and tell whether it came in time, before the service is stopping.

    Raises RunNotFound and StoreUnavailable.
    """
    return await _in_time(_end(engine, run), seconds, stopping)


async def has_moved(
    engine: Engine, run: str, after: int, seconds: float, stopping: asyncio.Event
) -> bool:
    """Wait for an event of a run behind a version, and tell whether one came in time; none comes when it has ended.

    Raises RunNotFound and StoreUnavailable.
    """
    events = RunHandle[Any](run, engine).aevents(after=after)
    return await _in_time(_first(events), seconds, stopping)


async def _first(events: AsyncIterator[Any]) -> None:
    async for _ in events:
        return


async def _in_time(
    coming: Coroutine[Any, Any, None], seconds: float, stopping: asyncio.Event
) -> bool:
    """Wait for something, and tell whether it came in time, before the service is stopping."""
    end = asyncio.ensure_future(coming)
    stop = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait(
            {end, stop}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        if not end.done():
            return False
        end.result()  # raises what kept it from being seen
        return True
    finally:
        stop.cancel()
        end.cancel()


async def _end(engine: Engine, run: str) -> None:
    try:
        await RunHandle(run, engine)
    except (RunNotCompleted, OutputMismatch):
        return  # how it ended is in the answer
