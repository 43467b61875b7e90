"""The numbers of a worker as a page for Prometheus: openagents worker --telemetry worker_metrics:telemetry.

Each process that works has a page of its own, on $METRICS_PORT (9464) or the next port that is free: a worker with
several processes has several pages.
"""

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from openagents_json.engine.telemetry.prometheus import MEDIA_TYPE, PrometheusTelemetry

PORTS = 100
"""How many ports are tried."""


def telemetry() -> PrometheusTelemetry:
    """Return what counts in this process, with a thread that shows it."""
    numbers = PrometheusTelemetry()

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = numbers.text().encode()
            self.send_response(200)
            self.send_header("Content-Type", MEDIA_TYPE)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Leave scrapes out of the log."""

    server = _first_free(Page)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return numbers


def _first_free(page: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    """Listen on the first port that nobody has. Raises OSError where none is free."""
    host = os.environ.get("METRICS_HOST", "0.0.0.0")
    first = int(os.environ.get("METRICS_PORT", "9464"))
    for port in range(first, first + PORTS):
        try:
            return ThreadingHTTPServer((host, port), page)
        except OSError:
            continue
    raise OSError(f"no port from {first} to {first + PORTS - 1} is free")
