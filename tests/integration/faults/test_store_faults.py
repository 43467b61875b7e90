"""The log under faults: lost replies, forgotten scripts, cut clients, a full memory, a killed server."""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventstore.errors import (
    EventStoreError,
    LogTruncated,
    StoreRefused,
    StoreUnavailable,
    WrongExpectedVersion,
)
from eventstore.event import Event
from eventstore.keys import Keyspace
from eventstore.redis.driver.connection import Connection, connect
from eventstore.redis.streams import RedisStreamStore
from eventstore.store import next_cursor
from tests.conftest import Server, wait_for
from tests.integration.faults.proxy import LossyProxy


@pytest.fixture
def lossy(server: Server, tmp_path: Path) -> Iterator[tuple[Connection, LossyProxy]]:
    """A connection to the shared server on which one reply in ten is lost."""
    proxy = LossyProxy(server.directory / "s.sock", tmp_path / "p.sock", chance=0.1)
    while True:
        try:
            connection = connect(proxy.url)
            break
        except StoreUnavailable:
            continue
    yield connection, proxy
    connection.close()
    proxy.close()


def numbered() -> str:
    return uuid.uuid4().hex


def test_an_append_with_a_commit_id_is_applied_once_though_replies_are_lost(
    server: Server, lossy: tuple[Connection, LossyProxy]
) -> None:
    keys = Keyspace(server.prefix(), 1)
    store = RedisStreamStore(lossy[0], keys, new_commit_id=numbered)

    def write(name: str) -> None:
        for i in range(50):
            store.append("shared", [Event("One", [name, i]), Event("Two", [name, i])])

    threads = [threading.Thread(target=write, args=(f"w{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen = RedisStreamStore(server.connect(), keys).read("shared")
    assert lossy[1].lost > 10
    assert [item.version for item in seen] == list(range(1, 401))
    for name in ("w0", "w1", "w2", "w3"):
        mine = [(item.type, item.data[1]) for item in seen if item.data[0] == name]
        assert mine == [(kind, i) for i in range(50) for kind in ("One", "Two")]


def test_without_a_commit_id_a_lost_reply_is_told_and_nothing_is_sent_twice(
    server: Server, lossy: tuple[Connection, LossyProxy]
) -> None:
    keys = Keyspace(server.prefix(), 1)
    store, told = RedisStreamStore(lossy[0], keys), 0
    for i in range(200):
        try:
            store.append("s", [Event("E", i)])
        except StoreUnavailable:
            told += 1
    data = [item.data for item in RedisStreamStore(server.connect(), keys).read("s")]
    assert told > 0
    assert data == sorted(set(data))
    assert len(data) >= 200 - told


def test_compare_and_append_is_linearizable_though_replies_are_lost(
    server: Server, lossy: tuple[Connection, LossyProxy]
) -> None:
    """Each writer puts its name on the next version; an append that succeeded stands where it said, once."""
    keys = Keyspace(server.prefix(), 1)
    store = RedisStreamStore(lossy[0], keys, new_commit_id=numbered)
    won: list[tuple[int, str]] = []

    def compete(name: str) -> None:
        for _ in range(40):
            version = store.stream_version("s")
            try:
                done = store.append("s", [Event("E", name)], expected=version)
            except WrongExpectedVersion:
                continue
            assert done.first_version == version + 1
            won.append((version + 1, name))

    threads = [threading.Thread(target=compete, args=(f"t{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(item.version, item.data) for item in store.read("s")] == sorted(won)


def test_forgotten_scripts_and_cut_clients_cost_nothing_but_time(
    server: Server,
) -> None:
    keys, admin, chance = (
        Keyspace(server.prefix(), 2),
        server.connect(),
        random.Random(3),
    )
    store = RedisStreamStore(server.connect(), keys, new_commit_id=numbered)
    for i in range(120):
        match chance.randrange(4):
            case 0:
                admin.command(b"SCRIPT", b"FLUSH")
            case 1:
                admin.command(b"CLIENT", b"KILL", b"TYPE", b"normal", b"SKIPME", b"yes")
            case _:
                pass
        store.append(f"s{i % 3}", [Event("E", i)])
    assert sorted(item.data for item in store.read_all()) == list(range(120))


def test_a_full_memory_refuses_whole_appends_and_leaves_no_trace(
    private_server: Server,
) -> None:
    connection = private_server.connect()
    store = RedisStreamStore(connection, Keyspace("m", 1), new_commit_id=numbered)
    store.append("s", [Event("E", 1)])
    connection.command(b"CONFIG", b"SET", b"maxmemory", b"1")
    before = store.head(0)
    with pytest.raises(StoreRefused, match="maxmemory"):
        store.append("s", [Event("E", i) for i in range(1000)])
    assert (store.head(0), store.stream_version("s"), len(store.read_all())) == (
        before,
        1,
        1,
    )
    connection.command(b"CONFIG", b"SET", b"maxmemory", b"0")
    assert store.append("s", [Event("E", 2)], expected=1).last_version == 2


def test_what_was_acknowledged_with_always_survives_kill_9(
    private_server: Server,
) -> None:
    connection, acknowledged, stop = private_server.connect(), [], threading.Event()
    connection.command(b"CONFIG", b"SET", b"appendfsync", b"always")
    store = RedisStreamStore(connection, Keyspace("d", 2), new_commit_id=numbered)

    def write(name: str) -> None:
        for i in range(10_000):
            if stop.is_set():
                return
            try:
                acknowledged.append(store.append(name, [Event("E", i)], expected=i))
            except EventStoreError:
                return

    threads = [threading.Thread(target=write, args=(f"s{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(acknowledged) > 50)
    private_server.kill()
    stop.set()
    private_server.start()
    for thread in threads:
        thread.join()
    for done in acknowledged:
        assert (
            store.read(done.stream, after=done.last_version - 1, limit=1)[0].position
            == done.position
        )
    assert [p.position.n for p in store.read_all(partition=0)] == list(
        range(1, store.head(0) + 1)
    )


def test_a_reader_is_told_that_the_log_was_lost_and_has_grown_past_it_again(
    private_server: Server,
) -> None:
    connection = private_server.connect()
    store = RedisStreamStore(connection, Keyspace("g", 1))
    for count in (2, 3, 2):
        store.append("s", [Event("Old", i) for i in range(count)])
    early = next_cursor(
        {}, store.read_all(limit=4)
    )  # it ends in the middle of a commit
    whole = next_cursor(early, store.read_all(after=early))
    assert (early, whole, store.tail(after=whole, block_ms=10)) == ({0: 4}, {0: 7}, [])
    connection.command(b"FLUSHALL")
    threading.Event().wait(
        0.01
    )  # a server that lost its tail is not back within the same millisecond
    for _ in range(9):
        store.append("s", [Event("New")])
    for cursor in (early, whole):
        with pytest.raises(LogTruncated):
            store.read_all(after=cursor)
    assert len(store.read_all(after={0: 7})) == 2
