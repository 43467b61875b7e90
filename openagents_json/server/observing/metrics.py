"""What a service counts of its requests, and the page on which Prometheus reads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from openagents_json.engine.telemetry.port import Instrument
from openagents_json.engine.telemetry.prometheus import MEDIA_TYPE, PrometheusTelemetry
from openagents_json.server.http.access import AsViewer, services_of
from openagents_json.server.http.bodies import StrictRoute

REQUESTS: Final = Instrument(
    "openagents.http.requests", "{request}", "Requests, by operation and status"
)
LATENCY: Final = Instrument(
    "openagents.http.latency",
    "ms",
    "From a request to the end of its answer, but for feeds, by operation",
)
IN_FLIGHT: Final = Instrument(
    "openagents.http.in_flight", "{request}", "Requests that are not answered yet"
)
WATCHERS: Final = Instrument(
    "openagents.http.watchers", "{feed}", "Feeds that callers follow"
)

_FEED: Final = b"text/event-stream"
_NOBODY: Final = "none"
"""The operation of what no route answers, and the status of what was not answered, as its caller had gone."""

router = APIRouter(route_class=StrictRoute, tags=["health"])


@router.get("/metrics", operation_id="metrics", response_class=PlainTextResponse)
def metrics(_engine: AsViewer, request: Request) -> Response:
    """Return the counters of this process in the text format of Prometheus."""
    return Response(services_of(request).metrics.text(), media_type=MEDIA_TYPE)


class CountedRequests:
    """Counts requests and feeds, and how long answers take."""

    def __init__(
        self,
        app: ASGIApp,
        telemetry: PrometheusTelemetry,
        steady_ms: Callable[[], float],
    ) -> None:
        self._app = app
        self._telemetry = telemetry
        self._steady_ms = steady_ms

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_ms, status, gauge = self._steady_ms(), _NOBODY, IN_FLIGHT

        async def noting(message: Message) -> None:
            nonlocal status, gauge
            if message["type"] == "http.response.start":
                status = str(message["status"])
                if _is_feed(message):
                    self._telemetry.change(IN_FLIGHT, -1)
                    gauge = WATCHERS
                    self._telemetry.change(WATCHERS, 1)
            await send(message)

        self._telemetry.change(IN_FLIGHT, 1)
        try:
            await self._app(scope, receive, noting)
        finally:
            self._telemetry.change(gauge, -1)
            operation = operation_of(scope)
            asked = {"operation": operation, "status": status}
            self._telemetry.add(REQUESTS, 1, asked)
            if gauge is IN_FLIGHT:
                took_ms = self._steady_ms() - began_ms
                self._telemetry.record(LATENCY, took_ms, {"operation": operation})


def operation_of(scope: Scope) -> str:
    """Return the operation that has answered a request: one of the OpenAPI document, so that there are not many."""
    route: Any = scope.get("route")
    return getattr(route, "operation_id", None) or _NOBODY


def _is_feed(start: Message) -> bool:
    headers = dict(start["headers"])
    return bool(headers.get(b"content-type", b"").startswith(_FEED))
