"""Commands in one piece on one connection: what is refused, and what becomes of a connection that breaks off."""

from __future__ import annotations

import pytest
from redis.exceptions import RedisError, ResponseError

from eventstore.redis.driver.connection import connect
from eventstore.redis.driver.exchange import JOINED_BYTES, Exchange
from tests.conftest import Server


def test_a_command_that_is_refused_stands_among_the_replies_of_the_others(
    server: Server,
) -> None:
    key = server.prefix().encode()
    replies = server.connect().send(
        [
            (b"SET", key, "text"),
            (b"LPUSH", key, 1),
            (b"NOCOMMAND",),
            (b"GET", key),
        ]
    )
    assert [replies[0], replies[3]] == [b"OK", b"text"]
    assert [type(reply) for reply in replies[1:3]] == [ResponseError, ResponseError]
    assert "WRONGTYPE" in str(replies[1])


@pytest.mark.parametrize("size", [1, JOINED_BYTES, 3 * JOINED_BYTES])
def test_payloads_of_any_size_arrive_between_other_commands(
    server: Server, size: int
) -> None:
    key, payload = server.prefix().encode(), b"\0\r\n$" + b"x" * size
    replies = server.connect().send(
        [(b"SET", key, payload), (b"STRLEN", key), (b"GET", key)]
    )
    assert replies == [b"OK", len(payload), payload]


def test_a_connection_that_breaks_off_is_told_and_the_next_one_answers(
    private_server: Server,
) -> None:
    connection = connect(private_server.url)
    key = private_server.prefix().encode()
    [client] = connection.send([(b"CLIENT", b"ID")])
    with pytest.raises(RedisError):
        connection.send(
            [
                (b"INCR", key),
                (b"CLIENT", b"KILL", b"ID", client, b"SKIPME", b"no"),
                (b"INCR", key),
            ]
        )
    assert connection.send([(b"GET", key)]) == [b"1"]  # nothing was sent again
    connection.close()


def test_a_connection_with_unread_replies_is_not_given_to_others(
    server: Server,
) -> None:
    connection = server.connect()
    pool, key = connection.client.connection_pool, server.prefix().encode()
    left = Exchange(pool)
    left.write([(b"SET", key, "of somebody else"), (b"GET", key)])
    left.release()
    assert connection.send([(b"ECHO", b"own")]) == [b"own"]
