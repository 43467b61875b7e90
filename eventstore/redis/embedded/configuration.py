"""The configuration that an embedded server is started with, and where it is reached with it."""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from eventstore.private_files import open_private
from eventstore.redis.embedded.durability import durability_lines

SOCKET_PATH_MAX: Final = 100
_SOCKET: Final = "server.sock"
_SOCKET_DIRECTORY: Final = "openagents-"


@dataclass(frozen=True, slots=True)
class Configuration:
    """The text of a configuration, and the URL of the server that is started with it."""

    text: str = field(repr=False)  # it may hold a password, as the URL
    url: str = field(repr=False)


def configuration_of(path: Path, durability: str, unix_socket: bool) -> Configuration:
    """Return the configuration for a directory: reached by a socket in it, or else by a port with a password."""
    lines = [
        f'dir "{path}"',
        *durability_lines(path, durability),
        'save ""',
        "maxmemory-policy noeviction",
        "stream-node-max-bytes 512",  # an open stream node is allocated whole, and runs are short
        "aof-load-truncated yes",
        "daemonize no",
        'logfile ""',
    ]
    if unix_socket:
        socket_path = _socket_path(path)
        lines += ["port 0", f'unixsocket "{socket_path}"', "unixsocketperm 700"]
        return Configuration("\n".join(lines), f"unix://{socket_path}")
    password = secrets.token_urlsafe(24)
    port = _free_port()
    lines += [f"port {port}", "bind 127.0.0.1", f"requirepass {password}"]
    return Configuration("\n".join(lines), f"redis://:{password}@127.0.0.1:{port}/0")


def write_configuration(path: Path, text: str) -> None:
    """Put a configuration in the place of another in one step: a kill leaves the one or the other."""
    fresh = path / "server.conf.new"
    fresh.unlink(missing_ok=True)
    with open_private(fresh, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path / "server.conf")


def remove_socket_directory(path: Path, url: str) -> None:
    """Remove the directory that was made for a socket alone, when the server has gone."""
    if not url.startswith("unix://"):
        return
    directory = Path(url.removeprefix("unix://")).parent
    is_not_ours = directory == path or not directory.name.startswith(_SOCKET_DIRECTORY)
    if is_not_ours:
        return
    (directory / _SOCKET).unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        directory.rmdir()


def _socket_path(path: Path) -> Path:
    """Return a socket path that the system takes: it may be no longer than about 100 bytes."""
    inside = path / _SOCKET
    if len(str(inside).encode()) <= SOCKET_PATH_MAX:
        return inside
    return Path(tempfile.mkdtemp(prefix=_SOCKET_DIRECTORY)) / _SOCKET


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
