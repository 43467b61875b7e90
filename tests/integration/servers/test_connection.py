"""URLs of all kinds, what they are refused for, and what a server is refused for."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from eventstore.errors import (
    EventStoreError,
    InvalidRequest,
    StoreRefused,
    StoreUnavailable,
)
from eventstore.event import Event
from eventstore.keys import Keyspace
from eventstore.redis.driver.connection import connect
from eventstore.redis.driver.fitness.preflight import check, require
from eventstore.redis.embedded.server_program import find_program
from eventstore.redis.streams import RedisStreamStore
from executor.celery.app import CeleryDoorbell, make_app
from openagents_json.catalog.loader import load
from openagents_json.engine import Engine
from openagents_json.engine.archive.archive import Departure
from openagents_json.engine.archive.capsules import adopt, pack, unpack
from tests.acceptance.processes import COMPONENTS
from tests.conftest import Server, wait_for
from tests.integration.ledger.ledgers import key_file, signer
from tests.integration.servers.listeners import (
    CERTIFICATE,
    answers,
    free_port,
    tls_before,
)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[object]:
    """Start servers with options of their own on a port."""
    running: list[subprocess.Popen[bytes]] = []

    def begin(*options: str) -> int:
        port = free_port()
        directory = tmp_path / str(port)
        directory.mkdir()
        command = [
            str(find_program()),
            "--port",
            str(port),
            "--dir",
            str(directory),
            "--save",
            "",
            *options,
        ]
        running.append(
            subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        )
        return port

    yield begin
    for process in running:
        process.kill()
        process.wait()


def works(url: str) -> bool:
    connection = connect(url)
    try:
        store = RedisStreamStore(
            connection, Keyspace("c", 4), new_commit_id=lambda: "one"
        )
        for name in ("a", "b", "c"):
            store.append(name, [Event("E", name)])
        return (
            sorted(item.data for item in store.read_all())
            == ["a", "b", "c"]
            == sorted(item.data for item in store.tail(after={}, block_ms=10))
        )
    finally:
        connection.close()


def test_tls_with_an_acl_user(start: Any, tmp_path: Path) -> None:
    acl = tmp_path / "users.acl"
    acl.write_text(
        "user default off\nuser engine on >s3:cr@t ~* +@all -@dangerous +info +config|get\n"
    )
    plain = start("--aclfile", str(acl))
    port = tls_before(plain)
    good = f"rediss://engine:s3%3Acr%40t@127.0.0.1:{port}/0?ssl_ca_certs={CERTIFICATE}"
    wait_for(lambda: answers(good))
    assert works(good)
    assert rung(good.replace("s3%3A", "s3%3a"), good)
    for wrong in (
        good.replace("s3", "no"),
        good.replace("engine", "nobody"),
        good.replace("engine:s3%3Acr%40t@", ""),
    ):
        with pytest.raises(StoreRefused, match="user"):
            connect(wrong)
    with pytest.raises(StoreUnavailable, match=r"(?i)certificate"):
        connect(good.partition("?")[0])


def test_a_cluster_runs_workflows_with_every_script_in_one_slot(
    start: Any, tmp_path: Path
) -> None:
    port = start(
        "--cluster-enabled",
        "yes",
        "--cluster-port",
        str(free_port()),
        "--appendonly",
        "yes",
    )
    plain = f"redis://127.0.0.1:{port}"
    wait_for(lambda: answers(plain))
    admin = connect(plain)
    admin.command(b"CLUSTER", b"ADDSLOTSRANGE", 0, 16383)
    url = f"redis+cluster://127.0.0.1:{port}"
    wait_for(lambda: b"cluster_state:ok" in admin.command(b"CLUSTER", b"INFO"))
    admin.close()
    assert works(url)
    document = {
        "id": "w",
        "execution": "graph",
        "steps": [
            {
                "id": "a",
                "component": "flaky",
                "retry": {"max_retries": 3, "delay_seconds": 0.05},
            },
            {"id": "b", "component": "waits"},
            {"id": "c", "component": "quick", "depends_on": ["a", "b"]},
        ],
    }
    with Engine.connect(
        url, components=load([str(COMPONENTS)]), workers=2, partitions=4
    ) as engine:
        runs = engine.start_many([(document, {})] * 12)
        assert [engine.wait(run, timeout=120).status for run in runs] == [
            "completed"
        ] * 12
        assert engine.doctor() == []
        looks_back(engine, runs, tmp_path)


def test_a_cluster_that_does_not_let_us_in_or_is_none_says_so(start) -> None:  # type: ignore[no-untyped-def]
    port = start(
        "--cluster-enabled",
        "yes",
        "--cluster-port",
        str(free_port()),
        "--requirepass",
        "s3:cr@t",
    )
    address = f"127.0.0.1:{port}"
    wait_for(lambda: answers(f"redis://:s3%3Acr%40t@{address}"))
    admin = connect(f"redis://:s3%3Acr%40t@{address}")
    admin.command(b"CLUSTER", b"ADDSLOTSRANGE", 0, 16383)
    wait_for(lambda: b"cluster_state:ok" in admin.command(b"CLUSTER", b"INFO"))
    admin.close()
    assert works(
        f"redis+cluster://:s3%3Acr%40t@127.0.0.1:{free_port()},{address}?socket_timeout=7"
    )
    for login in ("", ":wrong@"):
        with pytest.raises(StoreRefused, match="check user, password"):
            connect(f"redis+cluster://{login}{address}")
    alone = start()
    wait_for(lambda: answers(f"redis://127.0.0.1:{alone}"))
    with pytest.raises(StoreUnavailable, match="Cluster mode is not enabled"):
        connect(f"redis+cluster://127.0.0.1:{alone}")
    with pytest.raises(StoreUnavailable, match=r"(?i)no such file|certificate"):
        connect(f"rediss+cluster://127.0.0.1:{alone}?ssl_ca_certs=nowhere.pem")


def looks_back(engine: Engine, runs: Sequence[str], folder: Path) -> None:
    """Seal, fork, erase, archive, restore and take in runs."""
    key = signer(key_file(folder))
    engine.audit.seal(key)
    fork = engine.replay.fork(runs[0], 2)
    assert engine.wait(fork, timeout=120).ok
    engine.redact(runs[1])
    engine.audit.seal(key)
    capsule = unpack(pack(engine.core, runs[3], actor="test"))
    for run in runs[1:4]:
        engine.archive.leave(run, Departure(str(folder / "archive")))
    assert engine.archive.restore(runs[3]) == "completed"
    engine.audit.seal(key)
    engine.archive.leave(runs[3], Departure(""))
    assert adopt(engine.core, capsule, actor="test").status == "completed"
    assert len(engine.views.runs().items) == 11
    assert engine.audit.verify().intact
    assert engine.doctor() == []
    assert [
        drift
        for name in engine.views.views.names()
        for drift in engine.views.verify(name)
    ] == []


def test_sentinel_leads_to_the_primary(start: Any, tmp_path: Path) -> None:
    primary, port = start(), free_port()
    wait_for(lambda: answers(f"redis://127.0.0.1:{primary}"))
    config = tmp_path / "sentinel.conf"
    config.write_text(
        f"port {port}\ndir {tmp_path}\nsentinel monitor main 127.0.0.1 {primary} 1\n"
    )
    sentinel = subprocess.Popen(
        [str(find_program()), str(config), "--sentinel"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{port}/main?db=2"
        wait_for(lambda: answers(url))
        assert works(url)
        assert rung(url, f"redis://127.0.0.1:{primary}/2")
        with pytest.raises(EventStoreError, match="nobody"):
            connect(url.replace("/main", "/nobody"))
    finally:
        sentinel.kill()
        sentinel.wait()


def rung(broker: str, server: str) -> bool:
    """Ring over a broker and see whether the message lies in the server."""
    app = make_app(broker, "oa")
    try:
        CeleryDoorbell(app, "oa").ring("tool")
        connection = connect(server)
        try:
            return any(
                b"tool" in name
                for name in connection.client.scan_iter(match=b"*openagents*")
            )
        finally:
            connection.close()
    finally:
        app.close()


def test_a_unix_socket_with_a_database_is_a_broker_too(server: Server) -> None:
    assert rung(f"{server.url}?db=3", f"{server.url}?db=3")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis+cluster://u:secret@h:1", "Redis Cluster as a broker; name another one"),
        ("sentinel://:secret@h:1/0", r"redis\+sentinel://host:port/name"),
        ("redis+sentinel://:secret@h:1", "name of the master"),
        ("http://u:secret@h", "Celery cannot use"),
        ("redis://u:secret@h/name", "no number of a database"),
        ("redis://u:secret@h:port", "cannot be read"),
        ("redis://u:1/secret@h", "cannot be read"),
        ("amqp://u:secret/more@h", "cannot be read"),
        ("secret", "begins with nothing"),
    ],
)
def test_a_broker_that_celery_cannot_use_is_refused_before_anything_begins(
    url: str, says: str
) -> None:
    for use in (
        lambda broker: make_app(broker, "oa"),
        lambda broker: Engine.connect("redis://127.0.0.1:1", broker=broker),
    ):
        with pytest.raises(InvalidRequest, match=says) as error:
            use(url)
        assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "must begin with"),
        ("http://x", "must begin with"),
        ("redis://h:notaport", "cannot"),
        ("redis+sentinel://h:1", "name of the master"),
        ("redis://[::1", "cannot be read"),
        (
            "redis+cluster://:secret@127.0.0.1:1/2",
            "one database, number 0.*another prefix",
        ),
        ("redis+cluster://127.0.0.1:1?db=2", "one database, number 0"),
        ("rediss://127.0.0.1:1/two", "no number of a database"),
        ("redis://:secret/@h", "cannot be read"),
        ("redis://:1/secret@h", "cannot be read"),
        (
            "rediss://u:secret@127.0.0.1:1?ssl_cert_reqs=bogus",
            "cannot be used: .*bogus",
        ),
        ("redis://u:secret@127.0.0.1:1?foo=bar", "can have no option 'foo'"),
        ("redis+cluster://u:secret@127.0.0.1:1?foo=bar", "can have no option 'foo'"),
        ("redis://u:secret@127.0.0.1:1?queue_class=x", "cannot be used: "),
    ],
)
def test_a_url_that_makes_no_sense_is_refused_without_its_password(
    url: str, says: str
) -> None:
    with pytest.raises(InvalidRequest, match=says) as error:
        connect(url)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "scheme", ["redis", "rediss", "redis+cluster", "redis+sentinel", "unix"]
)
def test_a_server_that_is_not_there_is_told_without_the_password(scheme: str) -> None:
    database = "name" if scheme == "redis+sentinel" else "0"
    url = (
        f"{scheme}://user:secret@127.0.0.1:1/{database}"
        if scheme != "unix"
        else "unix:///nowhere/s.sock"
    )
    with pytest.raises(StoreUnavailable) as error:
        connect(url)
    assert "secret" not in str(error.value)
    assert "check that it runs" in str(error.value)


def look(
    url: str, durability: str, partitions: int = 8, prefix: str = "oa"
) -> Keyspace:
    connection = connect(url)
    try:
        return require(connection, prefix, partitions, durability, now_ms=lambda: 0)
    finally:
        connection.close()


def test_an_unfit_server_is_refused_with_the_remedy(start) -> None:  # type: ignore[no-untyped-def]
    evicting = f"redis://127.0.0.1:{start('--maxmemory-policy', 'allkeys-lru')}"
    loose = (
        f"redis://127.0.0.1:{start('--appendonly', 'yes', '--appendfsync', 'everysec')}"
    )
    primary = start()
    replica = f"redis://127.0.0.1:{start('--replicaof', '127.0.0.1', str(primary))}"
    none = f"redis://127.0.0.1:{primary}"
    for url, durability, says in (
        (evicting, "memory", "noeviction"),
        (none, "everysec", "appendonly yes"),
        (loose, "always", "appendfsync always"),
        (replica, "memory", "primary"),
    ):
        wait_for(lambda url=url: answers(url))  # type: ignore[misc]
        with pytest.raises(StoreRefused, match=says):
            look(url, durability)
    assert look(loose, "everysec").partitions == 8
    assert look(none, "memory").partitions == 8


def test_a_store_keeps_its_layout_whatever_is_asked_for(server: Server) -> None:
    prefix, connection = server.prefix(), server.connect()
    assert look(server.url, "everysec", 4, prefix).partitions == 4
    assert look(server.url, "everysec", 5, prefix).partitions == 4
    connection.command(b"HSET", f"{prefix}:store", b"layout", b"99")
    with pytest.raises(StoreRefused, match="layout 99"):
        look(server.url, "everysec", 5, prefix)
    findings = check(connection, Keyspace(prefix, 4), "everysec", now_ms=lambda: 0)
    assert [(item.level, item.code) for item in findings] == [
        ("warning", "clock"),
        ("error", "layout"),
    ]
