"""An event that no commit has written: whoever looks at its run is told so, and the other runs go on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eventstore.errors import EventUnreadable
from openagents_json import tool
from openagents_json.engine import Engine, RunFilter
from openagents_json.workflow.core.event_types import from_data
from openagents_json.workflow.errors import UnknownEvent
from tests.acceptance.processes import openagents
from tests.conftest import Server, wait_for
from tests.integration.ledger.ledgers import Hand

pytestmark = pytest.mark.damages_store("an event is written by hand")

DOCUMENT: dict[str, Any] = {
    "id": "adding",
    "steps": [{"id": "one", "component": "one"}, {"id": "two", "component": "one"}],
}
ODD = {
    "fields of another form": (b"t", b"Odd"),
    "no JSON": (
        b"t",
        b"Odd",
        b"d",
        b"{",
        *(b"m", b"1", b"n", b"1", b"k", b"c", b"a", b"me", b"w", b"x"),
    ),
    "a time that is none": (
        b"t",
        b"Odd",
        b"d",
        b"{}",
        *(b"m", b"now", b"n", b"1", b"k", b"c", b"a", b"me", b"w", b"x"),
    ),
}


@tool("one")
def one() -> int:
    return 1


@pytest.fixture
def prefix(server: Server) -> str:
    return server.prefix()


@pytest.fixture
def engine(server: Server, prefix: str) -> Iterator[Engine]:
    with Engine.connect(
        server.url,
        prefix=prefix,
        components=[one],
        workers=0,
        partitions=1,
        lease_ms=60_000,
    ) as opened:
        yield opened


def write(engine: Engine, run: str, fields: tuple[bytes, ...]) -> int:
    """Write an event by hand behind those of a run."""
    version = engine.state(run).version + 1
    engine.core.connection.command(
        b"XADD", engine.core.store.keys.stream(run), f"{version}-0", *fields
    )
    engine.core.sessions.drop(run)
    return version


@pytest.mark.parametrize("fields", ODD.values(), ids=ODD.keys())
def test_who_looks_at_the_run_is_told(
    engine: Engine,
    server: Server,
    prefix: str,
    fields: tuple[bytes, ...],
    tmp_path: Path,
) -> None:
    run = engine.start(DOCUMENT)
    version = write(engine, run, fields)
    with pytest.raises(
        EventUnreadable, match=f"event {version} of {run} cannot be read: "
    ):
        engine.state(run)
    for command in ("show", "history", "explain", "cancel"):
        done = openagents(
            "runs",
            command,
            run,
            "--url",
            server.url,
            "--prefix",
            prefix,
            folder=tmp_path,
        )
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
        assert f"event {version} of {run} cannot be read: " in done.stderr


def test_who_has_read_the_run_before_is_told_when_he_sends_it_something(
    engine: Engine,
) -> None:
    run = engine.start(DOCUMENT)
    # Read by this engine before the event is written, so what it sends is not read anew.
    session = engine.core.sessions.load(run)
    version = write(engine, run, ODD["no JSON"])
    engine.core.sessions.put(session)
    with pytest.raises(
        EventUnreadable, match=f"event {version} of {run} cannot be read: "
    ):
        engine.pause(run)


@pytest.mark.parametrize(
    "fields", [{"d": b"{"}, {"n": b"x"}], ids=["no JSON", "no position"]
)
def test_runs_that_were_claimed_with_it_go_on(
    engine: Engine, server: Server, prefix: str, fields: dict[str, bytes]
) -> None:
    """No lease has to run out first: the steps of all of them lie in one queue, and are claimed together."""
    runs = [engine.start(DOCUMENT) for _ in range(8)]
    Hand(server, engine).change(runs[3], 1, **fields)
    others = [run for run in runs if run != runs[3]]
    with Engine.connect(
        server.url,
        prefix=prefix,
        components=[one],
        workers=1,
        partitions=1,
        lease_ms=60_000,
    ) as working:
        wait_for(
            lambda: all(working.state(run).status == "completed" for run in others), 30
        )


@pytest.mark.parametrize(
    "fields", [(b"a", b"b"), (b"r", b"a", b"f", b"x", b"l", b"y")], ids=["odd", "alike"]
)
def test_what_is_written_into_the_log_by_hand_is_passed_over_and_told(
    engine: Engine, fields: tuple[bytes, ...]
) -> None:
    store = engine.core.store
    engine.start(DOCUMENT)
    engine.start(DOCUMENT)
    log = store.keys.log(0)
    [[last, _]] = engine.core.connection.command(
        b"XREVRANGE", log, b"+", b"-", b"COUNT", 1
    )
    n, _, ms = last.partition(b"-")
    engine.core.connection.command(b"XADD", log, f"{int(n)}-{int(ms) + 1}", *fields)
    run = engine.start(DOCUMENT)
    assert [item.stream for item in engine.events.read_all()].count(run) == 2
    assert run in {row.id for row in engine.views.runs(RunFilter()).items}
    assert engine.views.verify("runs") == []
    engine.projections.rebuild("runs")
    assert len(engine.views.runs(RunFilter()).items) == 3
    told = (
        f"log entry {int(n)}-{int(ms) + 1} is no commit: something else has written it"
    )
    assert told in [violation.what for violation in engine.doctor()]


@pytest.mark.parametrize("data", [5, None, "text", [], {"step": 1}])
def test_an_event_whose_data_is_of_another_shape_is_not_known(data: Any) -> None:
    with pytest.raises(UnknownEvent, match="event 'StepCompleted' cannot be read: "):
        from_data("StepCompleted", data)
