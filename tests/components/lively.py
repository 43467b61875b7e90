"""Components that look at their context: cancelled, silent, stubborn, large."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from openagents_json import Context, tool


@tool("obedient", effect="idempotent")
def obedient(context: Context, seconds: float = 30) -> str:
    """Wait until told to stop."""
    context.token.wait(seconds)
    context.raise_if_cancelled()
    return "in peace"


@tool("stubborn", effect="idempotent")
def stubborn(seconds: float = 1) -> str:
    """Wait, whatever one is told."""
    threading.Event().wait(seconds)
    return "done"


@tool("hangs_once", effect="idempotent")
def hangs_once(marker: str) -> str:
    """Wait for long, whatever one is told; done again, there is nothing to wait for."""
    if not Path(marker).exists():
        Path(marker).touch()
        threading.Event().wait(60)
    return "done"


@tool("once", effect="at_most_once")
def once(seconds: float = 1, marker: str = "") -> str:
    """Do what may not be done twice; a file says that it has begun."""
    if marker:
        Path(marker).touch()
    threading.Event().wait(seconds)
    return "done"


@tool("sleeper")
async def sleeper(seconds: float = 30) -> str:
    """Wait on the event loop."""
    await asyncio.sleep(seconds)
    return "rested"


@tool("beating", effect="idempotent")
def beating(context: Context, beats: int = 5, pause: float = 0.1) -> int:
    """Return heartbeats, then be silent for a pause."""
    for _ in range(beats):
        context.heartbeat()
        context.token.wait(0.05)
    context.token.wait(pause)
    return beats


@tool("large", effect="pure")
def large(size: int) -> dict[str, object]:
    """Return a text of a size, with a name that looks like a reference."""
    return {"text": "x" * size, "blobs": [["output"], "0" * 64, 1], "size": size}


@tool("measure", effect="pure")
def measure(text: str) -> int:
    """Return the length of a text."""
    return len(text)


@tool("key", effect="idempotent")
def key(context: Context) -> dict[str, object]:
    """Tell what the context says."""
    return {
        "run": context.run_id,
        "step": context.step_id,
        "key": context.idempotency_key,
        "attempt": context.attempt,
    }


@tool("leaves")
async def leaves() -> None:
    """Try to end the process."""
    raise SystemExit(3)


@tool("exits", effect="idempotent")
def exits() -> None:
    """Try to end the process."""
    raise SystemExit(3)
