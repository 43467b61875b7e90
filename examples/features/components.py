"""Small components for the examples of the language."""

from __future__ import annotations

import asyncio
from typing import Any

from openagents_json import Context, NonRetryableError, RetryableError, tool


@tool("demo.echo", effect="pure")
def echo(value: Any = None) -> Any:
    """Return back what it is given."""
    return value


@tool("demo.add", effect="pure")
def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


@tool("demo.flaky", effect="idempotent")
def flaky(context: Context, failures: int = 1) -> int:
    """Fail in the first attempts; gives the number of the one that succeeded."""
    if context.attempt <= failures:
        raise RetryableError("not yet")
    return context.attempt


@tool("demo.decline", effect="idempotent")
def decline(reason: str = "declined") -> None:
    """Fail for good."""
    raise NonRetryableError(reason)


@tool("demo.pick", effect="idempotent")
def pick(value: Any, bad: Any = "bad") -> Any:
    """Return back what it is given, unless it is bad."""
    if value == bad:
        raise NonRetryableError(f"{value} is bad")
    return value


@tool("demo.book", effect="compensable")
def book(context: Context, what: str) -> str:
    """Book something; the reference is the same in every attempt."""
    return f"{what}:{context.step_id}"


@tool("demo.unbook", effect="idempotent")
def unbook(reference: str) -> str:
    """Undo a booking."""
    return f"undone {reference}"


@tool("demo.slow")
async def slow(seconds: float = 60.0) -> str:
    """Take a while, without holding a thread."""
    await asyncio.sleep(seconds)
    return "done"


@tool("demo.say")
async def say(context: Context, text: str) -> str:
    """Show a text word by word, then give it back."""
    for word in text.split():
        context.emit(word + " ")
        await asyncio.sleep(0.01)
    return text
