"""Components of two worker types that wait, compute, or take more memory than they may."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from openagents_json import Context, agent, capability, tool


@agent("sluggish")
class Sluggish:
    """Waits for a file."""

    @capability(effect="idempotent")
    def wait(self, marker: str) -> str:
        """Come back when there is a file."""
        while not Path(marker).exists():
            threading.Event().wait(0.02)
        return "there"


@tool("brisk", effect="idempotent")
def brisk(n: int = 0) -> int:
    """Return the next number."""
    return n + 1


@tool("careful", effect="at_most_once")
def careful() -> str:
    """Be done once."""
    return "once"


@tool("floating")
async def floating(n: int = 0) -> int:
    """Return the next number, from an event loop."""
    await asyncio.sleep(0)
    return n + 1


@tool("greedy", effect="idempotent")
def greedy(context: Context, megabytes: int) -> int:
    """Take memory bit by bit in the first attempt, and keep it."""
    kept = []
    if context.attempt == 1:
        context.usage(model="m", cost=1)
        for _ in range(megabytes):
            kept.append(b"x" * 1024 * 1024)
            threading.Event().wait(0.001)
        threading.Event().wait(60)
    return context.attempt


@tool("gulping", effect="idempotent")
def gulping(context: Context, megabytes: int) -> int:
    """Take memory in one go, in the first attempt."""
    return len(b"x" * megabytes * 1024 * 1024) if context.attempt == 1 else 2


_hoard: list[bytes] = []


@tool("hoarding", effect="at_most_once")
def hoarding(megabytes: int) -> int:
    """Keep memory that nobody needs any more."""
    _hoard.append(b"x" * megabytes * 1024 * 1024)
    return len(_hoard)
