"""What a step costs, counted and not timed: round trips, Celery messages, bytes on the log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from eventstore.redis.driver.connection import Connection
from eventstore.redis.driver.scripts import Script, load_text
from openagents_json.catalog.loader import load
from openagents_json.engine import Engine, InMemoryTelemetry, Telemetry
from tests.acceptance.processes import COMPONENTS, wait_until_working, worker
from tests.conftest import Server, wait_for
from tests.integration.given_back import COST, given_back

STEPS = 300


def sequence(length: int) -> dict[str, Any]:
    return {
        "id": "sequence",
        "steps": [{"id": f"s{i}", "component": "quick"} for i in range(length)],
    }


def stat(connection: Connection, section: str, name: str) -> int:
    value = connection.client.info(section).get(name, 0)
    return int(value["calls"] if isinstance(value, dict) else value)


@pytest.fixture
def engine(private_server: Server, telemetry: Telemetry | None) -> Iterator[Engine]:
    # Nothing is killed here; and the longer steps take, the more the background asks meanwhile.
    private_server.look.client.config_set("appendfsync", "everysec")
    with Engine.connect(
        private_server.url,
        components=load([str(COMPONENTS)]),
        workers=1,
        partitions=2,
        lease_ms=300_000,  # what a lost lease costs is not what is counted here
        telemetry=telemetry,
    ) as opened:
        opened.run(sequence(3), timeout=20)
        yield opened


@pytest.fixture
def telemetry(request: pytest.FixtureRequest) -> Telemetry | None:
    """Return what measures; nothing does unless a test says so."""
    return InMemoryTelemetry() if getattr(request, "param", False) else None


@pytest.mark.parametrize(
    "telemetry", [False, True], ids=["unmeasured", "measured"], indirect=True
)
def test_a_sequential_step_is_one_round_trip_and_one_commit(
    engine: Engine, private_server: Server
) -> None:
    admin = private_server.connect()
    engine.plan(sequence(STEPS))
    before = stat(admin, "stats", "total_reads_processed")
    run = engine.start(sequence(STEPS))
    wait_for(
        lambda: engine.core.sessions.get(run) is None
    )  # looks at memory only: closed runs are forgotten
    round_trips = stat(admin, "stats", "total_reads_processed") - before
    assert engine.state(run).status == "completed"
    assert (
        STEPS <= round_trips < 2 * STEPS
    )  # the rest is the start and the background's
    assert (
        len({event.commit for event in engine.history(run)}) == STEPS + 2
    )  # the start, the first claim


def test_who_waits_for_a_run_is_woken_by_its_end_and_by_no_step(
    engine: Engine, private_server: Server
) -> None:
    admin = private_server.connect()
    before = stat(admin, "commandstats", "cmdstat_xread")
    assert engine.run(sequence(STEPS), timeout=60).ok
    # One for each two seconds.
    assert stat(admin, "commandstats", "cmdstat_xread") - before <= 5


def test_who_starts_a_run_and_waits_says_so_with_the_start(
    engine: Engine, private_server: Server
) -> None:
    assert engine.run(sequence(3), timeout=20).ok
    noting = Script("await", load_text("await.lua"))
    client = private_server.connect().client
    assert client.script_exists(noting.sha) == [False]
    assert engine.wait(engine.start(sequence(3)), timeout=20).ok
    assert client.script_exists(noting.sha) == [True]


@pytest.mark.parametrize("telemetry", [True], ids=["measured"], indirect=True)
def test_a_drain_that_sleeps_wakes_up_with_its_work(
    engine: Engine, private_server: Server, telemetry: InMemoryTelemetry
) -> None:
    clients = private_server.connect().client

    def runs(number: int) -> None:
        for _ in range(number):
            # The drain and the lane of one queue: then hardly anybody is about to look by himself.
            wait_for(lambda: clients.info("clients")["blocked_clients"] == 2)
            assert engine.run(sequence(1), timeout=20).ok

    runs(1)  # the server knows the script from here on
    calls = "openagents.store.call"
    before = telemetry.summary(calls, operation="claim").count
    runs(6)
    assert telemetry.summary(calls, operation="claim").count - before < 4


def test_a_run_of_one_step_is_four_round_trips_from_its_start_until_all_sleep_again(
    engine: Engine, private_server: Server
) -> None:
    admin = private_server.connect()

    def looks_until_all_sleep() -> int:
        """Return how often this looked; 0 when the drain has ended meanwhile."""
        for looks in range(1, 1000):
            if stat(admin, "clients", "blocked_clients") == 2:
                return looks
        return 0

    def counted() -> int:
        """Return how often the server read while a run was carried out; 0 when something else ended meanwhile."""
        assert engine.run(sequence(1), timeout=60).ok
        if not looks_until_all_sleep():
            return 0
        before = stat(admin, "stats", "total_reads_processed")
        assert engine.run(sequence(1), timeout=60).ok
        looks = looks_until_all_sleep()
        after = stat(admin, "stats", "total_reads_processed")
        return after - before - looks - 1 if looks else 0

    # The start, the wait for the end, the outcome, the next sleep; what the background does comes on top of most.
    assert any(counted() == 4 for _ in range(60))


def fan(width: int) -> dict[str, Any]:
    parallel = [{"id": f"p{i}", "component": "quick"} for i in range(width)]
    names = [step["id"] for step in parallel]
    join = {"id": "join", "component": "quick", "depends_on": names}
    return {"id": "fan", "execution": "graph", "steps": [*parallel, join]}


@pytest.mark.parametrize("telemetry", [True], ids=["measured"], indirect=True)
def test_claims_of_a_run_that_is_known_are_folded_without_reading_it(
    engine: Engine, telemetry: InMemoryTelemetry
) -> None:
    assert engine.run(fan(200), timeout=60).ok
    for operation in ("read", "begin_reading"):
        calls = telemetry.summary("openagents.store.call", operation=operation)
        assert calls.count == 0


def test_the_log_of_a_fan_has_an_entry_for_each_call_and_not_for_each_claim(
    engine: Engine, private_server: Server
) -> None:
    keys, admin = engine.core.store.keys, private_server.connect()
    run = engine.run(fan(200), timeout=60).id
    log = keys.log(keys.partition_of(run))
    entries = admin.command(b"XRANGE", log, b"-", b"+")
    of_run = [fields for _, fields in entries if fields[1] == run.encode()]
    again = given_back(engine, run)
    assert len(of_run) < 100 + COST * again
    events = sum(int(last) - int(first) + 1 for _, _, _, first, _, last in of_run)
    assert events == 605 + COST * again


def test_who_was_overtaken_by_more_than_a_reply_holds_reads_no_more_than_it_missed(
    engine: Engine, private_server: Server
) -> None:
    telemetry = InMemoryTelemetry()
    held = sequence(200)
    held["steps"].append({"id": "held", "wait_for": {"signal": "go"}})
    with Engine.connect(
        private_server.url,
        components=load([str(COMPONENTS)]),
        telemetry=telemetry,
    ) as behind:
        run = behind.start(held)
        wait_for(lambda: "held" in {step.id for step in engine.state(run).steps})
        behind.signal(run, "go")
        assert engine.wait(run, timeout=120).ok
    calls = "openagents.store.call"
    assert telemetry.summary(calls, operation="read").count == 1
    assert telemetry.summary(calls, operation="begin_reading").count == 0


@pytest.mark.parametrize("telemetry", [True], ids=["measured"], indirect=True)
def test_a_worker_introduces_itself_with_its_first_claim_in_a_partition(
    engine: Engine, telemetry: InMemoryTelemetry
) -> None:
    runs = engine.start_many([(sequence(1), {})] * 20)
    assert {engine.core.store.partition_of(run) for run in runs} == {0, 1}
    assert all(engine.wait(run, timeout=120).ok for run in runs)
    assert telemetry.summary("openagents.store.call", operation="tell").count == 0


@pytest.mark.parametrize("telemetry", [True], ids=["measured"], indirect=True)
def test_a_run_is_shown_by_one_call(
    engine: Engine, telemetry: InMemoryTelemetry
) -> None:
    ended = engine.run(sequence(1), timeout=120).id
    shown = engine.state(ended)
    began_ms = engine.history(ended)[0].time_ms
    reading = telemetry.summary("openagents.store.call", operation="begin_reading")
    first = telemetry.summary("openagents.store.call", operation="read_one")
    assert (shown.status, shown.started_ms) == ("completed", began_ms)
    assert (reading.count, first.count) == (1, 0)


def test_runs_that_begin_together_share_calls_of_scripts(
    engine: Engine, private_server: Server
) -> None:
    admin, steps = private_server.connect(), 1000
    before = stat(admin, "commandstats", "cmdstat_evalsha")
    runs = engine.start_many([(sequence(5), {})] * (steps // 5))
    wait_for(lambda: set(engine.core.store.statuses(runs)) == {"completed"})
    calls = stat(admin, "commandstats", "cmdstat_evalsha") - before
    assert len({engine.core.store.partition_of(run) for run in runs}) == 2
    assert calls / steps < 0.2


def test_what_is_due_is_looked_for_in_all_partitions_at_once(
    private_server: Server,
) -> None:
    admin = private_server.connect()
    with Engine.connect(
        private_server.url, prefix=private_server.prefix(), partitions=32
    ) as engine:
        store = engine.core.store
        store.due(range(32), ["tool"])  # the server knows the script from here on
        before = stat(admin, "commandstats", "cmdstat_evalsha")
        replies = store.due(range(32), ["tool"])
    assert [reply.partition for reply in replies] == [*range(32)]
    assert stat(admin, "commandstats", "cmdstat_evalsha") - before == 1


def test_the_bytes_of_a_step_on_the_log_are_few(
    engine: Engine, private_server: Server
) -> None:
    run = engine.run(sequence(STEPS), timeout=60).id
    keys, admin = engine.core.store.keys, private_server.connect()
    stream = admin.command(b"XRANGE", keys.stream(run), b"-", b"+")
    written = sum(len(field) for _, fields in stream for field in fields)
    assert len(stream) == 3 * STEPS + 2
    assert written / STEPS < 450
    assert admin.command(b"MEMORY", b"USAGE", keys.stream(run)) / STEPS < 800


def test_celery_messages_follow_the_wake_ups_and_not_the_steps(
    private_server: Server,
) -> None:
    admin, prefix = private_server.connect(), private_server.prefix()
    with Engine.connect(
        private_server.url,
        broker=private_server.url,
        components=load([str(COMPONENTS)]),
        prefix=prefix,
        partitions=4,
    ) as engine:
        workers = [worker(private_server, prefix) for _ in range(2)]
        try:
            wait_until_working(engine, *workers)
            assert engine.run(sequence(3), timeout=60).ok
            before = stat(admin, "commandstats", "cmdstat_lpush")
            runs = engine.start_many([(sequence(5), {})] * 200)
            assert all(engine.wait(run, timeout=60).ok for run in runs)
            messages = stat(admin, "commandstats", "cmdstat_lpush") - before
        finally:
            for process in workers:
                process.terminate()
            assert [process.wait(120) for process in workers] == [0, 0]
    assert messages <= 20  # for 1,000 steps


def waits(number: int) -> dict[str, Any]:
    each = [{"id": f"w{i}", "wait_for": {"signal": "go"}} for i in range(number)]
    return {"id": f"waits-{number}", "execution": "graph", "steps": each}


def test_a_run_with_many_steps_that_wait_is_looked_at_once(
    engine: Engine, private_server: Server
) -> None:
    admin = private_server.connect()
    engine.start(waits(20))
    wait_for(lambda: len(engine.views.steps(status="wait")) == 20)
    before = stat(admin, "commandstats", "cmdstat_xrange")
    assert len(engine.waiting()) == 20
    assert stat(admin, "commandstats", "cmdstat_xrange") - before < 10
