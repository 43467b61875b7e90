"""Calls carried out by threads that wait for their answers."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any, TypeVar

import httpx
from tenacity import Retrying

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


class BlockingWire:
    """Connections to a service, kept open between calls; safe for threads."""

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
        self._http = httpx.Client(
            base_url=address.url,
            headers=address.headers(),
            limits=limits,
            verify=trusted_certificates(),
            follow_redirects=False,
        )

    def carry_out(self, call: Call[Answer]) -> Answer:
        """Send a call and return its answer, tried again where that is safe.

        Raises the error that the engine would have raised, ServiceError, ServiceUnreachable and ServiceTimedOut.
        """
        sending = Retrying(**self._retrying.arguments(call))
        response: httpx.Response = sending(self._send, call)
        try:
            return answer_of(call, response)
        except PositionNotReached:
            self._positions.forget(response.request)
            raise

    def _send(self, call: Call[Any]) -> httpx.Response:
        request = request_of(self._http, call, self._timeout)
        self._positions.put_into(request)
        try:
            response = self._http.send(request)
        except httpx.HTTPError as error:
            waited = self._timeout + call.wait_seconds
            raise transport_error(error, request, waited) from error
        self._positions.take(request, response)
        return response

    def follow(self, call: FeedCall[Answer]) -> Iterator[Answer]:
        """Follow a feed until it is over; where a connection breaks off, the next goes on behind what was seen."""
        feed = Following(call)
        while not feed.is_over:
            why = "the connection ended"
            try:
                with self._opened(feed) as chunks:
                    for content in chunks:
                        yield from feed.taken(content)
            except httpx.HTTPError as error:
                why = str(error) or type(error).__name__
            if not feed.is_over:
                log.debug("the feed %s broke off: %s", call.path, why)
                Event().wait(feed.broke_off(self.url, why))

    @contextmanager
    def _opened(self, feed: Following[Any]) -> Iterator[Iterator[bytes]]:
        """Open a connection for a feed; a service that cannot work now has no bytes."""
        timeout = httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
        with self._http.stream(
            "GET", feed.call.path, headers=feed.headers(), timeout=timeout
        ) as response:
            if response.status_code in PASSING:
                yield iter(())
                return
            if not response.is_success:
                response.read()
                raise problem_of(response)
            yield response.iter_bytes()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
