"""Connections of `http.request`: pooled in each process, and only to addresses that are allowed."""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import lru_cache
from typing import Any, Final

import httpcore
import httpx

from openagents_json.components.errors import NonRetryableError
from openagents_json.components.library.permissions import PRIVATE, HttpPermissions

MAX_CONNECTIONS: Final = 100
IDLE_SECONDS: Final = 30.0
_PIECE: Final = 65536

Resolve = Callable[..., Iterable[Any]]
"""Returns the addresses of a name, as `socket.getaddrinfo` does."""


def seconds_left(ends: float) -> float:
    """Return how long it is until a moment of `time.monotonic`.

    Raises httpcore.TimeoutException.
    """
    left = ends - time.monotonic()
    if left <= 0:
        raise httpcore.TimeoutException("the time is over")
    return left


class _TimedStream(httpcore.NetworkStream):
    """A connection whose time-outs are moments, as those of a request are one: httpcore gives each read the same."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there, at least a byte."""
        return self._stream.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of it."""
        for start in range(0, len(buffer), _PIECE):
            self._stream.write(buffer[start : start + _PIECE], _left(timeout))

    def close(self) -> None:
        """End the connection."""
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """Go on in TLS."""
        left = _left(timeout)
        return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        """Return what is known of the connection."""
        return self._stream.get_extra_info(info)


def _left(ends: float | None) -> float | None:
    if ends is None:
        return None
    return seconds_left(ends)


class _GuardedNetwork(httpcore.NetworkBackend):
    """Resolves a name once, checks its addresses, and connects to what was checked.

    A check before the request would leave a gap: the name might be resolved to another address when it is connected to.
    TLS goes on checking the certificate for the name, which the pool hands to it. Time-outs are moments, see above.
    """

    def __init__(self, permissions: HttpPermissions, resolve: Resolve) -> None:
        self._permissions = permissions
        self._resolve = resolve
        self._network = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of a host that answers."""
        failure: Exception = httpcore.ConnectError("the host has no address")
        for address in self._addresses(host, port, timeout):
            left = _left(timeout)
            try:
                stream = self._network.connect_tcp(
                    address, port, left, local_address, socket_options
                )
                return _TimedStream(stream)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    def _addresses(self, host: str, port: int, ends: float | None) -> list[str]:
        """Return the addresses of a host, if all of them are allowed.

        Raises NonRetryableError.
        """
        addresses = _resolved(self._resolve, host, port, ends)
        for address in addresses:
            plain = ipaddress.ip_address(address.partition("%")[0])
            if not self._permissions.allows(plain):
                raise NonRetryableError(
                    f"http.request may not reach {host!r}: its address {address} is not public; "
                    f"{PRIVATE} of the worker lists the networks that it may reach all the same"
                )
        return addresses


def _resolved(resolve: Resolve, host: str, port: int, ends: float | None) -> list[str]:
    """Return the addresses of a host; the system has no time-out for that, so a thread that asks too long is left."""
    answer: Future[Iterable[Any]] = Future()

    def ask() -> None:
        try:
            entries = resolve(host, port, type=socket.SOCK_STREAM)
        except Exception as error:
            answer.set_exception(error)
        else:
            answer.set_result(entries)

    threading.Thread(target=ask, name="openagents-resolver", daemon=True).start()
    try:
        entries = answer.result(_left(ends))
    except TimeoutError as error:
        raise httpcore.ConnectTimeout("the name is not resolved in time") from error
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError("the name cannot be resolved") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))


def pool_of(
    permissions: HttpPermissions, resolve: Resolve = socket.getaddrinfo
) -> httpcore.ConnectionPool:
    """Return the pool of this process; a forked child makes its own, as two processes cannot share a connection."""
    return _pool(os.getpid(), permissions, resolve)


@lru_cache(maxsize=2)
def _pool(
    _process: int, permissions: HttpPermissions, resolve: Resolve
) -> httpcore.ConnectionPool:
    return httpcore.ConnectionPool(
        ssl_context=_trust(),
        max_connections=MAX_CONNECTIONS,
        max_keepalive_connections=MAX_CONNECTIONS,
        keepalive_expiry=IDLE_SECONDS,
        network_backend=_GuardedNetwork(permissions, resolve),
    )


@lru_cache(maxsize=1)
def _trust() -> ssl.SSLContext:
    """Return the certificates that are trusted; they are read once, as that takes long."""
    return httpx.create_ssl_context()
