"""Requests by name: an id that goes with each, in and out, and a line in the log for each that has been answered."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from openagents_json.server.observing.metrics import operation_of

log = logging.getLogger("openagents.requests")

HEADER: Final = b"x-request-id"
_ID: Final = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
"""What may be an id: it stands in logs as it came."""

_RUNS: Final = b"/v1/runs/"
_LONGEST_RUN: Final = 100


class LoggedRequests:
    """Gives each request an id, unless it brings one, and logs what became of it; nothing that it says or is told.

    Addresses are logged as their templates: what stands in them, and in queries, may be somebody's.
    """

    def __init__(
        self,
        app: ASGIApp,
        steady_ms: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        self._app = app
        self._steady_ms = steady_ms
        self._new_id = new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and log it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _id_of(scope) or self._new_id().encode()
        began_ms, status, location = self._steady_ms(), 0, b""
        scope.setdefault("state", {})["request_id"] = request_id.decode()

        async def with_id(message: Message) -> None:
            nonlocal status, location
            if message["type"] == "http.response.start":
                status = message["status"]
                location = dict(message["headers"]).get(b"location", b"")
                message["headers"] = [*message["headers"], (HEADER, request_id)]
            await send(message)

        try:
            await self._app(scope, receive, with_id)
        finally:
            if log.isEnabledFor(logging.INFO):
                took_ms = self._steady_ms() - began_ms
                _tell(scope, status, took_ms, _run_of(scope, location))


def _id_of(scope: Scope) -> bytes:
    """Return the id that a request brings, nothing where it has none or one that is no id."""
    given: bytes = dict(scope["headers"]).get(HEADER, b"")
    return given if _ID.fullmatch(given) else b""


def _run_of(scope: Scope, location: bytes) -> str | None:
    """Return the run that a request is about, or has begun."""
    begun = location.partition(_RUNS)[2].decode("latin-1")
    run: str = scope.get("path_params", {}).get("run", "")
    return (run or begun)[:_LONGEST_RUN] or None


def _route_of(scope: Scope) -> str:
    """Return the template of the address of a request, "" where there is nothing."""
    route: Any = scope.get("route")
    template: str = getattr(route, "path", "")
    is_below = scope["path"].startswith("/v1/") and template.startswith("/")
    return f"/v1{template}" if is_below else template


def _tell(scope: Scope, status: int, took_ms: float, run: str | None) -> None:
    state, method, route = scope["state"], scope["method"], _route_of(scope)
    caller = state.get("caller")
    about = {
        "request_id": state["request_id"],
        "method": method,
        "route": route,
        "operation": operation_of(scope),
        "status": status,
        "ms": round(took_ms, 1),
        "actor": None if caller is None else caller.actor,
        "key_id": None if caller is None else caller.key_id,
        "run_id": run,
    }
    outcome = status or "not answered, as its caller had gone"
    log.info("%s %s: %s", method, route or "(no route)", outcome, extra=about)
