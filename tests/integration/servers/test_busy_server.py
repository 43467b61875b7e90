"""A server that does nothing but one long script is waited for, whatever it was asked, and nothing is done twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ConnectionError as Gone
from redis.exceptions import ResponseError

from eventstore.errors import StoreBusy, StoreUnavailable
from eventstore.event import Event
from eventstore.redis.driver.retries import when_free
from openagents_json import tool
from openagents_json.engine import Engine
from tests.conftest import Server, wait_for
from tests.integration.faults.proxy import ListeningProxy

DOCUMENT = {"id": "w", "execution": "graph", "steps": [{"id": "a", "component": "one"}]}


@tool("one")
def one() -> int:
    return 1


class Busy:
    """A server that is kept busy with a script until it is released."""

    def __init__(self, server: Server) -> None:
        self._client, self._other = server.connect().client, server.connect().client
        self._client.config_set("busy-reply-threshold", 1)
        self._thread = threading.Thread(target=self._work)
        self._thread.start()
        wait_for(self._refuses)

    def _work(self) -> None:
        with pytest.raises((ResponseError, Gone)):
            self._client.eval("while true do end", 0)

    def _refuses(self) -> bool:
        try:
            self._other.ping()
        except ResponseError as error:
            return str(error).startswith("BUSY ")
        return False

    def release(self) -> None:
        self._other.script_kill()
        self._thread.join()


@pytest.fixture
def heard(private_server: Server, tmp_path: Path) -> Iterator[ListeningProxy]:
    """Listen to what the server says to an engine of its being busy."""
    proxy = ListeningProxy(
        private_server.directory / "s.sock", tmp_path / "p.sock", b"-BUSY "
    )
    yield proxy
    proxy.close()


def connected(url: str) -> Engine:
    return Engine.connect(url, prefix="oa", components=[one], workers=0, partitions=2)


@pytest.fixture
def engine(heard: ListeningProxy) -> Iterator[Engine]:
    with connected(heard.url) as opened:
        opened.start(DOCUMENT)  # the server knows the scripts
        yield opened


ASKED: dict[str, Callable[[Engine], Any]] = {
    "starts": lambda engine: engine.start(DOCUMENT),
    "many starts": lambda engine: engine.start_many([(DOCUMENT, {})] * 3),
    "an append without an id": lambda engine: (
        engine.events.append("s", [Event("Noted", {})]).last_version
    ),
    "a read": lambda engine: len(engine.runs()),
    "a search of keys": lambda engine: engine.doctor(),
    "a look for emissions": lambda engine: engine.emitted(
        engine.runs()[0].id, block_ms=0
    ),
}


@pytest.mark.parametrize("what", ASKED)
def test_what_a_busy_server_refuses_is_asked_again(
    engine: Engine, private_server: Server, heard: ListeningProxy, what: str
) -> None:
    before, told = len(engine.runs()), list[Any]()
    busy = Busy(private_server)
    asking = threading.Thread(target=lambda: told.append(ASKED[what](engine)))
    asking.start()
    try:
        for _ in range(3):
            assert heard.heard.acquire(timeout=60)
        assert told == []
    finally:
        busy.release()
        asking.join()
    assert len(told) == 1
    begun = {"starts": 1, "many starts": 3}.get(what, 0)
    assert len(engine.runs()) == before + begun


def test_a_program_that_begins_while_the_server_is_busy_waits_for_it(
    private_server: Server, heard: ListeningProxy
) -> None:
    with connected(private_server.url) as engine:
        engine.start(DOCUMENT)
    counts = list[int]()
    busy = Busy(private_server)

    def begin() -> None:
        with Engine.connect(heard.url, prefix="oa", components=[one]) as engine:
            counts.append(len(engine.runs()))

    beginning = threading.Thread(target=begin)
    beginning.start()
    try:
        assert heard.heard.acquire(timeout=60)
    finally:
        busy.release()
        beginning.join()
    assert counts == [1]


def test_a_server_that_stays_busy_is_said_to_be_so() -> None:
    asked = []

    def ask() -> None:
        asked.append(1)
        raise StoreBusy("here", "BUSY Redis is busy running a script")

    with pytest.raises(StoreUnavailable, match="busy with one script"):
        when_free(ask, seconds=0.1)
    assert len(asked) > 1
