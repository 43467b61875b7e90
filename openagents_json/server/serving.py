"""Serving an application on an address, until it is told to stop."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import uvicorn
from fastapi import FastAPI

from openagents_json.engine import Engine
from openagents_json.server.addresses import listening_at_all
from openagents_json.server.application import Service, create_app
from openagents_json.server.errors import OpenToOthers
from openagents_json.server.http.local_callers import LocalCallers, is_local
from openagents_json.server.http_protocol import BoundedHeads

if TYPE_CHECKING:
    from openagents_json.server.oidc.issuer import Issuer

IDLE_SECONDS: Final = 75
"""So long is a connection kept on which nothing is asked: longer than clients keep theirs.

Who ends it first must be the client. One that sends a request just as the server ends the connection is told that it
broke, and cannot know whether the request arrived. Most clients keep idle connections for 5 s, nginx for 60 s.
"""
BACKLOG: Final = 2048
"""So many callers may come at the same moment."""

_STOPPING: Final = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a service listens; the port 0 is any that is free."""

    host: str = "127.0.0.1"
    port: int = 8080

    @property
    def is_local(self) -> bool:
        """Tell whether only programs of this machine reach it."""
        return is_local(self.host)


def serve(
    engine: Engine,
    address: Address,
    *,
    service: Service = "all",
    is_open: bool = False,
    issuer: Issuer | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> int:
    """Serve until SIGTERM or SIGINT; requests under way end first. `tell` gets the address when it listens.

    Where runs are served, their webhooks are dispatched. Tokens of an `issuer` count beside API keys.

    Raises OpenToOthers and AddressUnusable.
    """
    if is_open and not address.is_local:
        raise OpenToOthers(address.host)
    sockets = listening_at_all(address.host, address.port, BACKLOG)
    app = _callable_app(engine, service, is_open=is_open, issuer=issuer)
    server = _TellingServer(
        _configured(app),
        tell,
        app.state.openagents.stopping.set,
        has_page=service == "all",
    )
    has_runs = service != "registry"
    with engine.webhooks.dispatching() if has_runs else nullcontext():
        server.run(sockets=sockets)
    return 0 if server.started else 1


class BackgroundService:
    """Both services and the page on a socket that listens on this machine alone, for a thread of its own."""

    def __init__(self, engine: Engine, listening: socket.socket) -> None:
        app = _callable_app(engine, "all", is_open=True)
        self._listening = listening
        self._server = _TellingServer(
            _configured(app),
            lambda _: None,
            app.state.openagents.stopping.set,
            has_page=True,
        )

    def run(self) -> bool:
        """Serve until told to stop; tells whether it began."""
        self._server.run(sockets=[self._listening])
        return self._server.started

    def stop(self) -> None:
        """Let it stop soon, once the requests under way have ended; for any thread."""
        self._server.should_exit = True


def _callable_app(
    engine: Engine, service: Service, *, is_open: bool, issuer: Issuer | None = None
) -> FastAPI:
    """Return a service as callers reach it: one without API keys is for programs of this machine."""
    tokens = None
    if issuer is not None:
        # Who takes no tokens needs not what checks them.
        from openagents_json.server.oidc.tokens import tokens_of

        tokens = tokens_of(issuer, engine.clock.steady_ms)
    app = create_app(engine, service, is_open=is_open, tokens=tokens)
    if is_open:
        app.add_middleware(LocalCallers)
    return app


def _configured(app: FastAPI) -> uvicorn.Config:
    """Return how an application is served."""
    return uvicorn.Config(
        app,
        http=BoundedHeads,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=10,
    )


class _TellingServer(uvicorn.Server):
    """A server that says where it listens: with port 0, nobody knows before."""

    def __init__(
        self,
        config: uvicorn.Config,
        tell: Callable[[str], None],
        stop_waiting: Callable[[], None],
        *,
        has_page: bool,
    ) -> None:
        super().__init__(config)
        self._has_page = has_page
        self._tell = tell
        self._stop_waiting = stop_waiting

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Hear signals while it serves; a service that was told to stop has ended well, so none is raised again."""
        if threading.current_thread() is not threading.main_thread():
            yield  # the main thread hears them
            return
        before = {each: signal.signal(each, self.handle_exit) for each in _STOPPING}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Listen, then say where."""
        await super().startup(sockets=sockets)  # type: ignore[arg-type]
        for listening in self.servers:
            for bound in listening.sockets:
                host, port = bound.getsockname()[:2]
                name = f"[{host}]" if ":" in host else host
                self._tell(f"serving on http://{name}:{port}")
                if self._has_page:
                    self._tell(f"the web page is at http://{name}:{port}/")

    async def shutdown(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Say what happens, and stop; a handler of signals may say nothing, since it interrupts who is speaking."""
        self._tell("stopping when the requests under way have ended; again: at once")
        self._stop_waiting()  # feeds and waits for runs would not end by themselves
        await super().shutdown(sockets=sockets)  # type: ignore[arg-type]
