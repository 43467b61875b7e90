"""What a client makes of its arguments, of problems and of bytes, without a service."""

from __future__ import annotations

import logging
import sys
from typing import Any

import httpx
import pytest

from openagents_json.client import (
    AsyncClient,
    Client,
    ClientNotInstalled,
    InvalidServiceKey,
    InvalidServiceUrl,
    ServiceError,
    ServiceUnreachable,
)
from openagents_json.client.calls.call import as_is, get
from openagents_json.client.calls.lists import criteria
from openagents_json.client.calls.runs import events
from openagents_json.client.problems import error_of
from openagents_json.client.wire.feeds import (
    PATIENCE_SECONDS,
    Following,
    Message,
    MessageReader,
)
from openagents_json.client.wire.retrying import LATEST_SECONDS, retry_after
from openagents_json.engine import Rejected, RunFilter, RunNotFound
from openagents_json.server.http.run_queries import RunQuery

SECRET = "oak_0123456789ab_secret"


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_key_is_in_no_text_of_a_client(
    kind: type[Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = kind("http://127.0.0.1:1/base/", api_key=SECRET, retry_seconds=0)
    assert repr(client) == f"{kind.__name__}('http://127.0.0.1:1/base')"
    texts = [
        repr(vars(client)),
        repr(vars(client._wire)),
        repr(client._wire._http.headers),
    ]
    if kind is Client:
        with pytest.raises(ServiceUnreachable) as told:
            client.runs()
        texts += [str(told.value), repr(vars(told.value)), caplog.text]
        client.close()
    assert SECRET not in "".join(texts)


def test_where_to_call_is_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAGENTS_URL", "https://there:8443")
    monkeypatch.setenv("OPENAGENTS_API_KEY", f"{SECRET}\n")
    with Client() as client:
        assert client.url == "https://there:8443"
        headers = client._wire._http.headers
        assert headers["Authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "redis://here",
        "here:80",
        "http://",
        "http://a:b",
        "http://u:pw@h",
        "http://h?x=1",
    ],
)
def test_what_is_no_address_of_a_service_is_refused_without_repeating_it(
    url: str,
) -> None:
    with pytest.raises(InvalidServiceUrl) as told:
        Client(url)
    assert "pw" not in str(told.value)


def test_who_lacks_the_library_is_told_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(ClientNotInstalled, match=r"openagents-json\[client\]"):
        Client("http://here")


@pytest.mark.parametrize("key", ["", " ", "a\nb", "schlüssel", "a b"])
def test_what_cannot_be_a_key_is_refused_without_repeating_it(key: str) -> None:
    with pytest.raises(InvalidServiceKey) as told:
        Client("http://here", api_key=key)
    assert key.strip() == "" or key not in str(told.value)


def test_a_problem_is_the_error_of_its_code() -> None:
    problem = {"status": 404, "detail": "there is no run 0-x", "code": "run_not_found"}
    error = error_of(problem, 404)
    assert (type(error), str(error)) == (RunNotFound, "there is no run 0-x")
    rejected = error_of({"code": "closed", "detail": "no", "remedy": "do"}, 409)
    assert (type(rejected), rejected.code, str(rejected), rejected.remedy) == (
        Rejected,
        "closed",
        "no; do",
        "do",
    )


def test_a_problem_of_a_later_release_keeps_all_that_it_says() -> None:
    problem = {
        "type": "urn:openagents-json:error:moon_is_full",
        "title": "Teapot",
        "status": 418,
        "detail": "the moon is full",
        "code": "moon_is_full",
        "remedy": "wait",
        "retryable": True,
        "source": "run",
        "pointer": "/a",
        "phase": 3,
    }
    error = error_of(problem, 418)
    assert isinstance(error, ServiceError)
    assert (error.code, error.http_status, error.title) == (
        "moon_is_full",
        418,
        "Teapot",
    )
    assert (error.retryable, error.source, error.pointer) == (True, "run", "/a")
    assert (str(error), error.remedy) == ("the moon is full; wait", "wait")
    assert error.problem == problem


def test_messages_are_read_however_their_bytes_come() -> None:
    feed = (
        ': hello\n\nid: 1\nevent: a\ndata: "x\u2028y\x85"\n\n'
        "id: 2\r\nevent: b\r\ndata:1\r\ndata: 2\r\n\r\nevent: c\n\nid: 3\ndata: half"
    ).encode()
    expected = [Message("1", "a", '"x\u2028y\x85"'), Message("2", "b", "1\n2")]
    assert [*MessageReader().read(feed)] == expected
    reader = MessageReader()
    bytewise = [m for at in range(len(feed)) for m in reader.read(feed[at : at + 1])]
    assert bytewise == expected


def test_a_feed_begins_behind_what_was_seen_and_gives_up_in_the_end() -> None:
    now = [0.0]
    feed = Following(events("0-x", 4), lambda: now[0])
    assert feed.headers()["Last-Event-ID"] == "4"
    taken = feed.taken(b'id: 5\nevent: X\ndata: {"version": 5}\n\n')
    with pytest.raises(Exception, match="time_ms"):
        next(taken)
    assert feed.headers()["Last-Event-ID"] == "5"
    pauses = [feed.broke_off("http://x", "gone") for _ in range(9)]
    assert pauses == sorted(pauses)
    assert 0 < pauses[0] < pauses[-1] <= 2
    now[0] = PATIENCE_SECONDS + 1
    with pytest.raises(ServiceUnreachable, match="gone"):
        feed.broke_off("http://x", "gone")


def test_a_filter_means_over_http_what_it_means_to_the_views() -> None:
    chosen = RunFilter(
        status=("failed", "completed"),
        workflow=("w",),
        version=("1",),
        labels={"a": "b=c"},
        fingerprint=("f",),
        error=("E",),
        parent=("p",),
        source=("s",),
        reopened=True,
        held=True,
        redacted=True,
        imported=True,
        started_from=1_700_000_000_001,
        started_to=1_700_000_000_999,
        ended_from=0,
        ended_to=1_700_000_001_001,
        took_from=0,
        took_to=7,
    )
    assert RunQuery(**criteria(chosen)).filter() == chosen
    assert RunQuery(**criteria(None)).filter() == RunFilter()


def test_how_long_to_wait_is_taken_from_the_answer_within_reason() -> None:
    def asked(text: str) -> float:
        return retry_after(httpx.Response(503, headers={"Retry-After": text}))

    assert [asked(text) for text in ("2", "9999", "Wed, 21 Oct 2015", "-1")] == [
        2.0,
        LATEST_SECONDS,
        0.0,
        0.0,
    ]
    assert retry_after(httpx.Response(503)) == 0.0


def test_what_is_not_asked_for_is_not_in_the_address() -> None:
    call = get("/v1/x", as_is, a=0, b=None, c="", d=False)
    assert call.query == {"a": 0, "d": False}
