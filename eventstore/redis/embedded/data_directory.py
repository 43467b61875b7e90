"""The data directory of an embedded server: whose it is, who uses it, and who may start or adopt its server."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

from eventstore.errors import NoStore, ServerNotStarted
from eventstore.private_files import (
    OTHERS,
    close_to_others,
    make_directory,
    open_private,
    own_directory,
    tighten,
)
from eventstore.redis.driver.connection import Connection
from eventstore.redis.driver.fitness.server_facts import setting
from eventstore.redis.embedded.file_locks import acquire, held

_LOG_DIRECTORY: Final = "appendonlydir"
_FILES: Final = (
    *(
        "server.conf",
        "server.conf.new",
        "server.json",
        "server.json.new",
        "server.lock",
        "server.log",
        "server.sock",
        "start.lock",
        "supervisor.lock",
        "users.lock",
    ),
    *("appendonly.aof", "dump.rdb"),
)
"""What lies in a data directory, beside the log."""


def parts(path: Path) -> list[Path]:
    """Return the places of all that a server has in a directory, whether it is there or not."""
    return [path / name for name in (_LOG_DIRECTORY, *_FILES)]


def directory_of(connection: Connection) -> Path | None:
    """Return the data directory of the embedded server that a connection leads to; None where it is another server."""
    if connection.is_cluster:
        return None
    name = setting(connection.nodes()[0], "dir")
    if not name or not (Path(name) / "server.json").is_file():
        return None
    return Path(name)


def share_in(path: Path, create: bool, lock_seconds: float) -> IO[Any]:
    """Take a share in a directory, which ends when the file is closed.

    Nothing in it is read before it is known to be ours, and closed to others. Raises ServerNotStarted, and without
    `create` NoStore.
    """
    try:
        if create:
            make_directory(path)
        with own_directory(path) as handle:
            if not create and "server.conf" not in os.listdir(handle):
                raise NoStore(f"in {path}")
            _refuse_foreign(path, handle)
            close_to_others(handle)
            tighten(path, handle, _files(handle))
        share = open_private(path / "users.lock", "a+")
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not create:
            raise NoStore(f"in {path}") from None
        raise ServerNotStarted(path, why(error)) from error
    try:
        acquire(share, fcntl.LOCK_SH, lock_seconds)
    except OSError as error:
        share.close()
        raise ServerNotStarted(path, why(error)) from error
    return share


def why(error: OSError) -> str:
    """Say what befell a directory, and what to do."""
    if not error.strerror:
        return str(error)
    return f"{error.strerror}; choose a directory that can be written"


def _refuse_foreign(path: Path, handle: int) -> None:
    """Refuse a directory that is used for something else: whoever looks into it would be locked out.

    Raises ServerNotStarted.
    """
    if not os.fstat(handle).st_mode & OTHERS:
        return
    names = set(os.listdir(handle)) - {"lost+found"}
    # There may be stores in a store: their directories are not strange.
    strange = {name for name in names if not (path / name / "users.lock").exists()}
    if strange and not strange & {_LOG_DIRECTORY, *_FILES}:
        raise ServerNotStarted(
            path,
            f"it is open to other users and holds other things than a store, as {min(strange)}; choose a directory of "
            f"its own, as {path / 'openagents'}, or close it to others with chmod 700",
        )


def _files(handle: int) -> Iterator[str]:
    """Return the names of all that a server has in an open directory."""
    yield from _FILES
    yield _LOG_DIRECTORY  # first itself: what it would lead to as a link is nothing of ours
    with suppress(OSError):
        inside = os.open(
            _LOG_DIRECTORY, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=handle
        )
        try:
            close_to_others(inside)
            names = os.listdir(inside)
        finally:
            os.close(inside)
        yield from (f"{_LOG_DIRECTORY}/{name}" for name in names)


def alone_in(share: IO[Any], lock_seconds: float) -> bool:
    """Tell whether nobody else uses the directory.

    The system may give up a shared lock for an exclusive one that it does not get. The supervisor may stop the server
    then, so this comes before it is asked whether there is one.
    """
    try:
        fcntl.flock(share, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        acquire(share, fcntl.LOCK_SH, lock_seconds)
    return True


@contextmanager
def exclusively(path: Path, lock_seconds: float) -> Iterator[None]:
    """Hold the lock under which servers are started and adopted.

    Raises ServerNotStarted.
    """
    lock = open_private(path / "start.lock", "a+")
    with ExitStack() as holding:
        try:
            holding.enter_context(held(lock, lock_seconds))
        except OSError as error:
            raise ServerNotStarted(path, why(error)) from error
        yield
