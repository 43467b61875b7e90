"""The embedded server: Valkey in a directory, shared by the processes that use the directory, stopped with the last.

A small supervising process owns the server. Each user holds a shared lock on a file; the supervisor stops the server
when nobody holds one any more. Locks die with their process, so a user that was killed does not count.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import IO, Any, Final

import redis
from redis.exceptions import BusyLoadingError, RedisError

from eventstore.errors import NoServerProgram, ServerNotStarted, StoreRefused
from eventstore.redis.driver.fitness.findings import LEVELS, check_level
from eventstore.redis.driver.replication import REPLICATED
from eventstore.redis.embedded.configuration import (
    configuration_of,
    remove_socket_directory,
    write_configuration,
)
from eventstore.redis.embedded.data_directory import (
    alone_in,
    exclusively,
    share_in,
    why,
)
from eventstore.redis.embedded.durability import has_log, level_of, with_level
from eventstore.redis.embedded.file_locks import LOCK_SECONDS
from eventstore.redis.embedded.record import ServerRecord, has_supervisor, read_record
from eventstore.redis.embedded.server_program import find_program
from eventstore.redis.embedded.supervisor import confirm, start_supervisor
from openagents_json.errors import file_errors

START_SECONDS: Final = 30.0
_PAUSE_SECONDS: Final = 0.02
_TRIES: Final = int(START_SECONDS / _PAUSE_SECONDS)


@dataclass(slots=True)
class EmbeddedServer:
    """A running server and this process's share in it."""

    url: str = field(repr=False)  # it may hold a password
    directory: Path
    _share: IO[Any] | None

    @classmethod
    def open(
        cls,
        directory: str | Path,
        *,
        durability: str = "everysec",
        unix_socket: bool = True,
        create: bool = True,
        lock_seconds: float = LOCK_SECONDS,
    ) -> EmbeddedServer:
        """Start the server of a directory, or adopt the one that runs there.

        It runs with the strongest durability that somebody who uses it has asked for, after a restart too. A log that
        lies in the directory is read whatever is asked for. A directory that is a link or somebody else's is refused,
        and one that others may look into is closed to them. Raises ServerNotStarted, StoreRefused where replicas are
        asked for, InvalidRequest for a level that there is not, and without `create` NoStore where none ever ran.
        """
        check_level(durability)
        if durability == REPLICATED:
            remedy = (
                "ask for durability always, or name a server with replicas by its URL"
            )
            raise StoreRefused("an embedded server has no replicas", remedy)
        with file_errors(
            "the working directory",
            "go to one that is there, or give the data directory from the root",
        ):
            path = Path(directory).absolute()
        share = share_in(path, create, lock_seconds)
        try:
            with exclusively(path, lock_seconds):
                alone = alone_in(share, lock_seconds)
                record = _running(path)
                if record is None:
                    record = _start(path, durability, unix_socket, alone=alone)
                else:
                    _change_durability(path, record, durability, alone=alone)
        except OSError as error:
            share.close()
            raise ServerNotStarted(path, why(error)) from error
        except BaseException:
            share.close()
            raise
        return cls(record.url, path, share)

    @property
    def pid(self) -> int:
        """Return the process id of the server."""
        return int(_client(self.url).info("server")["process_id"])

    def close(self) -> None:
        """Return up this process's share; the server stops when it was the last."""
        share = self._share
        self._share = None
        if share is not None:
            share.close()


def _client(url: str) -> Any:
    return redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5)


def _running(path: Path) -> ServerRecord | None:
    """Return the server that runs in a directory, waiting while it loads its log."""
    record = read_record(path)
    if record is None or not has_supervisor(path, record):
        return None
    if _ask(path, record) is _Answer.ELSEWHERE:
        return None
    return _first_answer(path, lambda: has_supervisor(path, record))


def _start(
    path: Path, durability: str, unix_socket: bool, *, alone: bool
) -> ServerRecord:
    """Start a server, or adopt one that another process began and did not live to see.

    Raises ServerNotStarted.
    """
    try:
        program = find_program()
    except NoServerProgram as error:
        raise ServerNotStarted(path, str(error)) from error
    configuration = configuration_of(path, durability, unix_socket)
    supervisor = start_supervisor(path, program, configuration)
    record = _first_answer(path, lambda: supervisor.poll() is None)
    if record is not None and record.supervisor == supervisor.pid:
        return record
    # It failed, or it waits for a directory that has another server.
    supervisor.terminate()
    remove_socket_directory(path, configuration.url)
    if record is None:
        raise ServerNotStarted(path, _last_lines(path / "server.log"))
    _change_durability(path, record, durability, alone=alone)
    return record


def _first_answer(path: Path, alive: Callable[[], bool]) -> ServerRecord | None:
    """Wait until the server of a directory answers, however long it loads its log; None when it cannot any more."""
    pause = threading.Event()
    tries = _TRIES
    while tries:
        record = read_record(path)
        answer = _Answer.NONE if record is None else _ask(path, record)
        if record is not None and answer is _Answer.READY:
            confirm(path, record)
            return record
        if not alive():
            return None
        tries = _TRIES if answer is _Answer.LOADING else tries - 1
        pause.wait(_PAUSE_SECONDS)
    return None


class _Answer(Enum):
    READY = auto()
    LOADING = auto()
    ELSEWHERE = auto()
    """It is the server of another directory: the record was copied from there."""

    NONE = auto()


def _ask(path: Path, record: ServerRecord) -> _Answer:
    """Ask a server whether it is the one of this directory; one that loads answers CONFIG, but nothing else."""
    client = _client(record.url)
    try:
        client.ping()
        directory = Path(client.config_get("dir")["dir"])
    except BusyLoadingError:
        return _Answer.LOADING
    except RedisError:
        return _Answer.NONE
    if directory != path.resolve():
        return _Answer.ELSEWHERE
    # A server whose supervisor was killed is about to end, and still answers.
    if has_supervisor(path, record):
        return _Answer.READY
    return _Answer.NONE


def _last_lines(log: Path) -> str:
    try:
        lines = log.read_text("utf-8", "replace").strip().splitlines()
    except OSError:
        return "it wrote no log"
    return " | ".join(lines[-5:]) or "it wrote no log"


def _change_durability(
    path: Path, record: ServerRecord, durability: str, *, alone: bool
) -> None:
    """Let a running server have the level that was asked for; while others use it, only a stronger one.

    The configuration is written first: a server that dies at any line below has the level when it comes back.
    Raises ServerNotStarted.
    """
    config = (path / "server.conf").read_text()
    if not alone and LEVELS[level_of(config)] > LEVELS[durability]:
        durability = level_of(config)
    _refuse_unread_log(path, record.url)
    write_configuration(path, with_level(config, path, durability))
    pause = threading.Event()
    while True:
        try:
            return _apply(_client(record.url), path, durability, pause)
        except RedisError as error:
            # It died meanwhile. Its supervisor starts it again, with the configuration that is written.
            if _running(path) is None:
                raise ServerNotStarted(
                    path, _last_lines(path / "server.log")
                ) from error


def _refuse_unread_log(path: Path, url: str) -> None:
    """Refuse a server that runs without the log that lies in its directory: the next rewrite would replace the log."""
    leaves_its_log = (
        has_log(path) and _client(url).config_get("appendonly")["appendonly"] != "yes"
    )
    if leaves_its_log:
        raise ServerNotStarted(
            path,
            "the server that runs there does not use the log that lies in appendonlydir; stop all programs that use "
            "this directory and open it again: the log is read then, and what was only in memory is lost",
        )


def _apply(client: Any, path: Path, durability: str, pause: threading.Event) -> None:
    """Set the level at a running server, and wait until it is true of all data that the server has."""
    client.config_set("appendfsync", "always" if durability == "always" else "everysec")
    is_as_asked = (
        LEVELS[durability] == 0
        or client.config_get("appendonly")["appendonly"] == "yes"
    )
    if is_as_asked:
        return
    client.config_set("appendonly", "yes")
    # The server writes its log in the background now. Until that is done, a restart would find nothing.
    while not has_log(path):
        state = client.info("persistence")
        if state["aof_last_bgrewrite_status"] != "ok":
            raise ServerNotStarted(
                path,
                "it could not write its log; is the disk full? "
                + _last_lines(path / "server.log"),
            )
        pause.wait(0.01)
