"""Both clients by the same calls: those of the one for event loops are awaited here."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from openagents_json.client import AsyncClient, Client

COLOURS = ("blocking", "awaiting")


class Awaited:
    """A part of an async client whose calls are awaited as they are made."""

    def __init__(self, part: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._part = part
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        """Return a call that is awaited, or a group of such calls."""
        value = getattr(self._part, name)
        if not callable(value):
            is_group = type(value).__module__.startswith("openagents_json.client")
            return Awaited(value, self._loop) if is_group else value

        def call(*arguments: Any, **named: Any) -> Any:
            given = value(*arguments, **named)
            if inspect.isawaitable(given):
                given = self._loop.run_until_complete(_of(given))
            if hasattr(given, "__aiter__"):
                return self._each(given)
            return Awaited(given, self._loop) if hasattr(given, "is_new") else given

        return call

    def _each(self, given: Any) -> Iterator[Any]:
        async def following() -> Any:
            return await anext(given, None)

        try:
            while (item := self._loop.run_until_complete(following())) is not None:
                yield item
        finally:
            self._loop.run_until_complete(given.aclose())


async def _of(awaitable: Any) -> Any:
    """Await a coroutine: a handle is an awaitable, and stays one."""
    return await awaitable


@contextmanager
def client_of(colour: str, url: str, **options: Any) -> Iterator[Any]:
    """Give a client of a colour, which is called like the one for threads."""
    if colour == "blocking":
        with Client(url, **options) as client:
            yield client
        return
    loop = asyncio.new_event_loop()
    awaiting = AsyncClient(url, **options)
    try:
        yield Awaited(awaiting, loop)
    finally:
        loop.run_until_complete(awaiting.close())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
