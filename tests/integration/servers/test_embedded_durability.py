"""How sure an embedded server is of what it has acknowledged, and how it is made surer while it runs."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from eventstore.errors import ServerNotStarted
from eventstore.redis.driver.connection import connect
from eventstore.redis.embedded.configuration import write_configuration
from eventstore.redis.embedded.durability import with_level
from eventstore.redis.embedded.server import EmbeddedServer
from tests.conftest import wait_for
from tests.integration.servers.embedded import alive, append, back, count


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
    write_configuration(
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
