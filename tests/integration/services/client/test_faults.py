"""A client when connections break and services go: nothing is begun twice, nothing is missed, nothing is told twice."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from openagents_json.client import ServiceError, ServiceTimedOut, ServiceUnreachable
from openagents_json.engine import Engine, NotFound, RunFilter, RunNotFound
from tests.conftest import SharedServers, wait_for
from tests.integration.services.calling import (
    ASKING,
    BREAKING,
    GREETING,
    engine_on,
    serving_api,
)
from tests.integration.services.client.colours import COLOURS, client_of

pytestmark = pytest.mark.one_worker


@pytest.fixture(scope="module")
def engine(shared_servers: SharedServers) -> Iterator[Engine]:
    with engine_on(shared_servers.of("valkey")) as opened:
        yield opened


class Between:
    """Stands between a client and a service, on an address that stays; cuts answers off, can be sent elsewhere."""

    def __init__(self) -> None:
        self.cuts = 0
        self.connections = 0
        self.port_behind = 0
        self._open: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def to(self, url: str) -> None:
        """Send what comes from now on to a service."""
        self.port_behind = int(url.rsplit(":", 1)[1])

    def _accept(self) -> None:
        with suppress(OSError):  # it was closed
            while True:
                client, _ = self._listening.accept()
                self.connections += 1
                self._open.append(client)
                threading.Thread(target=self._serve, args=(client,)).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            behind = socket.create_connection(("127.0.0.1", self.port_behind))
            with behind:
                self._open.append(behind)
                back = threading.Thread(target=_pump, args=(client, behind))
                back.start()
                answer = behind.recv(65536)
                if self.cuts:  # the service has carried it out; nobody is told
                    self.cuts -= 1
                elif answer:
                    client.sendall(answer)
                    _pump(behind, client)
                _end(client)
                _end(behind)
                back.join()

    def break_off(self) -> None:
        """Cut all connections that there are."""
        for each in self._open:
            _end(each)

    def close(self) -> None:
        """Stop."""
        _end(self._listening)
        self._listening.close()
        self.break_off()
        self._thread.join()


def _pump(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while content := one.recv(65536):
            other.sendall(content)
    _end(other)


def _end(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)


@contextmanager
def between() -> Iterator[Between]:
    line = Between()
    try:
        yield line
    finally:
        line.close()


@pytest.mark.parametrize("colour", COLOURS)
def test_a_start_whose_answer_was_cut_off_begins_one_run(
    engine: Engine, colour: str
) -> None:
    label = {"cut": colour}
    chosen = RunFilter(labels=label)
    with serving_api(engine) as url, between() as line:
        line.to(url)
        with client_of(colour, line.url) as client:
            line.cuts = 2
            run = client.start(GREETING, {"name": "Ada"}, labels=label)
            assert (line.cuts, line.connections) == (0, 3)
            assert run.is_new
            assert run.result(timeout=60) == "Hello, Ada!"
            assert [row.id for row in engine.views.runs(chosen).items] == [run.id]
            line.break_off()
            line.cuts = 1
            many = client.start_many([(GREETING, {"name": "Bob"})] * 3, labels=label)
            assert engine.views.count(chosen) == 4
            line.break_off()
            line.cuts = 1
            assert client.wait(str(many[0]), timeout=60).ok
            assert line.cuts == 0


Act = Callable[[Any, str], Any]

# What a client does to a run that waits or has failed, and the event that is to stand in its log once.
COMMANDS: dict[str, tuple[Any, Act, str]] = {
    "retry": (BREAKING, lambda client, run: client.retry(run), "RunReopened"),
    "replay": (BREAKING, lambda client, run: client.replay.replay(run), "RunReopened"),
    "cancel": (ASKING, lambda client, run: client.cancel(run), "RunCancelRequested"),
    "signal": (
        ASKING,
        lambda client, run: client.signal(run, "answer", 7),
        "SignalReceived",
    ),
    "pause": (ASKING, lambda client, run: client.pause(run), "RunPaused"),
    "skip": (
        ASKING,
        lambda client, run: client.replay.skip(run, "ask"),
        "StepOverridden",
    ),
    "complete": (
        ASKING,
        lambda client, run: client.replay.complete(run, "ask", 7),
        "StepOverridden",
    ),
    "hold": (BREAKING, lambda client, run: client.archive.hold(run), "RunHeld"),
    "redact": (BREAKING, lambda client, run: client.redact(run), "RunRedacted"),
}


@pytest.mark.parametrize("colour", COLOURS)
def test_a_command_whose_answer_was_cut_off_is_carried_out_once(
    engine: Engine, colour: str
) -> None:
    with (
        serving_api(engine) as url,
        between() as line,
        client_of(colour, line.url) as client,
    ):
        line.to(url)
        for name, (workflow, act, event) in COMMANDS.items():
            run = str(engine.start(workflow))
            if workflow is BREAKING:
                engine.wait(run, timeout=120)
            line.break_off()
            line.cuts = 1
            act(client, run)
            kinds = [each.type for each in engine.history(run)]
            assert (name, line.cuts, kinds.count(event)) == (name, 0, 1)


@pytest.mark.parametrize("colour", COLOURS)
def test_what_may_not_arrive_twice_is_sent_once(engine: Engine, colour: str) -> None:
    with serving_api(engine) as url, between() as line:
        line.to(url)
        with client_of(colour, line.url) as client:
            run = client.start(GREETING, {"name": "Ada"}).id
            engine.wait(run, timeout=120)
            line.break_off()
            line.cuts = 1
            sent = line.connections
            with pytest.raises(ServiceUnreachable) as told:
                client.delete(run)
            assert (told.value.sent, line.connections) == (True, sent + 1)
            with pytest.raises(RunNotFound):
                engine.state(run)


@contextmanager
def answering(*answers: bytes) -> Iterator[str]:
    """Answer so many requests, each on a connection of its own, with these bytes."""

    def serve(listening: socket.socket) -> None:
        with suppress(OSError):  # nobody asks any more
            for content in answers:
                connection, _ = listening.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(content)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            _end(listening)
            thread.join()


def answer(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize("colour", COLOURS)
def test_what_the_service_is_still_at_is_asked_for_again(colour: str) -> None:
    under_way = answer("409 Conflict", b'{"code": "request_under_way"}')
    done = answer("200 OK", b"{}")
    with (
        answering(under_way, under_way, done) as url,
        client_of(colour, url) as client,
    ):
        client.pause("0-x")


@pytest.mark.parametrize("colour", COLOURS)
def test_a_feed_goes_on_through_a_restart_of_the_api(
    engine: Engine, colour: str
) -> None:
    with (
        between() as line,
        serving_api(engine) as url,
        client_of(colour, line.url) as client,
    ):
        line.to(url)
        run = client.start(ASKING)
        feed = run.events()
        seen = [next(feed)]
        while seen[-1].version < engine.state(run.id).version:
            seen.append(next(feed))
        line.break_off()  # the instance goes, and while none is there, the run goes on
        line.port_behind = 1
        engine.pause(run.id)
        engine.resume(run.id)
        with serving_api(engine) as other:
            line.to(other)
            engine.signal(run.id, "answer", 7)
            seen += feed
            assert seen == engine.history(run.id)
            assert run.result(timeout=60) == 7


@pytest.mark.parametrize("colour", COLOURS)
def test_who_waits_is_told_the_end_by_another_instance(
    engine: Engine, colour: str
) -> None:
    with between() as line, client_of(colour, line.url) as client:
        with serving_api(engine) as url:
            line.to(url)
            run = client.start(ASKING)
            results: list[Any] = []
            waiting = threading.Thread(
                target=lambda: results.append(client.wait(run.id, timeout=60))
            )
            waiting.start()
            wait_for(lambda: line.connections > 0)
        line.break_off()
        line.port_behind = 1
        engine.signal(run.id, "answer", 8)
        with serving_api(engine) as other:
            line.to(other)
            waiting.join()
    assert results[0].output == 8


@pytest.mark.parametrize("colour", COLOURS)
def test_a_service_that_is_not_there_is_told(colour: str) -> None:
    with (
        client_of(colour, "http://127.0.0.1:1", retry_seconds=0) as client,
        pytest.raises(
            ServiceUnreachable, match=r"http://127\.0\.0\.1:1 cannot be"
        ) as told,
    ):
        client.runs()
    assert (told.value.code, told.value.exit_status, told.value.sent) == (
        "service_unreachable",
        7,
        False,
    )


@pytest.mark.parametrize("colour", COLOURS)
def test_a_service_that_says_nothing_is_told(colour: str) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        client_of(
            colour,
            f"http://127.0.0.1:{silent.getsockname()[1]}",
            timeout=0.05,
            retry_seconds=0,
        ) as client,
        pytest.raises(ServiceTimedOut, match=r"within 0\.05 s") as told,
    ):
        client.runs()
    assert told.value.exit_status == 8


def test_what_stands_between_answers_in_words_of_its_own() -> None:
    with (
        answering(answer("418 Teapot", b"<html>no</html>")) as url,
        client_of("blocking", url) as client,
        pytest.raises(ServiceError, match="418 Teapot; look at the URL") as told,
    ):
        client.state("0-x")
    assert f"{url}/v1/runs/0-x answered" in str(told.value)


def test_a_path_that_a_service_does_not_have_is_told(engine: Engine) -> None:
    with (
        serving_api(engine) as url,
        client_of("blocking", f"{url}/elsewhere") as client,
        pytest.raises(NotFound, match="nothing at /elsewhere/v1/runs/0-x; look at"),
    ):
        client.state("0-x")
