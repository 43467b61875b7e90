"""A command that reads never makes a store: who looks into one that is not there is mistaken about the place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eventstore.errors import NoStore
from openagents_json.engine import Engine
from tests.acceptance.processes import openagents
from tests.conftest import Server

READS = (
    ("runs", "list"),
    ("runs", "failures"),
    ("runs", "show", "0-x"),
    ("runs", "history", "0-x"),
    ("runs", "watch", "0-x"),
    ("runs", "output", "0-x"),
    ("runs", "explain", "0-x"),
    ("runs", "cancel", "0-x"),
    ("steps",),
    ("components",),
    ("workers",),
    ("projections", "list"),
    ("projections", "verify", "runs"),
    ("workflows", "list"),
    ("schedules", "list"),
    ("audit", "status"),
    ("keys", "show", "0-x"),
)


@pytest.mark.parametrize("command", [*READS, ("doctor",)], ids=" ".join)
def test_a_directory_without_a_store_stays_as_it_is(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    done = openagents(*command, "--data", str(tmp_path / "data"), folder=tmp_path)
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr.startswith(
        f"openagents: there is no store in {tmp_path / 'data'}; "
    )
    assert list(tmp_path.iterdir()) == []


def test_a_server_without_a_store_stays_as_it_is(
    server: Server, tmp_path: Path
) -> None:
    prefix = server.prefix()
    where = ("--url", server.url, "--prefix", prefix)
    for command in READS:
        done = openagents(*command, *where, folder=tmp_path)
        assert (done.returncode, done.stdout) == (6, "")
        assert f"there is no store with prefix {prefix!r}" in done.stderr
    answer = openagents("doctor", "--json", *where, folder=tmp_path)
    assert answer.returncode == 0
    assert [
        x["code"] for x in json.loads(answer.stdout)["findings"] if x["code"] != "clock"
    ] == ["store"]
    connection = server.connect()
    assert list(connection.client.scan_iter(match=f"{prefix}:*")) == []
    connection.close()


def test_a_program_can_ask_for_a_store_that_is_there(
    server: Server, tmp_path: Path
) -> None:
    with pytest.raises(NoStore):
        Engine.embedded(tmp_path / "data", create=False)
    prefix = server.prefix()
    with pytest.raises(NoStore):
        Engine.connect(server.url, prefix=prefix, create=False)
    with Engine.connect(server.url, prefix=prefix, partitions=2):
        pass
    with Engine.connect(server.url, prefix=prefix, create=False) as engine:
        assert engine.core.store.keys.partitions == 2
    with Engine.connect(server.url, prefix=prefix, partitions=5) as engine:
        assert engine.core.store.keys.partitions == 2
