"""The API and the page beside a worker: a socket, until somebody comes; only then is a service loaded behind it."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from cli.commands.dev.lines import notice
from cli.commands.services.requirements import server_is_installed
from cli.terminal import note

if TYPE_CHECKING:
    from openagents_json.engine import Engine
    from openagents_json.server.serving import BackgroundService

HOST: Final = "127.0.0.1"
"""Without API keys, for programs of this machine alone."""

_BACKLOG: Final = 128


@contextmanager
def served(engine: Engine, port: int | None) -> Iterator[None]:
    """Serve the API and the page for the time of a block, on a port that is free unless one is asked for.

    Raises AddressUnusable, and ServerNotInstalled where a port is asked for.
    """
    if not server_is_installed(must_be=port is not None):
        note("no API and no page: pip install 'openagents-json[server]'")
        yield
        return
    from openagents_json.server.addresses import listening_at

    with listening_at(HOST, port or 0, _BACKLOG) as listening:
        note(f"API and page: http://{HOST}:{listening.getsockname()[1]}/")
        service = _AwaitedService(engine, listening)
        with engine.webhooks.dispatching(), service.running():
            yield


class _AwaitedService:
    """A service that is loaded when its first caller comes: most who edit documents never call it."""

    def __init__(self, engine: Engine, listening: socket.socket) -> None:
        self._engine = engine
        self._listening = listening
        self._waking, self._bell = socket.socketpair()
        self._lock = threading.Lock()
        self._stops = False
        self._service: BackgroundService | None = None
        self._thread = threading.Thread(
            target=self._serve, name="openagents-page", daemon=True
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        """Serve for the time of a block."""
        with self._waking, self._bell:
            self._thread.start()
            try:
                yield
            finally:
                self._stop()

    def _serve(self) -> None:
        came, _, _ = select.select([self._listening, self._waking], [], [])
        if self._waking in came:
            return
        from openagents_json.server.serving import BackgroundService

        service = BackgroundService(self._engine, self._listening)
        # Told to stop while it was loaded, nobody has told the service.
        with self._lock:
            self._service = service
            if self._stops:
                service.stop()
        if not service.run():
            notice("the API and the page could not begin; the log says why")

    def _stop(self) -> None:
        with self._lock:
            self._stops = True
            if self._service is not None:
                self._service.stop()
        self._bell.sendall(b"\n")
        self._thread.join()
