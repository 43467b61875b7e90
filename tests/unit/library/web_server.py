"""A web server of ours that answers as it was told, and what it is asked with."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpcore
import httpx
import pytest

from openagents_json.components.context import CancelToken, Context
from openagents_json.components.library import http_network
from openagents_json.components.library.http_exchange import (
    prepare,
)

CONTEXT = Context(
    "r-1", "s", "w", 1, "key-1", None, CancelToken(), lambda: 1_000_000, lambda _: None
)


Reply = tuple[int, dict[str, str], bytes]


class _Server(ThreadingHTTPServer):
    """Answers each path as it was told, and remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies: dict[str, list[Reply]] = {}
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.peers: set[int] = set()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def answers(self, path: str, *replies: Reply) -> str:
        """Let a path be answered, by the last reply again and again; gives its address."""
        self.replies[path] = list(replies)
        return self.url + path


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def handle_one_request(self) -> None:
        self.server.peers.add(self.client_address[1])
        super().handle_one_request()

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = self.path.partition("?")[0]
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append((self.command, self.path, headers, body))
        replies = self.server.replies[path]
        status, own, content = replies[0] if len(replies) == 1 else replies.pop(0)
        self.send_response(status)
        for name, value in {"content-length": str(len(content)), **own}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815 - as http.server names it

    def log_message(self, *_: Any) -> None:
        """Write nothing."""


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Server]:
    monkeypatch.setenv("OPENAGENTS_HTTP_PRIVATE", "127.0.0.0/8, ::1/128")
    pools = []
    make_pool = http_network._pool.__wrapped__

    @lru_cache
    def pool_of_test(*key: Any) -> httpcore.ConnectionPool:
        pools.append(make_pool(*key))
        return pools[-1]

    monkeypatch.setattr(http_network, "_pool", pool_of_test)
    server = _Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    for pool in pools:
        pool.close()
    server.shutdown()
    server.server_close()
    thread.join()


def get(url: str) -> httpx.Request:
    """Return the request that the component sends when it is given an address alone."""
    return prepare("GET", url, None, None, None, CONTEXT)
