"""The embedded server: found again, shared, stopped with its last user, and robust against kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from eventstore.connection import connect
from eventstore.errors import EventStoreError
from eventstore.event import Event
from eventstore.keys import Keyspace
from eventstore.redis_store import RedisStreamStore
from eventstore.server import EmbeddedServer, ServerNotStarted
from tests.conftest import wait_for


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False


def count(url: str) -> int:
    connection = connect(url)
    try:
        return RedisStreamStore(connection, Keyspace("k", 1)).stream_version("s")
    finally:
        connection.close()


def append(url: str) -> int:
    connection = connect(url)
    try:
        return RedisStreamStore(connection, Keyspace("k", 1)).append("s", [Event("E")]).last_version
    finally:
        connection.close()


@pytest.mark.parametrize("unix_socket", [True, False])
def test_a_second_user_adopts_it_and_the_last_one_stops_it(tmp_path: Path, unix_socket: bool) -> None:
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
        threading.Thread(target=lambda: servers.append(EmbeddedServer.open(tmp_path, durability="always")))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({server.pid for server in servers}) == 1
    for server in servers:
        server.close()


def test_a_user_that_is_killed_does_not_keep_it_and_loses_nothing(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom tests.integration.test_embedded_server import *\n"
        f"s = EmbeddedServer.open({str(tmp_path)!r}, durability='always')\n"
        "for _ in range(20): append(s.url)\nprint(s.pid, flush=True)\nsys.stdin.read()"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    with owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        owner.kill()
    wait_for(lambda: not alive(pid))
    server = EmbeddedServer.open(tmp_path, durability="always")
    assert count(server.url) == 20
    server.close()


def test_a_server_that_is_killed_comes_back_with_what_it_acknowledged(tmp_path: Path) -> None:
    server = EmbeddedServer.open(tmp_path, durability="always")
    for _ in range(10):
        append(server.url)
    pid = server.pid
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: back(server, pid))
    assert count(server.url) == 10
    server.close()


def back(server: EmbeddedServer, pid: int) -> bool:
    try:
        connection = connect(server.url)
    except EventStoreError:
        return False
    connection.close()
    return server.pid != pid


def test_a_supervisor_that_is_killed_takes_the_server_along_and_the_next_user_starts_anew(tmp_path: Path) -> None:
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
        connection.command(b"MSET", *(part for i in range(start, start + 10_000) for part in (f"k{i}", "x" * 40)))
        connection.command(b"SADD", "many", *range(start, start + 10_000))
    connection.close()
    server.close()
    again = EmbeddedServer.open(tmp_path)
    try:
        assert int(connect(again.url).command(b"DBSIZE")) == 300_001
    finally:
        again.close()
