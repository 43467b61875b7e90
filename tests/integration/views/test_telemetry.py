"""What a program can count: the numbers are those that can be read off the histories, and cost no round trip."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    HistogramDataPoint,
    InMemoryMetricReader,
    NumberDataPoint,
)

from eventstore.redis.driver.connection import Connection
from eventstore.run_model import Code
from openagents_json import Context, tool
from openagents_json.catalog.loader import load
from openagents_json.engine import Engine, InMemoryTelemetry, Instrument, Telemetry
from openagents_json.engine.telemetry import meter, run_store, view_store
from openagents_json.engine.telemetry.opentelemetry import OpenTelemetry
from openagents_json.work_index import DueKind
from openagents_json.workflow.core import commands
from tests.acceptance.processes import (
    COMPONENTS,
    ROOT,
    openagents,
    wait_until_working,
    worker,
)
from tests.conftest import Server, wait_for

WORKFLOW = {
    "id": "counted",
    "inputs": {"names": {"type": "array"}},
    "steps": [
        {"id": "first", "component": "echo"},
        {"id": "nap", "sleep": 0.01},
        {
            "id": "each",
            "foreach": "{{input.names}}",
            "steps": [
                {
                    "id": "one",
                    "component": "fragile",
                    "retry": {"max_retries": 1, "delay_seconds": 0.01},
                }
            ],
        },
        {"id": "last", "component": "wide"},
    ],
}


@tool("echo", effect="pure")
def echo() -> str:
    return "here"


@tool("wide", queue="special")
def wide() -> str:
    return "there"


@tool("fragile")
def fragile(context: Context) -> str:
    if context.attempt == 1:
        raise ConnectionError("the first time")
    return "the second time"


Open = Callable[[Telemetry | None], Engine]


@pytest.fixture
def opened(server: Server) -> Iterator[Open]:
    engines = []

    def connect(telemetry: Telemetry | None) -> Engine:
        engine = Engine.connect(
            server.url,
            components=[echo, wide, fragile],
            workers=2,
            prefix=server.prefix(),
            partitions=2,
            telemetry=telemetry,
        )
        engines.append(engine)
        return engine

    yield connect
    for engine in engines:
        engine.close()


def worked(engine: Engine) -> Counter[str]:
    """Run some runs to their ends, close the engine, and return how many events of each type they have."""
    ids = engine.start_many([(WORKFLOW, {"names": ["a", "b", "c"]})] * 4)
    assert all(engine.wait(run, timeout=60).ok for run in ids)
    wait_for(lambda: all(engine.state(run).status == "completed" for run in ids))
    return Counter(event.type for run in ids for event in engine.history(run))


def undisturbed(events: Counter[str]) -> Counter[str]:
    """Leave out that a busy process gave steps back before it had begun them, and took them again."""
    given_back = events["StepReleased"]
    again = dict.fromkeys(
        ("StepReleased", "StepStarted", "StepRetryScheduled"), given_back
    )
    return events - Counter(again)


def test_what_is_counted_is_what_the_histories_say(opened: Open) -> None:
    telemetry = InMemoryTelemetry()
    engine = opened(telemetry)
    events = worked(engine)
    engine.close()
    assert telemetry.count("openagents.claims") == events["StepStarted"]
    assert undisturbed(events)["StepStarted"] == 4 * (2 + 3 * 2)
    assert telemetry.count("openagents.claims", queue="special") >= 4
    assert telemetry.count("openagents.events") == events.total()
    assert telemetry.count("openagents.commits", source="start", outcome="done") == 4
    assert telemetry.count("openagents.due", kind="timer") >= 4
    ended = telemetry.count("openagents.runs.ended", status="completed")
    assert ended == telemetry.count("openagents.runs.ended") == events["RunCompleted"]


def test_what_workers_begin_on_their_own_is_counted_too(opened: Open) -> None:
    telemetry = InMemoryTelemetry()
    engine = opened(telemetry)
    steps = [{"id": f"s{i}", "component": "echo"} for i in range(5)]
    run = engine.run(
        {"id": "batched", "persistence": "checkpoint", "steps": steps}, timeout=60
    ).id
    events = [event.type for event in engine.history(run)]
    engine.close()
    assert telemetry.count("openagents.claims", way="batch") > 0
    assert (
        telemetry.count("openagents.claims", queue="tool")
        == events.count("StepStarted")
        == 5
    )
    assert telemetry.count("openagents.events") == len(events)


def test_waits_are_those_of_first_attempts(opened: Open) -> None:
    telemetry = InMemoryTelemetry()
    engine = opened(telemetry)
    events = worked(engine)
    engine.close()
    waits = telemetry.summary("openagents.claims.wait")
    assert 0 < waits.count <= events["StepScheduled"]
    assert waits.largest < 60_000


def test_the_histories_are_the_same_without_telemetry(opened: Open) -> None:
    without, with_it = worked(opened(None)), worked(opened(InMemoryTelemetry()))
    assert undisturbed(without) == undisturbed(with_it)


def test_nothing_stands_before_the_stores_of_a_program_that_does_not_measure(
    opened: Open,
) -> None:
    core = opened(None).core
    assert core.runs is core.store
    assert core.handler.store is core.store


def commands_of(connection: Connection, work: Callable[[], object]) -> int:
    def commands_so_far() -> int:
        return int(connection.client.info("stats")["total_commands_processed"])

    before = commands_so_far()
    work()
    return commands_so_far() - before


def test_measuring_sends_no_command(private_server: Server) -> None:
    """Without a worker nothing happens in the background, so they can be counted one by one."""
    admin = private_server.connect()

    def counted(telemetry: Telemetry | None) -> tuple[int, int]:
        prefix = private_server.prefix()
        with Engine.connect(
            private_server.url,
            broker=None,
            components=[echo],
            prefix=prefix,
            partitions=1,  # a view asks each that holds a run
            telemetry=telemetry,
        ) as engine:
            engine.plan({"id": "w", "steps": [{"id": "s", "component": "echo"}]})

            def work() -> None:
                run = engine.start(
                    {"id": "w", "steps": [{"id": "s", "component": "echo"}]}
                )
                engine.pause(run)
                engine.resume(run)
                engine.cancel(run)

            work()
            writing = commands_of(admin, work)
            engine.views.runs()  # folds what is new
            return writing, commands_of(admin, engine.views.runs)

    assert counted(InMemoryTelemetry()) == counted(None)


def test_refusals_and_losers_are_counted(opened: Open) -> None:
    telemetry = InMemoryTelemetry()
    engine = opened(telemetry)
    document = {"id": "held", "steps": [{"id": "wait", "wait_for": {"signal": "go"}}]}
    run = engine.start(document, idempotency_key="once")
    assert engine.start(document, idempotency_key="once") == run
    assert (
        telemetry.count("openagents.commits", source="start", outcome="duplicate") == 1
    )
    stale = engine.core.sessions.load(run)
    engine.pause(run)
    engine.core.handler.handle(
        run, commands.CancelRun("late"), actor="other", session=stale
    )
    assert (
        telemetry.count("openagents.commits", source="decision", outcome="conflict")
        == 1
    )
    engine.cancel(run)


def test_a_store_that_is_away_is_counted(private_server: Server) -> None:
    telemetry = InMemoryTelemetry()
    with Engine.connect(
        private_server.url, broker=None, components=[echo], telemetry=telemetry
    ) as engine:
        run = engine.start({"id": "w", "steps": [{"id": "s", "component": "echo"}]})
        private_server.connect().client.config_set("maxmemory", 1)
        with pytest.raises(Exception, match="memory"):
            engine.start({"id": "w", "steps": [{"id": "s", "component": "echo"}]})
        private_server.connect().client.config_set("maxmemory", 0)
        engine.cancel(run)
    assert telemetry.count("openagents.commits", source="start", outcome="error") == 1
    assert telemetry.count("openagents.store.errors", operation="offer") == 1


def test_a_telemetry_that_raises_changes_nothing(
    opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def add(
            self, counter: Instrument, amount: int, attributes: Mapping[str, str]
        ) -> None:
            raise OSError("the agent is away")

        def record(
            self, histogram: Instrument, value: float, attributes: Mapping[str, str]
        ) -> None:
            raise OSError("the agent is away")

    with caplog.at_level(logging.ERROR, "openagents_json.engine.telemetry.meter"):
        with_it, without = worked(opened(Broken())), worked(opened(None))
        assert undisturbed(with_it) == undisturbed(without)
    assert (
        1 <= len(caplog.records) <= 3
    )  # one for each store that is measured, and not one for each commit


def test_how_far_views_are_behind_is_told(opened: Open) -> None:
    telemetry = InMemoryTelemetry()
    engine = opened(telemetry)
    events = worked(engine)
    engine.views.runs()
    behind = telemetry.summary("openagents.projection.lag", projection="runs")
    assert 0 < behind.largest <= events.total()


def test_opentelemetry_gets_the_same_numbers(opened: Open) -> None:
    reader = InMemoryMetricReader()
    engine = opened(
        OpenTelemetry(MeterProvider([reader], shutdown_on_exit=False).get_meter("test"))
    )
    events = worked(engine)
    engine.close()
    metrics = {metric.name: metric for metric in scope_metrics(reader)}
    claims = [
        p.value
        for p in metrics["openagents.claims"].data.data_points
        if isinstance(p, NumberDataPoint)
    ]
    assert sum(claims) == events["StepStarted"]
    calls = metrics["openagents.store.call"]
    assert calls.unit == "ms"
    assert any(
        p.attributes == {"operation": "claim"} and p.count
        for p in calls.data.data_points
    )
    assert all(isinstance(p, HistogramDataPoint) for p in calls.data.data_points)
    assert set(metrics) <= {instrument.name for instrument in instruments()}


def instruments() -> list[Instrument]:
    descriptions = [
        value
        for module in (meter, run_store, view_store)
        for value in vars(module).values()
    ]
    return [value for value in descriptions if isinstance(value, Instrument)]


def scope_metrics(reader: InMemoryMetricReader) -> Iterator[Any]:
    data = reader.get_metrics_data()
    assert data is not None
    for resource in data.resource_metrics:
        for scope in resource.scope_metrics:
            yield from scope.metrics


def test_a_worker_is_told_where_its_numbers_go(tmp_path: Path) -> None:
    (tmp_path / "metrics.py").write_text(
        "def telemetry():\n    return None\n\nnothing = 1\n"
    )
    for named, message in (
        ("metrics:nothing", "is no function"),
        ("metrics:missing", "has no 'missing'"),
        ("absent:telemetry", "No module named 'absent'"),
    ):
        done = openagents(
            "worker", "--data", "store", "--telemetry", named, folder=tmp_path
        )
        assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
        assert message in done.stderr


METRICS = """
import os
from openagents_json.engine import InMemoryTelemetry

class Written(InMemoryTelemetry):
    def add(self, counter, amount, attributes):
        if counter.name == "openagents.claims":
            with open({path!r}, "a") as file:
                file.write(f"{{self.process}} {{os.getpid()}} {{amount}}\\n")

def telemetry():
    written = Written()
    written.process = os.getpid()
    return written
"""


def test_each_process_of_a_worker_has_a_telemetry_of_its_own(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    path, prefix = tmp_path / "claims.txt", server.prefix()
    (tmp_path / "metrics.py").write_text(METRICS.format(path=str(path)))
    more = ("--pool", "prefork", "--telemetry", "metrics:telemetry")
    with Engine.connect(
        server.url, broker=server.url, components=load([str(COMPONENTS)]), prefix=prefix
    ) as engine:
        process = worker(server, prefix, more=more)
        try:
            wait_until_working(engine, process)
            steps = [{"id": f"s{i}", "component": "quick"} for i in range(3)]
            runs = engine.start_many([({"id": "w", "steps": steps}, {})] * 5)
            assert all(engine.wait(run, timeout=60).ok for run in runs)
        finally:
            process.terminate()
            assert process.wait(120) == 0
    lines = [line.split() for line in path.read_text().splitlines()]
    assert sum(int(amount) for _, _, amount in lines) == 15
    assert all(made_in == told_in != str(process.pid) for made_in, told_in, _ in lines)


def test_the_reference_lists_every_instrument_and_every_name() -> None:
    text = (ROOT / "docs/reference/metrics.md").read_text()
    names = [*(code.name for code in Code), *(kind.name for kind in DueKind)]
    assert [name for name in names if f"`{name.lower()}`" not in text] == []
    for instrument in instruments():
        assert (
            f"| `{instrument.name}` | {instrument.unit} | {instrument.description} |"
            in text
        )
