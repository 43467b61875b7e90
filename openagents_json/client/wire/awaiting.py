"""Calls carried out on an event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx
from tenacity import AsyncRetrying

from openagents_json.client.calls.call import Call, FeedCall
from openagents_json.client.wire.address import ServiceAddress
from openagents_json.client.wire.certificates import trusted_certificates
from openagents_json.client.wire.feeds import SILENCE_SECONDS, Following
from openagents_json.client.wire.messages import (
    CONNECT_SECONDS,
    answer_of,
    problem_of,
    request_of,
    transport_error,
)
from openagents_json.client.wire.positions import SeenPositions
from openagents_json.client.wire.retrying import PASSING, RetryPolicy
from openagents_json.engine import PositionNotReached

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")


class AwaitingWire:
    """Connections to a service, kept open between calls; of one event loop."""

    def __init__(
        self,
        address: ServiceAddress,
        timeout: float,
        retrying: RetryPolicy,
        connections: int,
    ) -> None:
        self.url = address.url
        self._timeout = timeout
        self._retrying = retrying
        self._positions = SeenPositions()
        limits = httpx.Limits(max_connections=connections)
        self._http = httpx.AsyncClient(
            base_url=address.url,
            headers=address.headers(),
            limits=limits,
            verify=trusted_certificates(),
            follow_redirects=False,
        )

    async def carry_out(self, call: Call[Answer]) -> Answer:
        """Send a call and return its answer, tried again where that is safe.

        Raises the error that the engine would have raised, ServiceError, ServiceUnreachable and ServiceTimedOut.
        """
        sending = AsyncRetrying(**self._retrying.arguments(call))
        response: httpx.Response = await sending(self._send, call)
        try:
            return answer_of(call, response)
        except PositionNotReached:
            self._positions.forget(response.request)
            raise

    async def _send(self, call: Call[Any]) -> httpx.Response:
        request = request_of(self._http, call, self._timeout)
        self._positions.put_into(request)
        try:
            response = await self._http.send(request)
        except httpx.HTTPError as error:
            waited = self._timeout + call.wait_seconds
            raise transport_error(error, request, waited) from error
        self._positions.take(request, response)
        return response

    async def follow(self, call: FeedCall[Answer]) -> AsyncIterator[Answer]:
        """Follow a feed until it is over; where a connection breaks off, the next goes on behind what was seen."""
        feed = Following(call)
        while not feed.is_over:
            why = "the connection ended"
            try:
                async with self._opened(feed) as chunks:
                    async for content in chunks:
                        for answer in feed.taken(content):
                            yield answer
            except httpx.HTTPError as error:
                why = str(error) or type(error).__name__
            if not feed.is_over:
                log.debug("the feed %s broke off: %s", call.path, why)
                await asyncio.sleep(feed.broke_off(self.url, why))

    @asynccontextmanager
    async def _opened(
        self, feed: Following[Any]
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a connection for a feed; a service that cannot work now has no bytes."""
        timeout = httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
        async with self._http.stream(
            "GET", feed.call.path, headers=feed.headers(), timeout=timeout
        ) as response:
            if response.status_code in PASSING:
                yield _nothing()
                return
            if not response.is_success:
                await response.aread()
                raise problem_of(response)
            yield response.aiter_bytes()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


async def _nothing() -> AsyncIterator[bytes]:
    nothing: tuple[bytes, ...] = ()
    for content in nothing:
        yield content
