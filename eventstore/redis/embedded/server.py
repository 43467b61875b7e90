"""The embedded server: Valkey in a directory, shared by the processes that use the directory, stopped with the last.

A small supervising process owns the server. Each user holds a shared lock on a file; the supervisor stops the server
when nobody holds one any more. Locks die with their process, so a user that was killed does not count.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import redis
from redis.exceptions import BusyLoadingError, RedisError

from eventstore.errors import NoServerProgram, ServerNotStarted, StoreRefused
from eventstore.private_files import OTHERS, open_private
from eventstore.redis.driver.fitness.findings import LEVELS, check_level
from eventstore.redis.driver.replication import REPLICATED
from eventstore.redis.embedded.data_directory import (
    alone_in,
    exclusively,
    share_in,
    why,
)
from eventstore.redis.embedded.durability import (
    durability_lines,
    has_log,
    level_of,
    with_level,
)
from eventstore.redis.embedded.file_locks import LOCK_SECONDS, say_holder
from eventstore.redis.embedded.server_program import find_program
from openagents_json.errors import file_errors

START_SECONDS: Final = 30.0
_HOME: Final = str(Path(__file__).resolve().parents[3])
"""Where this package lies: the supervisor finds it there first, whatever the program has beside itself."""

_SUPERVISORS: Final = ("eventstore.redis.embedded.server", "eventstore.server")
"""The module of a supervisor, as its command line names it: here, and in versions before."""

SOCKET_PATH_MAX: Final = 100
MAX_RESTARTS: Final = 1000
"""How often a server that dies is started again; one that never answered is not."""


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
                    record = _start(path, durability, unix_socket)
                else:
                    _change_durability(path, record, durability, alone=alone)
        except OSError as error:
            share.close()
            raise ServerNotStarted(path, why(error)) from error
        except BaseException:
            share.close()
            raise
        return cls(record["url"], path, share)

    @property
    def pid(self) -> int:
        """Return the process id of the server."""
        return int(_client(self.url).info("server")["process_id"])

    def close(self) -> None:
        """Return up this process's share; the server stops when it was the last."""
        share, self._share = self._share, None
        if share is not None:
            share.close()


def _client(url: str) -> Any:
    return redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5)


def _running(path: Path) -> dict[str, Any] | None:
    """Return the record of the server that runs in a directory, waiting while it loads its log."""
    try:
        record: dict[str, Any] = json.loads((path / "server.json").read_text())
    except (OSError, ValueError):
        return None
    return (
        record
        if _answers(
            record["url"], path, alive=lambda: _alive(record.get("supervisor", 0))
        )
        else None
    )


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    try:
        command = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return True
    return any(name in command for name in _SUPERVISORS)


def _answers(url: str, path: Path, *, alive: Any) -> bool:
    """Wait until a server answers for this directory, however long it loads its log; False when its supervisor is gone.

    A server that loads answers CONFIG, but nothing of what an engine asks.
    """
    client, pause, tries = _client(url), threading.Event(), int(START_SECONDS / 0.02)
    while tries:
        try:
            client.ping()
            return Path(client.config_get("dir")["dir"]) == path.resolve()
        except BusyLoadingError:
            tries = int(START_SECONDS / 0.02)
        except RedisError:
            tries -= 1
        if not alive():
            return False
        pause.wait(0.02)
    return False


def _start(path: Path, durability: str, unix_socket: bool) -> dict[str, Any]:
    try:
        program = find_program()
    except NoServerProgram as error:
        raise ServerNotStarted(path, str(error)) from error
    config, url = _configuration(path, durability, unix_socket)
    _write_configuration(path, config)
    log = open_private(path / "server.log", "ab")
    supervisor = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "eventstore.redis.embedded.server",
            str(path),
            str(program),
        ],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        cwd="/",
        env={
            "PYTHONPATH": os.pathsep.join(p for p in (_HOME, *sys.path) if p),
            "PATH": "/usr/bin:/bin",
        },
    )
    log.close()
    record = {"url": url, "supervisor": supervisor.pid}
    if not _answers(url, path, alive=lambda: supervisor.poll() is None):
        raise ServerNotStarted(path, _last_lines(path / "server.log"))
    with open_private(path / "server.json", "w") as file:
        file.write(json.dumps(record))
    # The supervisor outlives this object on purpose; a reaper keeps it from becoming a zombie.
    threading.Thread(
        target=supervisor.wait, name="openagents-server-reaper", daemon=True
    ).start()
    return record


def _configuration(path: Path, durability: str, unix_socket: bool) -> tuple[str, str]:
    lines = [
        f'dir "{path}"',
        *durability_lines(path, durability),
        'save ""',
        "maxmemory-policy noeviction",
        "stream-node-max-bytes 1024",  # an open stream node is allocated whole, and runs are short
        "aof-load-truncated yes",
        "daemonize no",
        'logfile ""',
    ]
    if unix_socket:
        socket = _socket_path(path)
        lines += ["port 0", f'unixsocket "{socket}"', "unixsocketperm 700"]
        return "\n".join(lines), f"unix://{socket}"
    password, port = secrets.token_urlsafe(24), _free_port()
    lines += [f"port {port}", "bind 127.0.0.1", f"requirepass {password}"]
    return "\n".join(lines), f"redis://:{password}@127.0.0.1:{port}/0"


def _socket_path(path: Path) -> Path:
    """Return a socket path that the system takes: it may be no longer than about 100 bytes."""
    socket = path / "server.sock"
    if len(str(socket).encode()) <= SOCKET_PATH_MAX:
        return socket
    return Path(tempfile.mkdtemp(prefix="openagents-")) / "server.sock"


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _write_configuration(path: Path, config: str) -> None:
    """Put a configuration in the place of another in one step: a kill leaves the one or the other."""
    fresh = path / "server.conf.new"
    fresh.unlink(missing_ok=True)
    with open_private(fresh, "w") as file:
        file.write(config)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path / "server.conf")


def _last_lines(log: Path) -> str:
    try:
        lines = log.read_text("utf-8", "replace").strip().splitlines()
    except OSError:
        return "it wrote no log"
    return " | ".join(lines[-5:]) or "it wrote no log"


def _change_durability(
    path: Path, record: dict[str, Any], durability: str, *, alone: bool
) -> None:
    """Let a running server have the level that was asked for; while others use it, only a stronger one.

    The configuration is written first: a server that dies at any line below has the level when it comes back.
    Raises ServerNotStarted.
    """
    config = (path / "server.conf").read_text()
    if not alone and LEVELS[level_of(config)] > LEVELS[durability]:
        durability = level_of(config)
    _refuse_unread_log(path, record["url"])
    _write_configuration(path, with_level(config, path, durability))
    pause = threading.Event()
    while True:
        try:
            return _apply(_client(record["url"]), path, durability, pause)
        except RedisError as error:
            # It died meanwhile. Its supervisor starts it again, with the configuration that is written.
            if not _answers(
                record["url"], path, alive=lambda: _alive(record.get("supervisor", 0))
            ):
                raise ServerNotStarted(
                    path, _last_lines(path / "server.log")
                ) from error


def _refuse_unread_log(path: Path, url: str) -> None:
    """Refuse a server that runs without the log that lies in its directory: the next rewrite would replace the log."""
    if has_log(path) and _client(url).config_get("appendonly")["appendonly"] != "yes":
        raise ServerNotStarted(
            path,
            "the server that runs there does not use the log that lies in appendonlydir; stop all programs that use "
            "this directory and open it again: the log is read then, and what was only in memory is lost",
        )


def _apply(client: Any, path: Path, durability: str, pause: threading.Event) -> None:
    """Set the level at a running server, and wait until it is true of all data that the server has."""
    client.config_set("appendfsync", "always" if durability == "always" else "everysec")
    if (
        LEVELS[durability] == 0
        or client.config_get("appendonly")["appendonly"] == "yes"
    ):
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


def supervise(path: Path, program: Path) -> int:
    """Run a program as the server of a directory until nobody uses that any more; one that dies is started again."""
    pause = threading.Event()
    os.umask(OTHERS)  # the server makes files of its own
    with open_private(path / "users.lock", "a+") as users:
        server, restarts = _spawn(path, program), 0
        while True:
            if server.poll() is not None:
                if restarts == MAX_RESTARTS or not (path / "server.json").exists():
                    return server.returncode or 1
                server, restarts = _spawn(path, program), restarts + 1
            pause.wait(0.2)
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            # Nobody is left, and nobody can come before the server has gone: they wait for this lock.
            say_holder(users)
            (path / "server.json").unlink(missing_ok=True)
            server.terminate()
            return server.wait()


def _spawn(path: Path, program: Path) -> subprocess.Popen[bytes]:
    command = [str(program), str(path / "server.conf")]
    if has_log(path):
        command += [
            "--appendonly",
            "yes",
        ]  # whatever the configuration says: a log that is there is never ignored
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent
    )


def _die_with_parent() -> None:
    """Ask the kernel to end the server when its supervisor is killed (Linux; prctl PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(supervise(Path(sys.argv[1]), Path(sys.argv[2])))
