"""Components for fault tests: short, retried, slow and asynchronous steps."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from openagents_json import Context, RetryableError, tool


@tool("quick", effect="pure")
def quick(n: int = 0) -> int:
    """Return the next number."""
    return n + 1


@tool("slow", effect="idempotent")
def slow(ms: int = 50) -> int:
    """Take a while."""
    threading.Event().wait(ms / 1000)
    return ms


@tool("flaky", effect="idempotent")
def flaky(context: Context, failures: int = 1) -> int:
    """Fail in the first attempts."""
    if context.attempt <= failures:
        raise RetryableError("not yet")
    return context.attempt


@tool("noted", effect="idempotent")
def noted(context: Context, n: int = 0, ms: int = 0, notes: str = "") -> int:
    """Note in a file that it ran, then take a while."""
    with Path(notes).open("a") as file:
        file.write(f"{n} ")
    context.token.wait(ms / 1000)
    return n


@tool("waits")
async def waits(ms: int = 20) -> int:
    """Wait on the event loop."""
    await asyncio.sleep(ms / 1000)
    return ms
