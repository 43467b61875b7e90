"""The relay under load: what is due is acted on in slices, fair to what became due last and to other runs and kinds."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from eventstore.errors import StoreUnavailable
from eventstore.redis.driver.scripts import PlainCall
from eventstore.run_model import DueMember
from executor.coordination.schedules import SLICE
from executor.worker.backlog import Backlog
from executor.worker.relay import AT_ONCE, Relay
from executor.worker.runtime import WorkSettings
from executor.worker.worker import Worker
from openagents_json import Registry
from openagents_json.engine import Engine, Schedule
from openagents_json.engine.wiring.worker import build_worker
from openagents_json.work_index import DueKey, DueKind
from tests.conftest import Server, wait_for

PAST = {"id": "past", "steps": [{"id": "s", "sleep": {"until": 1}}]}
SHORT = {"id": "short", "steps": [{"id": "s", "sleep": 0.01}]}
MANY = 4 * AT_ONCE


@pytest.fixture
def engine(server: Server) -> Iterator[Engine]:
    """An engine without workers: nothing happens unless the test does it."""
    with Engine.connect(
        server.url,
        prefix=server.prefix(),
        components=Registry(),
        workers=0,
        partitions=1,
    ) as opened:
        yield opened


@pytest.fixture
def relay(engine: Engine) -> Relay:
    return build_worker(engine.core, Registry(), WorkSettings(queues=()))._relay


def after(engine: Engine, run: str) -> None:
    """Wait until the timer of a run is due."""
    store = engine.core.store
    due = store.call([PlainCall((b"ZSCORE", store.keys.due(0), f"t|{run}|s|1"))])[0]
    wait_for(lambda: engine.schedules._schedules.now_ms() > float(due))


def statuses(engine: Engine, runs: Sequence[str]) -> Counter[str]:
    return Counter(engine.core.store.statuses(runs))


def test_a_short_sleep_does_not_wait_for_all_that_was_due_before(
    engine: Engine, relay: Relay
) -> None:
    runs = list(engine.start_many([(PAST, {})] * MANY))
    late = engine.start(SHORT)
    after(engine, late)
    assert relay.tick([0]) == 0  # there is more to do at once
    assert engine.state(late).status == "completed"
    assert 0 < statuses(engine, runs)["completed"] < AT_ONCE
    for _ in range(MANY // AT_ONCE + 1):
        relay.tick([0])
    assert statuses(engine, runs) == {"completed": MANY}
    assert engine.doctor() == []


def test_a_run_with_many_timers_does_not_hold_up_the_others(
    engine: Engine, relay: Relay
) -> None:
    items = {
        "id": "items",
        "steps": [{"id": "s", "foreach": list(range(MANY)), "sleep": {"until": 1}}],
    }
    many = engine.start(items)
    others = list(engine.start_many([(PAST, {})] * 10))
    for _ in range(3):
        relay.tick([0])
    assert statuses(engine, others) == {"completed": 10}
    assert engine.state(many).status == "running"


def test_others_have_their_share_beside_a_run_with_much_that_is_due(
    engine: Engine,
) -> None:
    store, keys = engine.core.store, engine.core.store.keys
    members = [("0-one", f"t|0-one|s[{i}]|1", i) for i in range(1, 400)]
    members += [(f"0-r{i}", f"t|0-r{i}|s|1", 150 + i) for i in range(30)]
    for run, member, at in members:
        store.call(
            [
                PlainCall((b"HSET", keys.head(run), b"st", b"running")),
                PlainCall((b"ZADD", keys.due(0), at, member)),
            ]
        )
    taken: Counter[str] = Counter()
    rounds = last = 0
    while (reply := store.due([0], [], at_most=24)[0]).members:
        rounds += 1
        assert (
            len(reply.members) == len({member.member for member in reply.members}) <= 24
        )
        taken.update(member.run for member in reply.members)
        if len(taken) == 31 and not last:
            last = taken["0-one"]
    assert sum(taken.values()) == 429
    assert rounds == 18  # none of which has room left
    assert last < 300


def test_a_schedule_that_makes_up_for_much_does_not_hold_up_timers(
    engine: Engine, relay: Relay
) -> None:
    engine.publish(PAST)
    schedules = engine.schedules
    schedules.create(
        Schedule("busy", "past", every_seconds=1, overlap="allow", paused=True)
    )
    stored = schedules._stored("busy")
    anchor = stored.state["anchor_ms"]
    late = {**stored.state, "next_ms": anchor - 100_000, "anchor_ms": anchor - 200_000}
    schedules._schedules.put(
        "busy", stored.revision, {**stored.spec, "paused": False}, late, anchor
    )
    short = engine.start(SHORT)
    after(engine, short)
    relay.tick([0])
    assert engine.state(short).status == "completed"
    assert schedules.get("busy")[1].started == SLICE
    for _ in range(12):
        relay.tick([0])
    assert schedules.get("busy")[1].started >= 100


@pytest.mark.damages_store("an event of a run is taken away")
def test_a_run_that_cannot_be_read_does_not_hold_up_the_others(
    engine: Engine, relay: Relay
) -> None:
    runs = list(engine.start_many([(PAST, {})] * 20))
    keys = engine.core.store.keys
    engine.core.connection.command(
        b"XADD", keys.stream(runs[7]), b"99-0", b"t", b"Odd", b"d", b"no JSON"
    )
    for run in runs:
        engine.core.sessions.drop(run)
    while relay.tick([0]) == 0:  # the rest of a slice
        pass
    assert statuses(engine, runs) == {"completed": 19, "running": 1}


def due(kind: DueKind, run: str, subject: str = "") -> DueMember:
    key = DueKey(kind, run, subject)
    return DueMember(kind, key, "", key.key())


def test_each_kind_and_each_run_has_its_turn() -> None:
    backlog = Backlog()
    for run in ("a", "b"):
        for step in "12":
            backlog.add(due(DueKind.GATES, run, step))
    backlog.add(due(DueKind.SCHEDULE, "nightly"))
    backlog.add(due(DueKind.GATES, "a", "1"))
    taken = []
    while backlog:
        taken.append(backlog.take().member)
    assert taken == ["g|a|1", "s|nightly", "g|b|1", "g|a|2", "g|b|2"]


class AwayOnce:
    """A service that greets the store, which is away the first time."""

    def __init__(self) -> None:
        self._errors = [StoreUnavailable("here", "away")]

    def start(self) -> None:
        if self._errors:
            raise self._errors.pop()

    def stop(self) -> None:
        """End."""


def threads_of_keepers() -> list[str]:
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name == "openagents-keeper"]


def test_a_worker_that_begins_again_begins_each_thread_once(engine: Engine) -> None:
    built = build_worker(engine.core, Registry(), WorkSettings(queues=()))
    worker = Worker(
        built.runtime,
        built._execution,
        built._relay,
        [AwayOnce()],
        Registry(),
        lambda _: None,
    )
    before = threads_of_keepers()
    with pytest.raises(StoreUnavailable):
        worker.start()
    assert threads_of_keepers() == before
    worker.start()
    assert threads_of_keepers() == [*before, "openagents-keeper"]
    worker.stop(0)
