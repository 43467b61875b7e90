"""A history of any length is read and printed a page at a time, and whoever has seen enough of it may go away."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import signal
import subprocess
import tracemalloc
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from cli.command import carry_out
from eventstore.event import Event
from eventstore.redis.grouping import PAGE
from executor.errors import RunNotFound
from openagents_json.engine import Engine
from openagents_json.engine.audit import AuditService
from tests.acceptance.processes import COMMAND, ROOT
from tests.conftest import Server, SharedServers
from tests.fork_server import ForkedProcess
from tests.integration.views.overheard import most_asked_for, overheard

pytestmark = pytest.mark.one_worker

RUN, EVENTS = "0-long", 8000
FORMATS = ("table", "json", "jsonl", "cloudevents")


class Long(NamedTuple):
    """A store that has one run with a very long history."""

    engine: Engine
    where: tuple[str, ...]


@pytest.fixture(scope="module")
def server(shared_servers: SharedServers) -> Server:
    """One kind of server: what is asked of either is shown where its scripts are."""
    return shared_servers.of("valkey")


@pytest.fixture(scope="module")
def long(server: Server) -> Iterator[Long]:
    prefix = server.prefix()
    with Engine.connect(
        server.url, prefix=prefix, components=[], workers=0, partitions=1
    ) as engine:
        for start in range(0, EVENTS, 500):
            events = [
                Event("Noted", {"step": f"s{n}", "text": f"{n} " * 200})
                for n in range(start, start + 500)
            ]
            engine.events.append(RUN, events)
        yield Long(engine, ("--url", server.url, "--prefix", prefix))


def test_nobody_asks_the_store_for_more_of_a_run_than_a_page(
    long: Long, server: Server
) -> None:
    engine = long.engine
    with overheard(server, engine.core.store.keys.stream(RUN)) as commands:
        assert [event.version for event in engine.history(RUN)] == list(
            range(1, EVENTS + 1)
        )
        assert [
            event.version for event in engine.history(RUN, after=EVENTS - 3)
        ] == list(range(EVENTS - 2, EVENTS + 1))
        assert len(engine.replay.recorded(RUN)) == EVENTS
        assert len(AuditService(engine.core).stored(RUN)) == EVENTS
        watched = engine.watch(RUN, after=7)
        assert [event.version for event in watched] == list(range(8, 8 + len(watched)))
    assert most_asked_for(commands) == PAGE


def test_a_run_that_leaves_while_its_history_is_read_is_not_cut_short_in_silence(
    long: Long,
) -> None:
    engine = long.engine
    engine.events.append(
        "0-leaves", [Event("Noted", {"n": n}) for n in range(PAGE + 1)]
    )
    pages = engine.replay.pages("0-leaves")
    assert len(next(pages)) == PAGE
    entry, head = (
        engine.core.store.keys.stream("0-leaves"),
        engine.core.store.keys.head("0-leaves"),
    )
    connection = engine.core.connection
    saved = [connection.command(b"DUMP", key) for key in (entry, head)]
    connection.command(b"DEL", entry, head)
    with pytest.raises(RunNotFound):
        list(pages)
    with pytest.raises(RunNotFound):
        engine.history("0-leaves", after=5)
    for key, value in zip((entry, head), saved, strict=True):
        connection.command(b"RESTORE", key, 0, value)


class Paper(io.TextIOBase):
    """A file that keeps nothing of what is written to it, but how much it was."""

    length = 0

    def write(self, text: str) -> int:
        self.length += len(text)
        return len(text)


def printed(*arguments: str) -> str:
    paper = io.StringIO()
    with contextlib.redirect_stdout(paper):
        assert carry_out(arguments) == 0
    return paper.getvalue()


@pytest.mark.parametrize("form", FORMATS)
def test_what_a_history_takes_of_memory_does_not_grow_with_it(
    long: Long, form: str
) -> None:
    command = ("runs", "history", RUN, *long.where, "--format", form)
    for after in (EVENTS - 1, 0):  # what is imported at first is not counted
        paper = Paper()
        with contextlib.redirect_stdout(paper):
            tracemalloc.start()
            try:
                assert carry_out([*command, "--after", str(after)]) == 0
                carried = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
    assert paper.length > 8_000_000
    assert (
        carried < 1.5 * paper.length
    )  # whole, it takes more than twice as much as its text


def test_all_formats_have_all_events_in_their_order(long: Long) -> None:
    command = ("runs", "history", RUN, *long.where, "--after", "5500", "--format")
    array, lines, clouds, table = (
        printed(*command, form) for form in ("json", "jsonl", "cloudevents", "table")
    )
    exported = json.loads(array)
    assert (
        array
        == json.dumps(exported, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
    )
    assert [json.loads(line) for line in lines.splitlines()] == exported
    assert [event["version"] for event in exported] == list(range(5501, EVENTS + 1))
    assert [json.loads(line)["runversion"] for line in clouds.splitlines()] == list(
        range(5501, EVENTS + 1)
    )
    header, *rows = table.splitlines()
    assert header.split()[:2] == ["#", "time"]
    assert [int(row.split()[0]) for row in rows] == list(range(5501, EVENTS + 1))
    assert {row.index("Noted") for row in rows} == {header.index("event")}
    assert printed(*command, "json", "--type", "Nothing") == "[]\n"
    assert printed(*command, "table", "--type", "Nothing").split()[:2] == ["#", "time"]


@pytest.mark.parametrize("form", FORMATS)
def test_a_reader_may_go_away_after_the_first_line(long: Long, form: str) -> None:
    command = shlex.join(
        [*COMMAND, "runs", "history", RUN, *long.where, "--format", form]
    )
    done = subprocess.run(
        ["sh", "-c", f"{command} | head -n 1"], capture_output=True, text=True, cwd=ROOT
    )
    assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (0, "", 1)


def test_an_interrupted_history_ends_with_a_word(long: Long) -> None:
    command = [*COMMAND, "runs", "history", RUN, *long.where, "--format", "jsonl"]
    with ForkedProcess(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        os.read(process.stdout.fileno(), 10)
        process.send_signal(signal.SIGINT)  # it waits for its reader
        _, told = process.communicate()
    stopping, interrupted = told.decode().splitlines()
    assert stopping.startswith("openagents: stopping: nothing was changed;")
    assert (process.returncode, interrupted) == (130, "openagents: interrupted")
