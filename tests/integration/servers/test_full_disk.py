"""A server that cannot write its AOF any more, and the way back from an AOF with a hole."""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.root import cli
from eventstore.redis.driver.connection import connect
from eventstore.redis.driver.fitness.preflight import check_server
from eventstore.redis.driver.fitness.restart import needs_rewrite, rewrite_after_restart
from eventstore.redis.embedded.server_program import find_program
from openagents_json import tool
from openagents_json.engine import Engine
from tests.conftest import KINDS, REDIS, Server, wait_for

LIMIT = 400_000
DOCUMENT = {"id": "w", "steps": [{"id": "a", "component": "one"}]}


@tool("one")
def one() -> int:
    return 1


def small_disk() -> None:
    """Let files end at a limit, as on a disk that is full: in the process of the server, before it begins."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, resource.RLIM_INFINITY))


@pytest.fixture(params=KINDS)
def filled(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A server with a run, whose disk is full."""
    binary = str(find_program()) if request.param == "valkey" else str(REDIS)
    command = [
        binary,
        "--port",
        "0",
        "--unixsocket",
        f"{tmp_path}/s",
        "--dir",
        str(tmp_path),
        "--save",
        "",
    ]
    command += ["--appendonly", "yes", "--auto-aof-rewrite-percentage", "0"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, preexec_fn=small_disk, **quiet)  # type: ignore[call-overload]
    try:
        url = f"unix://{tmp_path}/s"
        wait_for(lambda: (tmp_path / "s").exists())
        with Engine.connect(url, components=[one], workers=1, partitions=1) as engine:
            engine.run(DOCUMENT, timeout=120)
        connection = connect(url)
        wait_for(lambda: fills(connection.client))
        connection.close()
        yield url
    finally:
        process.kill()
        process.wait()


def fills(client) -> bool:  # type: ignore[no-untyped-def]
    try:
        client.set("filler", "x" * 100_000)
    except Exception:
        return True
    return bool(client.info("persistence")["aof_last_write_status"] != "ok")


def test_a_server_whose_disk_is_full_is_read_told_of_and_not_asked_to_write_its_log_anew(
    filled: str,
) -> None:
    connection = connect(filled)
    client = connection.client
    rewrites = client.info("persistence")["aof_rewrites"]
    with Engine.connect(filled, partitions=1) as engine:
        [run] = [
            name.rpartition(b":")[2].decode()
            for name in engine.core.store.scan(b"oa:{0}:head:0-*")
        ]
        assert engine.wait(run).ok
        rewrite_after_restart(connection, engine.core.store.keys)
    assert client.info("persistence")["aof_rewrites"] == rewrites
    assert not client.info("persistence")["aof_rewrite_in_progress"]
    codes = {
        finding.code
        for finding in check_server(connection, "everysec", now_ms=lambda: 0)
    }
    assert "aof_failed" in codes
    connection.close()
    told = CliRunner().invoke(cli, ["doctor", "--url", filled])
    assert "could not write its AOF" in told.output
    assert "free disk space" in told.output


@pytest.mark.parametrize(
    ("version", "rewrites", "status", "needed"),
    [
        ("", "0", "ok", True),
        ("", "1", "ok", False),
        ("", "1", "err", True),
        ("9.1.1", "0", "ok", True),
        ("9.1.2", "0", "ok", False),
        ("10.0.0", "0", "ok", False),
    ],
)
def test_only_a_version_that_may_leave_a_transaction_open_is_asked(
    version: str, rewrites: str, status: str, needed: bool
) -> None:
    info = {
        "valkey_version": version,
        "aof_rewrites": rewrites,
        "aof_last_bgrewrite_status": status,
    }
    assert needs_rewrite(info) == needed


def test_the_way_back_from_a_log_with_a_hole(private_server: Server) -> None:
    """As the guide has it: the log is cut before the hole, and what is left of the last commit there is mended."""
    with Engine.connect(
        private_server.url, components=[one], workers=1, partitions=1
    ) as engine:
        client = private_server.connect().client
        wait_for(lambda: not client.info("persistence")["aof_rewrite_in_progress"])
        runs = [engine.run(DOCUMENT, timeout=120).id for _ in range(20)]
    private_server.kill()
    logs = private_server.directory / "appendonlydir"
    newest = max(logs.glob("*.incr.aof"), key=lambda path: path.stat().st_mtime)
    whole = newest.read_bytes()
    middle = len(whole) * 2 // 3
    newest.write_bytes(whole[:middle] + whole[middle + 64 :])
    shutil.copytree(logs, private_server.directory / "copy")
    binary = str(find_program()) if private_server.kind == "valkey" else str(REDIS)
    # Of Redis, the program takes a log for a manifest where a line begins with "file", as the names of components may.
    manifest = logs / "appendonly.aof.manifest"
    damaged = newest if private_server.kind == "valkey" else manifest
    fix = [f"{private_server.kind}-check-aof", "--fix", str(damaged)]
    done = subprocess.run(
        fix, executable=binary, input="y\n", text=True, capture_output=True, timeout=30
    )
    assert done.returncode == 0, done.stdout
    private_server.start()
    with Engine.connect(
        private_server.url, components=[one], workers=1, partitions=1
    ) as engine:
        engine.repair()
        assert engine.doctor() == []
        kept = [run for run in runs if engine.core.store.heads([run])[0]]
        assert 5 < len(kept) < 20
        assert [engine.wait(run, timeout=120).ok for run in kept] == [True] * len(kept)
        assert engine.run(DOCUMENT, timeout=120).ok
