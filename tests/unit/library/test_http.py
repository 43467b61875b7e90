"""`http.request` against servers of ours: its output, its errors, what it may reach, what it does not tell."""

from __future__ import annotations

import base64
import gzip
import json
import logging
import os
import socket
import threading
from email.utils import formatdate

import pytest

from openagents_json.components.errors import NonRetryableError, RetryableError
from openagents_json.components.library.http import request
from openagents_json.testing import Play
from tests.unit.library.web_server import CONTEXT, _Server

JSON = {"content-type": "application/json; charset=utf-8"}


def test_a_request_is_sent_and_its_response_is_the_output(web: _Server) -> None:
    reply = b'{"id": 7}'
    url = web.answers(
        "/orders", (201, {**JSON, "X-Of": "a", "Set-Cookie": "s=1"}, reply)
    )
    given = request(
        url + "?a=1",
        CONTEXT,
        method="POST",
        params={"b": True},
        headers={"Authorization": "t"},
        body={"n": 1},
    )
    assert (given["status"], given["body"], given["encoding"]) == (
        201,
        {"id": 7},
        "json",
    )
    assert given["headers"]["x-of"] == "a"
    assert "set-cookie" not in given["headers"]
    [(method, path, headers, body)] = web.asked
    assert (method, path, json.loads(body)) == ("POST", "/orders?a=1&b=true", {"n": 1})
    assert (headers["authorization"], headers["idempotency-key"]) == ("t", "key-1")


@pytest.mark.parametrize(
    ("headers", "content", "body", "encoding"),
    [
        ({"content-type": "text/plain"}, b"h\xc3\xa9", "h\u00e9", "text"),
        ({}, b"\xff\x00", "/wA=", "base64"),
        (JSON, b"{", "{", "text"),
        (JSON, b"NaN", "NaN", "text"),
        (JSON, b"", "", "text"),
    ],
)
def test_a_body_is_given_as_what_it_is(
    web: _Server, headers: dict[str, str], content: bytes, body: str, encoding: str
) -> None:
    given = request(web.answers("/", (200, headers, content)), CONTEXT)
    assert (given["body"], given["encoding"]) == (body, encoding)
    assert "idempotency-key" not in web.asked[0][2]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_fault_of_the_server_can_be_tried_again(web: _Server, status: int) -> None:
    url = web.answers("/", (status, {"retry-after": "7"}, b""))
    with pytest.raises(RetryableError, match=f"status {status}") as caught:
        request(url, CONTEXT)
    assert caught.value.retry_after_ms == 7000
    assert len(web.asked) == 1


@pytest.mark.parametrize(
    ("header", "waited"),
    [(formatdate(1030, usegmt=True), 30_000), (formatdate(10), 0), ("soon", 0)],
    ids=["later", "past", "none"],
)
def test_the_server_may_name_a_date(web: _Server, header: str, waited: int) -> None:
    url = web.answers("/", (503, {"retry-after": header}, b""))
    with pytest.raises(RetryableError) as caught:
        request(url, CONTEXT)
    assert caught.value.retry_after_ms == waited


def test_what_the_client_did_wrong_fails_at_once_unless_it_is_accepted(
    web: _Server,
) -> None:
    url = web.answers("/", (404, {}, b"no"))
    with pytest.raises(NonRetryableError, match="status 404"):
        request(url, CONTEXT)
    assert request(url, CONTEXT, accept=[404])["body"] == "no"


def test_the_engine_waits_as_long_as_the_server_asks(web: _Server) -> None:
    url = web.answers("/", (503, {"retry-after": "7"}, b""), (200, JSON, b"1"))
    step = {
        "id": "get",
        "component": "http.request",
        "inputs": {"url": url},
        "retry": {"max_retries": 1, "delay_seconds": 1},
    }
    run = Play({"id": "w", "steps": [step], "output": "{{get.output.body}}"})
    run.advance(6)
    assert (run.status, len(web.asked)) == ("running", 1)
    run.advance(2).assert_completed(1)
    assert len(web.asked) == 2


def test_connections_are_kept(web: _Server) -> None:
    url = web.answers("/", (200, {}, b"x"))
    for _ in range(3):
        request(url, CONTEXT)
    assert len(web.peers) == 1


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_has_connections_of_its_own(web: _Server) -> None:
    url = web.answers("/", (200, {}, b"x"))
    request(url, CONTEXT)
    child = os.fork()
    if child == 0:
        try:
            request(url, CONTEXT)
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    request(url, CONTEXT)
    assert len(web.peers) == 2


def test_a_connection_that_is_refused_or_ends_can_be_tried_again(web: _Server) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(RetryableError, match="ConnectError"):
            request(f"http://127.0.0.1:{port}/", CONTEXT)
    short = web.answers("/", (200, {"content-length": "5", "connection": "close"}, b""))
    with pytest.raises(RetryableError, match="RemoteProtocolError"):
        request(short, CONTEXT)


def test_a_server_that_says_nothing_is_left(web: _Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(RetryableError, match=r"ReadTimeout|longer"):
            request(url, CONTEXT, timeout_seconds=0.05)


def test_a_server_that_sends_a_byte_now_and_then_is_left(web: _Server) -> None:
    """Each byte comes in time; all of them together do not."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_trickle, args=(listening,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        with pytest.raises(RetryableError, match="longer than its time"):
            request(url, CONTEXT, timeout_seconds=0.1)
        thread.join()


def _trickle(listening: socket.socket) -> None:
    connection, _ = listening.accept()
    with connection:
        connection.settimeout(0.01)
        connection.recv(65536)
        for byte in b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200:
            try:
                connection.send(bytes([byte]))
                connection.recv(1)  # waits, until the client leaves
                return
            except TimeoutError:
                continue
            except OSError:
                return


def test_what_is_packed_more_than_once_is_not_unpacked(web: _Server) -> None:
    once = gzip.compress(b"x" * 2000)
    packed = {"content-encoding": "gzip"}
    assert len(request(web.answers("/", (200, packed, once)), CONTEXT)["body"]) == 2000
    twice = gzip.compress(once)
    url = web.answers("/", (200, {"content-encoding": "gzip, gzip"}, twice))
    given = request(url, CONTEXT, max_bytes=1000)
    assert base64.b64decode(given["body"]) == twice


def test_a_large_response_is_not_read_to_its_end(web: _Server) -> None:
    url = web.answers("/", (200, {}, b"x" * 1001))
    with pytest.raises(NonRetryableError, match="larger than 1000 bytes"):
        request(url, CONTEXT, max_bytes=1000)
    assert len(request(url, CONTEXT, max_bytes=1001)["body"]) == 1001


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("ftp://example.com/s3cret", {}),
        ("//s3cret", {}),
        ("http://user:s3cret@127.0.0.1/", {}),
        ("http://127.0.0.1:s3cret/", {}),
        ("http://127.0.0.1/", {"x": "s3cret\r\nb: c"}),
        ("http://127.0.0.1/", {"host": "s3cret"}),
    ],
)
def test_a_wrong_request_fails_at_once_and_tells_no_values(
    web: _Server, url: str, headers: dict[str, str]
) -> None:
    with pytest.raises(NonRetryableError) as caught:
        request(url.replace("127.0.0.1/", web.url[7:] + "/"), CONTEXT, headers=headers)
    assert "s3cret" not in str(caught.value)


def test_a_body_that_cannot_be_written_fails_at_once(web: _Server) -> None:
    for body in ("\ud800", ["\ud800"]):
        with pytest.raises(NonRetryableError, match="cannot be written"):
            request(web.url, CONTEXT, method="POST", body=body)


def test_neither_errors_nor_logs_hold_secrets(
    web: _Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    url = web.answers("/s3cret", (500, {}, b"s3cret"))
    with pytest.raises(RetryableError) as caught:
        request(url + "?key=s3cret", CONTEXT, headers={"authorization": "s3cret"})
    assert str(caught.value) == f"GET {web.url}: the server answered with status 500"
    assert "s3cret" not in caplog.text
