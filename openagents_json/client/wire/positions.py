"""Where the log was behind what this client has written: sent along, so that every instance answers from behind it."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Final

import httpx

TOLD: Final = "X-Log-Position"
ASKED: Final = "If-Position"
MOST: Final = 32
"""So many positions are kept: as many as writes are under way at a time, as each answer has those it was asked with."""


class SeenPositions:
    """The positions that a client has been told and that no other one is behind of; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._positions: dict[str, None] = {}

    def put_into(self, request: httpx.Request) -> None:
        """Let a request be answered from behind them."""
        with self._lock:
            positions = ",".join(self._positions)
        if positions:
            request.headers[ASKED] = positions

    def take(self, request: httpx.Request, response: httpx.Response) -> None:
        """Keep the position of an answer, in the place of those that it was asked with."""
        told = response.headers.get(TOLD)
        if told:
            self._replace(request, [told])

    def forget(self, request: httpx.Request) -> None:
        """Keep no longer what a request was asked with: the store has lost it."""
        self._replace(request, [])

    def _replace(self, request: httpx.Request, positions: Iterable[str]) -> None:
        asked = request.headers.get(ASKED, "").split(",")
        with self._lock:
            for position in asked:
                self._positions.pop(position, None)
            for position in positions:
                self._positions[position] = None
            while len(self._positions) > MOST:
                self._positions.pop(next(iter(self._positions)))
