"""Feeds of a service: comments while nothing happens, and an end or an error that is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from openagents_json.engine import RunNotFound
from openagents_json.server.execution.live import message, with_heartbeats

HEARTBEAT = b": still here\n\n"
END = b"event: end\ndata: {}\n\n"
NEWS = message("7", "emission", "a word")


def test_a_feed_shows_that_it_lives_while_nothing_happens() -> None:
    async def followed() -> list[bytes]:
        happens = asyncio.Event()

        async def quiet() -> AsyncIterator[bytes]:
            await happens.wait()
            yield NEWS

        seen = []
        async for piece in with_heartbeats(quiet(), 0.001, asyncio.Event()):
            seen.append(piece)
            happens.set()
        return seen

    first, *rest = asyncio.run(followed())
    assert first == HEARTBEAT
    assert [piece for piece in rest if piece != HEARTBEAT] == [NEWS, END]


def test_an_error_in_a_feed_is_told_in_it() -> None:
    async def followed() -> list[bytes]:
        async def gone() -> AsyncIterator[bytes]:
            yield NEWS
            raise RunNotFound("0-gone")

        return [piece async for piece in with_heartbeats(gone(), 60, asyncio.Event())]

    first, told = asyncio.run(followed())
    assert first == NEWS
    assert told.startswith(b"event: error\ndata: {")
    assert b'"code":"run_not_found"' in told
