"""The program that looks after the server of a directory until nobody uses that any more.

At most one server has a directory at any time: two would write one log, and the one that ends takes the socket of the
other along. So a supervisor begins its server under a lock that the server inherits: it is free when both have ended,
whichever is killed, and whoever started them.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Final

from eventstore.private_files import OTHERS, open_private
from eventstore.redis.embedded.configuration import (
    Configuration,
    remove_socket_directory,
    write_configuration,
)
from eventstore.redis.embedded.durability import has_log
from eventstore.redis.embedded.file_locks import say_holder
from eventstore.redis.embedded.record import (
    SUPERVISOR_LOCK,
    ServerRecord,
    read_record,
    remove_record,
    write_record,
)

MODULE: Final = "eventstore.redis.embedded.supervisor"
MAX_RESTARTS: Final = 1000
"""How often a server that dies is started again; one that never answered is not."""

_HOME: Final = str(Path(__file__).resolve().parents[3])
"""Where this package lies: the supervisor finds it there first, whatever the program has beside itself."""

_LOOK_SECONDS: Final = 0.2


def start_supervisor(
    path: Path, program: Path, configuration: Configuration
) -> subprocess.Popen[bytes]:
    """Begin the supervisor of a directory, which outlives this process."""
    with open_private(path / "server.log", "ab") as log:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", MODULE, str(path), str(program)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
            env={
                "PYTHONPATH": os.pathsep.join(p for p in (_HOME, *sys.path) if p),
                "PATH": "/usr/bin:/bin",
            },
        )
    request = {"text": configuration.text, "url": configuration.url}
    assert supervisor.stdin is not None
    # One that has ended already has said why in the log.
    with suppress(BrokenPipeError), supervisor.stdin as stdin:
        stdin.write(json.dumps(request).encode())
    # A reaper keeps it from becoming a zombie when it ends before this process.
    threading.Thread(
        target=supervisor.wait, name="openagents-server-reaper", daemon=True
    ).start()
    return supervisor


@dataclass(frozen=True, slots=True)
class Supervision:
    """What a supervisor looks after."""

    path: Path
    program: Path
    configuration: Configuration
    directory_lock: IO[Any]
    """Held as long as a server of this supervisor lives."""


def supervise(path: Path, program: Path, configuration: Configuration) -> int:
    """Run a program as the server of a directory until nobody uses that; one that dies is started again."""
    os.umask(OTHERS)  # the server makes files of its own
    # The lock of the directory is given back before the one of its users: whoever waits for that finds it free.
    with (
        open_private(path / "users.lock", "a+") as users,
        open_private(path / "server.lock", "a+") as directory_lock,
        open_private(path / SUPERVISOR_LOCK, "a+") as supervisor_lock,
    ):
        # A server whose supervisor was killed may still be writing its log, and then it removes its socket.
        # Whoever began this process ends it where another server answers meanwhile.
        fcntl.flock(directory_lock, fcntl.LOCK_EX)
        fcntl.flock(supervisor_lock, fcntl.LOCK_EX)
        # What is written from here on is of the only supervisor. The record comes before the server: if whoever began
        # this process dies, the next one finds a server that is on its way.
        write_configuration(path, configuration.text)
        record = ServerRecord(configuration.url, os.getpid(), answered=False)
        write_record(path, record)
        looked_after = Supervision(path, program, configuration, directory_lock)
        try:
            return _run_until_nobody_is_left(looked_after, users)
        finally:
            remove_socket_directory(path, configuration.url)


def confirm(path: Path, record: ServerRecord) -> None:
    """Say that a server has answered, so that it is started again when it dies."""
    if not record.answered:
        write_record(path, replace(record, answered=True))


def _run_until_nobody_is_left(supervision: Supervision, users: IO[Any]) -> int:
    path = supervision.path
    pause = threading.Event()
    server = _spawn(supervision)
    restarts = 0
    while True:
        if server.poll() is not None:
            record = read_record(path)
            usable = record is not None and record.answered
            if restarts == MAX_RESTARTS or not usable:
                remove_record(path)
                return server.returncode or 1
            server = _spawn(supervision)
            restarts = restarts + 1
        pause.wait(_LOOK_SECONDS)
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        # Nobody is left, and nobody can come before the server has gone: they wait for this lock.
        say_holder(users)
        remove_record(path)
        server.terminate()
        return server.wait()


def _spawn(supervision: Supervision) -> subprocess.Popen[bytes]:
    path = supervision.path
    supervisor = os.getpid()
    command = [str(supervision.program), str(path / "server.conf")]
    if has_log(path):
        # Whatever the configuration says: a log that is there is never ignored.
        command += ["--appendonly", "yes"]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        pass_fds=[supervision.directory_lock.fileno()],
        preexec_fn=lambda: _die_with(supervisor),
    )


def _die_with(supervisor: int) -> None:
    """Ask the kernel to end the server when its supervisor is killed (Linux; prctl PR_SET_PDEATHSIG)."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if os.getppid() != supervisor:  # it was killed before it was asked for
        os._exit(1)


def _requested() -> Configuration | None:
    """Return what the process that began this one has asked for, None when it died before it had."""
    try:
        request = json.loads(sys.stdin.read())
        return Configuration(request["text"], request["url"])
    except ValueError:
        return None


if __name__ == "__main__":
    requested = _requested()
    if requested is None:
        sys.exit(1)
    sys.exit(supervise(Path(sys.argv[1]), Path(sys.argv[2]), requested))
