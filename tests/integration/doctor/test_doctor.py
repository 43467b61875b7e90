"""What the check of a store asks for, and that it says nothing of runs that only moved while it looked."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.root import cli
from eventstore.redis.driver.scripts import Call, PlainCall
from eventstore.redis.runs import RedisRunStore
from eventstore.redis.upkeep.inspection import Inspector
from executor.integrity.invariants import check, confirmed
from openagents_json import tool
from openagents_json.engine import Engine
from openagents_json.engine.archive.archive import Departure
from tests.conftest import Server

DOCUMENT = {
    "id": "w",
    "execution": "graph",
    "timeout": 3600,
    "steps": [{"id": "a", "component": "one"}],
}


@tool("one")
def one() -> int:
    return 1


@contextmanager
def opened(server: Server, prefix: str = "", workers: int = 0) -> Iterator[Engine]:
    name = prefix or server.prefix()
    with Engine.connect(
        server.url, prefix=name, components=[one], workers=workers, partitions=1
    ) as engine:
        yield engine


class Watched(RedisRunStore):
    """A store that counts round trips and the runs whose events were read, and lets things happen behind a read."""

    def __init__(
        self,
        engine: Engine,
        happens: Callable[[Sequence[Call]], object] = lambda _: None,
    ) -> None:
        super().__init__(engine.core.connection, engine.core.store.keys)
        self._happens, self.trips, self.read_whole = happens, 0, 0

    def call(self, calls: Sequence[Call], seconds: float = 10.0) -> list[Any]:
        replies = super().call(calls, seconds)
        self.trips += 1
        self.read_whole += sum(asks(call, b"XRANGE", b":run:") for call in calls)
        self._happens(calls)
        return replies


def asks(call: Call, command: bytes, key: bytes) -> bool:
    return (
        isinstance(call, PlainCall) and call.args[0] == command and key in call.args[1]
    )


def work_of(do: Callable[[], object]) -> int:
    """Count the function calls of something, those of the interpreter's own functions too."""
    count = 0

    def note(*_: object) -> None:
        nonlocal count
        count += 1

    sys.setprofile(note)
    try:
        do()
    finally:
        sys.setprofile(None)
    return count


def test_a_run_more_costs_the_doctor_the_same_however_many_there_are(
    server: Server,
) -> None:
    with opened(server) as engine:
        store = Watched(engine)
        looked = []
        for _ in range(2):
            engine.start_many([(DOCUMENT, {})] * 400)
            store.trips = store.read_whole = 0
            looked.append(work_of(lambda: check(Inspector(store), [0])))
            assert store.read_whole == 0
        assert looked[1] < 2.5 * looked[0]
        assert store.trips <= 12  # of 800 runs, each with a due member and a ready step
        assert check(Inspector(store), [0]) == []


def places(engine: Engine, run: str) -> Callable[[bool], None]:
    """Return what moves the step of a run to a worker and back, as a claim and an end of it do."""
    keys, client = engine.core.store.keys, engine.core.connection.client
    record = client.hget(keys.head(run), "s:a").decode()
    held = record.split("|")
    held[6:9] = ["7", "w", "9000000000000"]

    def move(leased: bool) -> None:
        pipe = client.pipeline(transaction=True)
        pipe.hset(keys.head(run), "s:a", "|".join(held) if leased else record)
        if leased:
            pipe.zadd(keys.due(0), {f"l|{run}|a": 9e12})
            pipe.zrem(keys.ready(0, "tool"), f"{run}|a")
        else:
            pipe.zadd(keys.ready(0, "tool"), {f"{run}|a": 1})
            pipe.zrem(keys.due(0), f"l|{run}|a")
        pipe.execute()

    return move


def test_a_run_that_moves_on_in_each_look_is_not_reported(server: Server) -> None:
    with opened(server) as engine:
        move = places(engine, engine.start(DOCUMENT))

        def happens(calls: Sequence[Call]) -> None:
            if any(asks(call, b"XRANGE", b":log") for call in calls):
                move(False)
            if any(asks(call, b"ZRANGE", b":due") for call in calls):
                move(True)

        store = Watched(engine, happens)
        assert check(Inspector(store), [0]) != []
        assert confirmed(Inspector(store), [0]) == []
        move(False)


def test_a_run_that_leaves_while_the_doctor_looks_is_not_reported(
    server: Server, tmp_path: Path
) -> None:
    with opened(server, workers=1) as engine:
        runs = [engine.run(DOCUMENT, timeout=120).id for _ in range(2)]

        def happens(calls: Sequence[Call]) -> None:
            if runs and any(asks(call, b"XRANGE", b":log") for call in calls):
                engine.archive.leave(runs.pop(), Departure(str(tmp_path)))

        assert confirmed(Inspector(Watched(engine, happens)), [0]) == []
        assert runs == []
        assert engine.doctor(deep=True) == []


def fence_that_falls(engine: Engine, run: str) -> None:
    """Write the events of a run anew, with another fence in their middle: nothing of it is seen from outside."""
    name, client = engine.core.store.keys.stream(run), engine.core.connection.client
    entries = client.xrange(name)
    client.delete(name)
    for identity, fields in entries:
        if fields[b"t"] == b"StepStarted":
            fields[b"d"] = fields[b"d"].replace(b'"fence":"', b'"fence":"-')
        client.xadd(name, fields, id=identity)


@pytest.mark.damages_store("a fence falls in the middle of a history")
@pytest.mark.parametrize("deep", [False, True])
def test_what_is_wrong_inside_of_a_run_is_found_by_the_deep_look(
    server: Server, deep: bool
) -> None:
    prefix = server.prefix()
    with opened(server, prefix, workers=1) as engine:
        run = engine.run(DOCUMENT, timeout=120).id
        fence_that_falls(engine, run)
    options = [
        "doctor",
        "--url",
        server.url,
        "--prefix",
        prefix,
        *(["--deep"] if deep else []),
    ]
    told = CliRunner().invoke(cli, options)
    assert (f"invariant 7: {run}" in told.output) == deep
    assert ("all is well" in told.output) != deep
