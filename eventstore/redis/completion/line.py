"""A line to a server for a few questions: no driver, as importing that takes longer than the answers."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from time import monotonic
from typing import Any, Final
from urllib.parse import SplitResult, unquote

import hiredis

from eventstore.errors import StoreUnavailable
from eventstore.redis.driver.urls import (
    credentials_of,
    hosts_of,
    options_of,
    readable,
    without_password,
)

PORT: Final = 6379
SCHEMES: Final = ("redis", "rediss", "unix")
"""What this line speaks. Sentinel and Cluster need somebody who finds the right server first."""

_PIECE: Final = 65536
_HARMLESS: Final = frozenset({"db"})
"""Options of a URL that this line takes; with others, such as those of TLS, it does not know what is wanted."""

Command = tuple[bytes | str | int, ...]


class Line:
    """One connection that ends at a deadline, whatever the server does meanwhile."""

    def __init__(self, where: str, connection: socket.socket, deadline: float) -> None:
        self._where = where
        self._connection = connection
        self._deadline = deadline
        self._reader = hiredis.Reader()

    def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one piece, and return their replies; a refusal is a reply too, and says nothing.

        Raises StoreUnavailable.
        """
        try:
            self._wait_no_longer()
            pack: Any = hiredis.pack_command  # its types know tuples of one word only
            packed = [pack(command) for command in commands]
            self._connection.sendall(b"".join(packed))
            return [self._reply() for _ in commands]
        except (OSError, hiredis.HiredisError) as error:
            raise StoreUnavailable(self._where, str(error)) from error

    def _reply(self) -> Any:
        reply = self._reader.gets()
        while reply is False:
            self._wait_no_longer()
            piece = self._connection.recv(_PIECE)
            if not piece:
                raise ConnectionError("it has closed the connection")
            self._reader.feed(piece)
            reply = self._reader.gets()
        return None if isinstance(reply, Exception) else reply

    def _wait_no_longer(self) -> None:
        left = self._deadline - monotonic()
        if left <= 0:
            raise TimeoutError("it has not answered in time")
        self._connection.settimeout(left)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def open_line(url: str, seconds: float) -> Line:
    """Connect to the server of a URL, for so many seconds at most.

    Raises StoreUnavailable, and InvalidRequest for a URL that cannot be read.
    """
    deadline = monotonic() + seconds
    parts = readable(url, ", ".join(SCHEMES))
    where = without_password(parts)
    is_for_others = parts.scheme not in SCHEMES or options_of(parts).keys() - _HARMLESS
    if is_for_others:
        raise StoreUnavailable(where, "servers of this kind are not asked")
    try:
        line = Line(where, _connected(parts, seconds), deadline)
    except OSError as error:
        raise StoreUnavailable(where, str(error)) from error
    try:
        _begin(line, parts, where)
    except BaseException:
        line.close()
        raise
    return line


def _connected(parts: SplitResult, seconds: float) -> socket.socket:
    if parts.scheme == "unix":
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(seconds)
        connection.connect(unquote(parts.path))
        return connection
    host, port = hosts_of(parts, PORT)[0]
    host = host.strip("[]") or "localhost"
    plain = socket.create_connection((host, port), timeout=seconds)
    if parts.scheme == "redis":
        return plain
    return ssl.create_default_context().wrap_socket(plain, server_hostname=host)


def _begin(line: Line, parts: SplitResult, where: str) -> None:
    """Say who asks, and which database is meant."""
    replies = line.ask([*_login(parts), *_database(parts)])
    if None in replies:
        raise StoreUnavailable(where, "it refuses the login or the database")


def _login(parts: SplitResult) -> list[Command]:
    credentials = credentials_of(parts)
    words = [
        credentials[name] for name in ("username", "password") if name in credentials
    ]
    if words:
        return [("AUTH", *words)]
    return []


def _database(parts: SplitResult) -> list[Command]:
    path = "" if parts.scheme == "unix" else parts.path.strip("/")
    database = options_of(parts).get("db", path)
    if database:
        return [("SELECT", database)]
    return []
