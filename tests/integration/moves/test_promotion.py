"""A run moves to another store; whoever dies in between, it is live in one of them at the end, and never in both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from openagents_json import Context, tool
from openagents_json.engine import Engine
from openagents_json.engine.archive.promotion import (
    STAGES,
    Move,
    arrive,
    leave,
    pause,
    promote,
    settle,
)
from openagents_json.engine.errors import NotMoved
from openagents_json.workflow.errors import Rejected
from tests.conftest import Server, wait_for

ran: list[tuple[str, str]] = []
held: list[bool] = []


@tool("work")
def work(context: Context, name: str = "") -> str:
    ran.append((name, context.idempotency_key))
    wait_for(lambda: not held)
    return name


DOCUMENT: dict[str, Any] = {
    "id": "w",
    "steps": [
        {"id": "a", "component": "work", "inputs": {"name": "a"}},
        {"id": "go", "wait_for": {"signal": "go"}},
        {"id": "b", "component": "work", "inputs": {"name": "b"}},
    ],
    "output": "{{a.output}}{{b.output}}",
}


@pytest.fixture
def pair(server: Server) -> Iterator[Callable[[], tuple[Engine, Engine]]]:
    engines: list[Engine] = []
    ran.clear()
    held.clear()

    def begin() -> tuple[Engine, Engine]:
        for partitions in (4, 6):
            prefix = server.prefix()
            engines.append(
                Engine.connect(
                    server.url,
                    prefix=prefix,
                    partitions=partitions,
                    components=[work],
                    workers=2,
                )
            )
        return engines[-2], engines[-1]

    yield begin
    held.clear()
    for engine in engines:
        assert engine.doctor() == []
        assert [
            drift
            for name in ("runs", "steps", "workers")
            for drift in engine.views.verify(name)
        ] == []
        engine.close()


def waiting(engine: Engine) -> str:
    run = engine.start(DOCUMENT)
    wait_for(
        lambda: [s.status for s in engine.state(run).steps] == ["completed", "active"]
    )
    return run


def live(engine: Engine, run: str) -> bool:
    """Tell whether a run can do something by itself."""
    head = engine.core.store.heads([run])[0]
    return head is not None and head.status not in (
        "paused",
        "completed",
        "failed",
        "cancelled",
    )


@pytest.mark.parametrize("stop", range(len(STAGES) + 1))
def test_who_dies_after_any_stage_ends_with_one_live_run(
    pair: Callable[[], tuple[Engine, Engine]], stop: int
) -> None:
    here, there = pair()
    run = waiting(here)
    move = Move(here, there, run)
    for stage in STAGES[:stop]:
        stage(move)
        assert not (live(here, run) and live(there, run))
    done = promote(move)
    assert (done.status, done.run) == ("running", run)
    assert (live(here, run), live(there, run)) == (False, True)
    assert here.state(run).reason.startswith("moved to ")
    there.signal(run, "go")
    assert there.wait(run, timeout=120).output == "ab"
    assert [name for name, _ in ran] == ["a", "b"]
    assert promote(move).status == "completed"
    assert [e.type for e in there.history(run)].count("RunImported") == 1


def test_a_step_under_way_ends_first_and_one_that_does_not_keeps_the_run_here(
    pair: Callable[[], tuple[Engine, Engine]],
) -> None:
    here, there = pair()
    held.append(True)
    run = here.start(DOCUMENT)
    wait_for(lambda: bool(ran))
    with pytest.raises(NotMoved, match="step a is still under way"):
        promote(Move(here, there, run, settle_ms=300))
    assert here.state(run).status == "paused"
    assert there.runs() == []
    held.clear()
    assert promote(Move(here, there, run)).status == "running"
    there.signal(run, "go")
    assert there.wait(run, timeout=120).output == "ab"
    assert [name for name, _ in ran] == ["a", "b"]


def test_a_run_that_was_paused_stays_paused(
    pair: Callable[[], tuple[Engine, Engine]],
) -> None:
    here, there = pair()
    run = waiting(here)
    here.pause(run, "until Monday")
    assert promote(Move(here, there, run)).status == "paused"
    assert there.state(run).reason == "until Monday"
    there.resume(run)
    there.signal(run, "go")
    assert there.wait(run, timeout=120).status == "completed"


def test_who_resumes_a_run_in_between_keeps_it(
    pair: Callable[[], tuple[Engine, Engine]],
) -> None:
    here, there = pair()
    run = waiting(here)
    move = Move(here, there, run)
    pause(move)
    settle(move)
    here.resume(run)
    with pytest.raises(NotMoved, match="somebody resumed it"):
        leave(move)
    assert (live(here, run), there.runs()) == (True, [])
    here.signal(run, "go")
    assert here.wait(run, timeout=120).status == "completed"


def test_a_run_goes_to_one_place_only(
    pair: Callable[[], tuple[Engine, Engine]],
) -> None:
    (here, there), (_, elsewhere) = pair(), pair()
    run = waiting(here)
    first, second = Move(here, there, run), Move(here, elsewhere, run)
    for stage in STAGES[:3]:
        stage(first)
        stage(second)
    leave(first)
    leave(second)
    with pytest.raises(NotMoved, match="it was moved to"):
        arrive(second)
    assert elsewhere.runs() == []
    promote(first)
    with pytest.raises(NotMoved, match="it was moved to"):
        promote(second)
    with pytest.raises(NotMoved, match="in that store already"):
        promote(Move(there, there, run))
    there.signal(run, "go")
    assert there.wait(run, timeout=120).status == "completed"
    with pytest.raises(NotMoved, match="it has ended"):
        promote(Move(there, elsewhere, run))


def test_what_cannot_move_is_left_alone(
    pair: Callable[[], tuple[Engine, Engine]],
) -> None:
    here, there = pair()
    here.publish({"id": "inner", "steps": [{"id": "go", "wait_for": {"signal": "go"}}]})
    parent = here.start({"id": "outer", "steps": [{"id": "sub", "workflow": "inner"}]})
    wait_for(lambda: len(here.runs()) == 2)
    with pytest.raises(Rejected, match="which stays where it is"):
        promote(Move(here, there, parent))
    assert (here.state(parent).status, there.runs()) == ("running", [])
    here.cancel(parent)
    here.wait(parent, timeout=120)
