"""The embedded server: found again, shared, stopped with its last user, and robust against kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from eventstore.errors import EventStoreError
from eventstore.event import Event
from eventstore.keys import Keyspace
from eventstore.redis.driver.connection import connect
from eventstore.redis.embedded.durability import with_level
from eventstore.redis.embedded.server import (
    EmbeddedServer,
    ServerNotStarted,
    _write_configuration,
)
from eventstore.redis.streams import RedisStreamStore
from tests.conftest import wait_for


def alive(pid: int) -> bool:
    try:
        return (
            "Z"
            not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        )
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
        return (
            RedisStreamStore(connection, Keyspace("k", 1))
            .append("s", [Event("E")])
            .last_version
        )
    finally:
        connection.close()


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
        "import sys\nfrom tests.integration.servers.test_embedded_server import *\n"
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


def back(server: EmbeddedServer, pid: int) -> bool:
    try:
        connection = connect(server.url)
    except EventStoreError:
        return False
    connection.close()
    return server.pid != pid


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


def setting(server: EmbeddedServer) -> tuple[str, str]:
    connection = connect(server.url)
    try:
        settings = connection.client.config_get("append*")
    finally:
        connection.close()
    return settings["appendonly"], settings["appendfsync"]


def kill(server: EmbeddedServer) -> None:
    pid = server.pid
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: back(server, pid))


@pytest.mark.parametrize("first", ["memory", "everysec"])
@pytest.mark.parametrize("then", ["everysec", "always"])
def test_a_server_that_was_strengthened_comes_back_with_its_data_and_that_level(
    tmp_path: Path, first: str, then: str
) -> None:
    weak = EmbeddedServer.open(tmp_path, durability=first)
    append(weak.url)
    strong = EmbeddedServer.open(tmp_path, durability=then)
    kill(strong)
    assert (count(strong.url), setting(strong)) == (1, ("yes", then))
    append(strong.url)
    kill(strong)
    assert (count(strong.url), setting(strong)) == (2, ("yes", then))
    weak.close()
    strong.close()


def test_a_weaker_level_waits_until_nobody_relies_on_the_stronger_one(
    tmp_path: Path,
) -> None:
    strong = EmbeddedServer.open(tmp_path, durability="always")
    weak = EmbeddedServer.open(tmp_path, durability="everysec")
    assert setting(weak) == ("yes", "always")
    kill(weak)
    assert setting(weak) == ("yes", "always")
    strong.close()
    weak.close()
    later = EmbeddedServer.open(tmp_path, durability="everysec")
    assert setting(later) == ("yes", "everysec")
    kill(later)
    assert setting(later) == ("yes", "everysec")
    later.close()


@pytest.mark.parametrize("stops_between", [True, False])
def test_a_log_is_read_and_kept_when_memory_is_asked_for_later(
    tmp_path: Path, stops_between: bool
) -> None:
    server = EmbeddedServer.open(tmp_path, durability="always")
    append(server.url)
    pid = server.pid
    server.close()
    if stops_between:
        wait_for(lambda: not alive(pid))
    ephemeral = EmbeddedServer.open(tmp_path, durability="memory")
    assert (append(ephemeral.url), setting(ephemeral)) == (2, ("yes", "everysec"))
    kill(ephemeral)
    assert count(ephemeral.url) == 2
    ephemeral.close()


def test_a_kill_between_the_writes_of_a_stronger_level_leaves_that_level(
    tmp_path: Path,
) -> None:
    server = EmbeddedServer.open(tmp_path, durability="memory")
    configuration = tmp_path / "server.conf"
    _write_configuration(
        tmp_path, with_level(configuration.read_text(), tmp_path, "always")
    )
    kill(server)
    assert setting(server) == ("yes", "always")
    append(server.url)
    # As a release before this one leaves it behind: the log is there, and the configuration does not know.
    configuration.write_text(
        configuration.read_text().replace("appendonly yes", "appendonly no")
    )
    kill(server)
    assert (count(server.url), setting(server)[0]) == (1, "yes")
    server.close()


def test_a_server_that_dies_again_and_again_while_it_is_strengthened_ends_up_strong(
    tmp_path: Path,
) -> None:
    weak = EmbeddedServer.open(tmp_path, durability="memory")
    opened: list[EmbeddedServer] = []
    opening = threading.Thread(
        target=lambda: opened.append(EmbeddedServer.open(tmp_path, durability="always"))
    )
    pid = weak.pid
    opening.start()
    for _ in range(3):
        os.kill(pid, signal.SIGKILL)
        gone = pid
        wait_for(lambda gone=gone: back(weak, gone))  # type: ignore[misc]
        pid = weak.pid
    opening.join()
    append(opened[0].url)
    kill(opened[0])
    assert (count(weak.url), setting(weak)) == (1, ("yes", "always"))
    opened[0].close()
    weak.close()


def test_a_server_that_runs_without_the_log_beside_it_is_refused(
    tmp_path: Path,
) -> None:
    server = EmbeddedServer.open(tmp_path, durability="always")
    append(server.url)
    connection = connect(server.url)
    connection.command(b"CONFIG", b"SET", b"appendonly", b"no")
    connection.close()
    with pytest.raises(ServerNotStarted, match="open it again"):
        EmbeddedServer.open(tmp_path, durability="always")
    pid = server.pid
    server.close()
    wait_for(lambda: not alive(pid))
    again = EmbeddedServer.open(tmp_path, durability="memory")
    assert count(again.url) == 1
    again.close()
