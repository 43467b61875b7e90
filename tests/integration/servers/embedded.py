"""What tests of embedded servers do to them."""

from __future__ import annotations

from pathlib import Path

from eventstore.errors import EventStoreError
from eventstore.event import Event
from eventstore.keys import Keyspace
from eventstore.redis.driver.connection import connect
from eventstore.redis.embedded.server import EmbeddedServer
from eventstore.redis.streams import RedisStreamStore


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


def back(server: EmbeddedServer, pid: int) -> bool:
    try:
        connection = connect(server.url)
    except EventStoreError:
        return False
    connection.close()
    return server.pid != pid
