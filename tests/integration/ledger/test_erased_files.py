"""What is erased is in no file of the server either, and only then is it said to be done."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

import pytest

from eventstore.redis.driver.connection import Connection
from eventstore.redis.driver.fitness.rewriting import LogState, rewrite_logs
from eventstore.redis.driver.server_info import info_of
from executor.encryption import make_key
from openagents_json.engine import Engine
from tests.acceptance.processes import openagents
from tests.conftest import Server, wait_for
from tests.integration.faults.test_cluster import Cluster
from tests.integration.faults.test_cluster import cluster as cluster
from tests.integration.secrecy.encrypted import MARK, SIMPLE, registry

KEY = make_key(secrets.token_bytes)
LONG = 60_000.0


def logs(directory: Path) -> bytes:
    """Return all that is in the append-only files of a server."""
    return b"".join(
        path.read_bytes() for path in sorted((directory / "appendonlydir").iterdir())
    )


def key_of(engine: Engine, run: str) -> bytes:
    [record] = engine.core.store.call([_get(engine.core.store.keys.key(run))])
    return bytes(record)


def _get(name: bytes) -> Any:
    from eventstore.redis.driver.scripts import PlainCall

    return PlainCall((b"GET", name))


def persistence(connection: Connection) -> dict[str, str]:
    return info_of(connection.command(b"INFO", b"persistence"))


def begin_slow_rewrite(connection: Connection, keys: int, each_us: int) -> None:
    """Have a rewrite under way that takes its time, and that began before what comes now."""
    wait_for(lambda: persistence(connection)["aof_rewrite_in_progress"] == "0")
    connection.command(
        b"MSET", *(part for i in range(keys) for part in (f"fill{i}", "x"))
    )
    connection.command(b"CONFIG", b"SET", b"rdb-key-save-delay", each_us)
    connection.command(b"BGREWRITEAOF")
    connection.command(b"CONFIG", b"SET", b"rdb-key-save-delay", 0)
    assert persistence(connection)["aof_rewrite_in_progress"] == "1"


@pytest.mark.parametrize("way", ["shred", "redact"])
def test_a_rewrite_that_began_before_the_erasure_is_not_taken_for_one_after_it(
    private_server: Server, way: str
) -> None:
    keys = [KEY] if way == "shred" else []
    admin = private_server.connect()
    with Engine.connect(
        private_server.url, components=registry(), workers=2, encryption_keys=keys
    ) as engine:
        run = engine.run(SIMPLE, {"x": MARK}, timeout=60).id
        secret = key_of(engine, run) if way == "shred" else MARK.encode()
        wait_for(lambda: secret in logs(private_server.directory))
        begin_slow_rewrite(admin, 100, 10_000)
        erase = engine.shred if way == "shred" else engine.redact
        first = erase(run, wait_seconds=0)
        assert (first.log, "still writing" in first.why) == (LogState.PENDING, True)
        assert secret in logs(private_server.directory)
        again = erase(run, wait_seconds=60)
        assert (again.log, again.why) == (LogState.DONE, "")
        assert secret not in logs(private_server.directory)
        begin_slow_rewrite(admin, 100, 10_000)
        assert erase(run, wait_seconds=60).log is LogState.DONE


def test_what_one_call_had_no_time_for_is_done_by_one_that_waits(
    private_server: Server,
) -> None:
    admin = private_server.connect()
    with Engine.connect(
        private_server.url, components=registry(), workers=2, encryption_keys=[KEY]
    ) as engine:
        run = engine.run(SIMPLE, {"x": MARK}, timeout=60).id
        secret = key_of(engine, run)
        begin_slow_rewrite(admin, 100, 10_000)
        done = engine.shred(run)
        assert (bool(done), done.log) == (True, LogState.DONE)
        assert secret not in logs(private_server.directory)


def test_a_server_that_starts_again_meanwhile_is_asked_again(
    private_server: Server,
) -> None:
    with Engine.connect(
        private_server.url, components=registry(), workers=0, broker=None
    ) as engine:
        core = engine.core
        looks = 0

        def clock() -> float:
            nonlocal looks
            looks += 1
            if looks == 2:  # it has been asked by now
                private_server.kill()
                private_server.start()
            return 0.0

        begin_slow_rewrite(private_server.connect(), 20, 10_000)
        assert rewrite_logs(core.connection, LONG, clock).state is LogState.DONE
        info = persistence(private_server.connect())
        assert (info["aof_rewrites"], info["aof_last_bgrewrite_status"]) == ("1", "ok")


def test_a_server_that_may_not_be_asked_is_told_of(private_server: Server) -> None:
    admin = private_server.connect()
    admin.command(
        b"ACL",
        b"SETUSER",
        b"ours",
        b"on",
        b">geheim",
        b"~*",
        b"&*",
        b"+@all",
        b"-bgrewriteaof",
    )
    url = private_server.url.replace("unix://", "unix://ours:geheim@")
    keys = {"OPENAGENTS_ENCRYPTION_KEYS": KEY, "OPENAGENTS_URL": url}
    with Engine.connect(
        url, components=registry(), workers=2, encryption_keys=[KEY]
    ) as engine:
        run, other = (engine.run(SIMPLE, {"x": MARK}, timeout=60).id for _ in range(2))
        done = engine.shred(run, wait_seconds=60)
        assert (bool(done), done.log) == (True, LogState.REFUSED)
        assert "may not be asked" in done.why
        with pytest.MonkeyPatch.context() as patch:
            for name, value in keys.items():
                patch.setenv(name, value)
            output = openagents("runs", "shred", other, "--yes")
            assert (output.returncode, output.stdout) == (0, f"{other} is shredded\n")
            assert (
                "who runs the server has to have BGREWRITEAOF carried out"
                in output.stderr
            )
            redacted = openagents("runs", "redact", other, "--json", "--yes")
            told = json.loads(redacted.stdout)
            assert (told["log"], told["rewritten"]) == ("refused", False)


def test_a_server_without_an_append_only_file_has_nothing_to_write_anew(
    tmp_path: Path,
) -> None:
    given = {"components": registry(), "durability": "memory", "encryption_keys": [KEY]}
    with Engine.embedded(tmp_path / "data", **given) as engine:  # type: ignore[arg-type]
        run = engine.run(SIMPLE, {"x": MARK}, timeout=60).id
        assert engine.shred(run, wait_seconds=0).log is LogState.DONE


def test_commands_tell_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    monkeypatch.setenv("OPENAGENTS_ENCRYPTION_KEYS", KEY)
    with Engine.embedded(data, components=registry(), encryption_keys=[KEY]) as engine:
        run, other = (engine.run(SIMPLE, {"x": MARK}, timeout=60).id for _ in range(2))
        secret = key_of(engine, run)
        begin_slow_rewrite(engine.core.connection, 100, 10_000)
        where = ("--yes", "--data", str(data))
        output = openagents("runs", "shred", run, "--wait", "0", *where)
        assert (output.returncode, output.stdout) == (0, f"{run} is shredded\n")
        assert "not done yet: append-only files may still hold it" in output.stderr
        output = openagents("runs", "shred", run, "--wait", "60", *where)
        assert (output.stdout, output.stderr) == (f"{run} was already shredded\n", "")
        assert secret not in logs(data)
        told = json.loads(openagents("runs", "shred", other, "--json", *where).stdout)
        assert told == {"id": other, "shredded": True, "changed": True, "log": "done"}


def test_all_primaries_of_a_cluster_write_their_files_anew(cluster: Cluster) -> None:
    with Engine.connect(
        cluster.url,
        broker=None,
        components=registry(),
        workers=2,
        partitions=6,
        encryption_keys=[KEY],
    ) as engine:
        runs = [engine.run(SIMPLE, {"x": MARK}, timeout=60).id for _ in range(6)]
        for run in runs:
            secret = key_of(engine, run)
            assert engine.shred(run, wait_seconds=60).log is LogState.DONE
            assert not any(secret in logs(node.directory) for node in cluster.nodes)
