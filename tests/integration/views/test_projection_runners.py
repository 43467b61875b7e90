"""Runners of projections: each event is in a view once, whoever works beside them, and whoever dies where."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import pytest

from eventstore.event import Event, Recorded
from eventstore.keys import Keyspace
from eventstore.redis.projection_log import LogReader
from eventstore.redis.runs import RedisRunStore
from eventstore.redis.streams import RedisStreamStore
from eventstore.redis.views import RedisViewStore
from eventstore.views import Batch
from openagents_json.engine import Engine
from projections import Counted, Index, Projection
from projections.reader import Views
from projections.runner import Runner, Target
from tests.conftest import Server, wait_for
from tests.fork_server import ForkedProcess
from tests.integration.views.opened_views import SINGLE, WAITING, double, raw_store


def _count(before: Any, event: Recorded) -> Any:
    return {
        "n": (before or {"n": 0})["n"] + 1,
        "sum": (before or {"sum": 0})["sum"] + event.version,
    }


EVERY = Projection("every", _count, key=lambda event: event.type)


def _has_moved(views: Any, before: Any) -> bool:
    return views.checkpoints(["every.1.1"], [0, 1]) != before or _all_in(views)


def test_many_runners_at_once_put_each_event_in_once(server: Server) -> None:
    keys = Keyspace(server.prefix(), 2)
    with Engine.connect(
        server.url, prefix=keys.prefix, partitions=2, components=[double], workers=2
    ) as engine:
        store = RedisViewStore(engine.core.store)
        runners = [
            Runner(
                LogReader(engine.core.store), store, [EVERY], 2, lambda: 0.0, batch=7
            )
            for _ in range(4)
        ]
        done = threading.Event()

        def work(runner: Runner) -> None:
            while not done.is_set():
                runner.advance([0, 1])

        threads = [threading.Thread(target=work, args=(runner,)) for runner in runners]
        for thread in threads:
            thread.start()
        for run in engine.start_many([(SINGLE, {})] * 60):
            engine.wait(run, timeout=120)
        done.set()
        for thread in threads:
            thread.join()
        runners[0].catch_up([0, 1])
        counted: dict[str, int] = {}
        for partition in range(2):
            for row in store.documents("every.1.1", partition):
                counted[row.key] = counted.get(row.key, 0) + row.document["n"]
        counts: dict[str, int] = {}
        for event in engine.events.read_all():
            counts[event.type] = counts.get(event.type, 0) + 1
        assert counted == counts


_PROJECT = """
import sys
from eventstore.redis.driver.connection import connect
from eventstore.keys import Keyspace
from eventstore.redis.projection_log import LogReader
from eventstore.redis.streams import RedisStreamStore
from eventstore.redis.runs import RedisRunStore
from eventstore.redis.views import RedisViewStore
from eventstore.views import Batch
from projections.runner import Runner
from tests.integration.views.test_projection_runners import EVERY
url, prefix = sys.argv[1:]
connection, keys = connect(url), Keyspace(prefix, 2)
store = RedisRunStore(connection, keys)
runner = Runner(LogReader(store), RedisViewStore(store), [EVERY], 2, lambda: 0.0, batch=3)
print("ready", flush=True)
while True:
    runner.advance([0, 1])
"""


def test_a_process_killed_while_it_projects_leaves_each_event_in_once(
    server: Server,
) -> None:
    keys = Keyspace(server.prefix(), 2)
    store = RedisRunStore(server.connect(), keys)
    views, log = RedisViewStore(store), RedisStreamStore(server.connect(), keys)
    with Engine.connect(
        server.url, prefix=keys.prefix, partitions=2, components=[double], workers=2
    ) as engine:
        for run in engine.start_many([(SINGLE, {})] * 150):
            engine.wait(run, timeout=120)
    kills = 0
    while kills < 6:
        process = ForkedProcess(
            [sys.executable, "-c", _PROJECT, server.url, keys.prefix],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.getcwd()},
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        before = views.checkpoints(["every.1.1"], [0, 1])
        wait_for(partial(_has_moved, views, before))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        kills += 1
    runner = Runner(LogReader(store), views, [EVERY], 2, lambda: 0.0)
    runner.catch_up([0, 1])
    counted = sum(
        row.document["n"] for p in (0, 1) for row in views.documents("every.1.1", p)
    )
    summed = sum(
        row.document["sum"] for p in (0, 1) for row in views.documents("every.1.1", p)
    )
    events = log.read_all()
    assert (counted, summed) == (len(events), sum(event.version for event in events))


def _all_in(views: RedisViewStore) -> bool:
    return all(head == at for head, [at] in views.checkpoints(["every.1.1"], [0, 1]))


def test_a_view_and_its_checkpoint_are_changed_together_or_not_at_all(
    server: Server,
) -> None:
    with Engine.connect(
        server.url, prefix=server.prefix(), partitions=1, components=[double]
    ) as engine:
        engine.start_many([(WAITING, {})] * 5)
        views = RedisViewStore(engine.core.store)
        runner = Runner(LogReader(engine.core.store), views, [EVERY], 1, lambda: 0.0)
        runner.catch_up([0])
        connection, keys = raw_store(engine)
        before = {
            name: connection.command(b"DUMP", name)
            for name in connection.client.scan_iter(f"{keys.prefix}:*")
        }
        [loaded] = views.load([("every.1.1", 0, [])])
        for batch in (
            Batch(loaded.checkpoint - 1, loaded.checkpoint),
            Batch(loaded.checkpoint, loaded.checkpoint + 9),
        ):
            batch.counts["x"] = 1
            assert views.save([("every.1.1", 0, batch)]) == [False]
        after = {
            name: connection.command(b"DUMP", name)
            for name in connection.client.scan_iter(f"{keys.prefix}:*")
        }
        assert after == before


def _odd(apply: Any = lambda _document, _event: {}, **more: Any) -> Projection:
    return Projection("odd", apply, **more)


WRONG = {
    "a key that is no text": _odd(key=lambda event: 3),
    "a count that is no number": _odd(
        lambda _document, _event: Counted({}, {"x": "many"})  # type: ignore[dict-item]
    ),
    "a value that is no JSON": _odd(
        lambda _document, _event: Counted({}, {}, {"x": {1}})
    ),
    "an order that is no number": _odd(index=lambda _document: Index("first")),  # type: ignore[arg-type]
    "no index": _odd(index=lambda _document: None),
    "facets that are no texts": _odd(index=lambda _document: Index(1, frozenset({3}))),  # type: ignore[arg-type]
    "a document that is no JSON": _odd(lambda _document, _event: {"x": {1}}),
}


@pytest.mark.parametrize("odd", WRONG.values(), ids=WRONG)
def test_whatever_a_projection_does_wrong_stops_it_alone(
    server: Server, odd: Projection
) -> None:
    with Engine.connect(
        server.url, prefix=server.prefix(), partitions=1, components=[double]
    ) as engine:
        engine.start_many([(WAITING, {})] * 3)
        views = RedisViewStore(engine.core.store)
        Runner(
            LogReader(engine.core.store), views, [odd, EVERY], 1, lambda: 0.0
        ).catch_up([0])
        [(head, [stands, goes])] = views.checkpoints(["odd.1.1", "every.1.1"], [0])
        assert (stands, goes) == (0, head)
        [trouble] = views.troubles("odd.1.1", [0])
        assert trouble["position"] == 1
        assert views.troubles("every.1.1", [0]) == [None]


def _mixed(_document: Any, event: Recorded) -> Counted:
    started = event.type == "RunStarted"
    return Counted({}, {} if started else {"x": 1}, {"x": "a text"} if started else {})


UNCOUNTABLE = {
    "a number beyond all": (
        _odd(lambda _document, _event: Counted({}, {"x": 2**63})),
        0,
    ),
    "a sum beyond all": (_odd(lambda _document, _event: Counted({}, {"x": 2**51})), 4),
    "a value that is a count too": (_odd(_mixed), 1),
}


@pytest.mark.parametrize("batch", [1, 3, 500])
@pytest.mark.parametrize(("odd", "partition"), UNCOUNTABLE.values(), ids=UNCOUNTABLE)
def test_a_count_that_cannot_be_added_stops_its_projection_alone(
    server: Server, odd: Projection, partition: int, batch: int
) -> None:
    with Engine.connect(server.url, prefix=server.prefix(), partitions=1) as engine:
        engine.start_many([(WAITING, {})] * 3)
        views = RedisViewStore(engine.core.store)
        runner = Runner(
            LogReader(engine.core.store),
            views,
            [odd, EVERY],
            1,
            lambda: 0.0,
            batch=batch,
        )
        runner.catch_up([0])
        [(head, [stands, goes])] = views.checkpoints(["odd.1.1", "every.1.1"], [0])
        assert (stands, goes) == (partition, head)
        [trouble] = views.troubles("odd.1.1", [0])
        assert trouble["position"] == partition + 1
        assert Views(runner, views).verify("odd") == []


def test_who_reads_a_view_while_it_is_replaced_gets_the_right_answer(
    server: Server,
) -> None:
    with Engine.connect(server.url, prefix=server.prefix(), partitions=1) as engine:
        engine.start_many([(WAITING, {})] * 5)
        store = RedisViewStore(engine.core.store)
        slow, other = (
            Runner(LogReader(engine.core.store), store, [EVERY], 1, lambda: 0.0)
            for _ in range(2)
        )
        reader, builder = Views(slow, store), Views(other, store)
        before = reader.get("every", "RunStarted")
        [view] = [target.view for target in slow.targets()]
        builder.rebuild("every")
        assert builder.finish_rebuild("every")
        slow.catch_up([0], [Target(EVERY, view)])
        assert [
            row.document for row in store.documents(view, 0) if row.key == "RunStarted"
        ] == before
        assert reader.get("every", "RunStarted") == before


def test_what_a_process_that_died_in_a_switch_left_goes_with_the_next(
    server: Server,
) -> None:
    with Engine.connect(server.url, prefix=server.prefix(), partitions=1) as engine:
        engine.start_many([(WAITING, {})] * 5)
        store = RedisViewStore(engine.core.store)
        views = Views(
            Runner(LogReader(engine.core.store), store, [EVERY], 1, lambda: 0.0), store
        )
        views.get("every", "RunStarted")
        views.rebuild("every")
        assert store.switch_generation("every.1", 2)
        views.rebuild("every")
        assert views.finish_rebuild("every")
        connection, keys = raw_store(engine)
        for name in (keys.view(0, "every.1.1:docs"), keys.view(0, "every.1.2:docs")):
            assert connection.command(b"PTTL", name) != -1


def test_a_rebuild_that_raises_is_told_of(server: Server) -> None:
    broken = threading.Event()

    def picky(_document: Any, event: Recorded) -> int:
        if broken.is_set():
            raise KeyError("no such thing")
        return event.version

    with Engine.connect(server.url, prefix=server.prefix(), partitions=1) as engine:
        [run] = engine.start_many([(WAITING, {})])
        store, clock = RedisViewStore(engine.core.store), [0.0]
        fine = Projection("fine", picky)
        views = Views(
            Runner(LogReader(engine.core.store), store, [fine], 1, lambda: clock[0]),
            store,
        )
        assert len(views.get("fine", run)) == 1
        broken.set()
        views.rebuild("fine")
        assert not views.finish_rebuild("fine")
        [status] = views.status()
        assert (status.generation, status.trouble[0]["run"]) == (1, run)
        broken.clear()
        clock[0] += 20_000
        assert views.finish_rebuild("fine")
        assert views.status()[0].trouble == {}


class Forgetful:
    """A log that loses its tail, and goes on with other events, just after it was read."""

    def __init__(self, log: LogReader, lose: Callable[[], None]) -> None:
        self._log, self._lose, self.times = log, lose, 0

    def read(
        self,
        positions: Sequence[tuple[int, int]],
        limit: int,
        types: Iterable[str] | None = None,
    ) -> list[tuple[int, list[Recorded]]]:
        events = self._log.read(positions, limit, types)
        self.times += 1
        if self.times == 1:
            self._lose()
        return events


def test_what_was_read_before_the_log_lost_its_tail_does_not_come_into_a_view(
    server: Server,
) -> None:
    prefix = server.prefix()
    with Engine.connect(server.url, prefix=prefix, partitions=1) as engine:
        engine.events.append("0-facts", [Event("Noted", {"x": 1})], commit_id="kept")
        engine.events.append("0-lost", [Event("Noted", {"x": 100})], commit_id="lost")
        store = engine.core.store
        redis, keys = server.connect().client, store.keys

        def lose() -> None:
            *kept, _ = redis.execute_command(b"XRANGE", keys.log(0), "-", "+")
            redis.execute_command(
                b"DEL", keys.log(0), keys.stream("0-lost"), keys.head("0-lost")
            )
            for identity, fields in kept:
                redis.execute_command(b"XADD", keys.log(0), identity, *fields)
            redis.execute_command(b"HINCRBY", keys.meta(0), "n", -1)
            wait_for(lambda: redis.time() > begun)
            engine.events.append(
                "0-facts", [Event("Noted", {"x": 1})], commit_id="other"
            )

        begun = (redis.time()[0], redis.time()[1] + 2000)
        total = Projection(
            "total",
            lambda document, event: (document or 0) + event.data["x"],
            key=lambda _: "all",
        )
        log = Forgetful(LogReader(store), lose)
        runner = Runner(log, RedisViewStore(store), [total], 1, time.monotonic)
        runner.catch_up([0])
        assert log.times > 1
        views = Views(runner, RedisViewStore(store))
        assert views.get("total", "all") == [2]
        assert views.verify("total") == []
