"""Open runs that go on in another store: timers, steps under way, retries and locks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from eventstore.redis.raw import ends_of_commits
from openagents_json.engine import BusinessKeyTaken, Engine
from openagents_json.engine.archive.capsules import (
    Capsule,
    adopt,
    take,
)
from tests.conftest import wait_for
from tests.integration.moves.capsules import (
    calls,
    held,
    packed_away,
    steps,
)


def aged(capsule: Capsule, by_ms: int) -> Capsule:
    """Return a capsule of a run that began earlier."""
    return replace(
        capsule,
        events=tuple(
            replace(event, time_ms=event.time_ms - by_ms) for event in capsule.events
        ),
    )


def test_an_open_run_goes_on_with_timers_signals_items_and_payloads_as_they_were(
    stores: Callable[..., Engine],
) -> None:
    here, there = stores(), stores()
    big = "x" * 40_000
    each = {
        "id": "each",
        "foreach": "{{input.xs}}",
        "component": "note",
        "inputs": {"x": "{{item}}", "name": "item"},
    }
    document = {
        "id": "mid",
        "timeout": 6000,
        "inputs": {"xs": {"type": "array"}, "big": {"type": "string"}},
        "steps": [
            {"id": "large", "component": "note", "inputs": {"x": "{{input.big}}"}},
            {"id": "nap", "sleep": 600},
            {"id": "go", "wait_for": {"signal": "go"}, "depends_on": ["large"]},
            {**each, "depends_on": ["nap", "go"]},
        ],
        "output": {"large": "{{large.output}}", "each": "{{each.output}}"},
    }
    run = here.start(document, {"xs": [1, 2, 3], "big": big})
    wait_for(
        lambda: (
            {s.id for s in here.state(run).steps if s.status == "active"}
            == {"nap", "go"}
        )
    )
    capsule, _ = packed_away(here, run)
    assert len(capsule.blobs) == 1
    adopt(there.core, aged(capsule, 600_000), actor="tester", reason="to go on")
    there.signal(run, "go")
    assert there.wait(run, timeout=60).output == {"large": big, "each": [1, 2, 3]}
    [imported] = [e for e in there.history(run) if e.type == "RunImported"]
    assert (imported.data["reason"], imported.data["at"]) == (
        "to go on",
        len(capsule.events),
    )
    here.cancel(run)


def test_a_timer_fires_at_its_own_time_however_late_the_run_came(
    stores: Callable[..., Engine],
) -> None:
    here, there = stores(), stores()
    run = here.start(steps({"id": "nap", "sleep": 600}))
    wait_for(lambda: any(e.type == "TimerSet" for e in here.history(run)))
    late = aged(packed_away(here, run)[0], 600_000)
    adopt(
        there.core, aged(late, -500), actor="tester"
    )  # half a second before it is due
    assert there.wait(run, timeout=60).status == "completed"
    due = next(e.time_ms for e in late.events if e.type == "TimerSet") + 600_500
    assert next(e.time_ms for e in there.history(run) if e.type == "TimerFired") >= due
    here.cancel(run)


def test_what_was_under_way_is_done_again_with_the_same_key_or_fails_if_it_must_not(
    stores: Callable[..., Engine],
) -> None:
    here, there = stores(), stores()
    held.extend(("slow", "once"))
    document = steps(
        {"id": "s", "component": "slow"}, {"id": "o", "component": "once"}
    ) | {"execution": "graph"}
    run = here.start(document)
    wait_for(
        lambda: (
            {s.status for s in here.state(run).steps} == {"started"} and len(calls) == 2
        )
    )
    capsule, _ = packed_away(here, run)
    held.clear()
    here.wait(run, timeout=120)
    adopt(there.core, capsule, actor="tester")
    ended = there.wait(run, timeout=120)
    assert ended.error is not None
    assert (ended.status, ended.error["type"], ended.error["step"]) == (
        "failed",
        "UnknownOutcome",
        "o",
    )
    assert "was under way in" in ended.error["message"]
    fences = [
        int(e.data["fence"]) for e in there.history(run) if e.type == "StepStarted"
    ]
    assert fences == sorted(fences)
    assert [name for name, *_ in calls].count("once") == 1


def test_a_step_under_way_is_done_again_with_the_same_idempotency_key(
    stores: Callable[..., Engine],
) -> None:
    here, there = stores(), stores()
    held.append("slow")
    run = here.start(steps({"id": "s", "component": "slow"}))
    wait_for(lambda: len(calls) == 1)
    capsule, _ = packed_away(here, run)
    held.clear()
    here.wait(run, timeout=120)
    adopt(there.core, capsule, actor="tester")
    assert there.wait(run, timeout=120).output == {"s": "slow"}
    assert [(key, attempt) for _, _, key, attempt in calls] == [
        (f"{run}/s", 1),
        (f"{run}/s", 2),
    ]


def test_every_point_of_a_run_can_be_the_one_where_it_moves(
    stores: Callable[..., Engine],
) -> None:
    here = stores()
    each = {
        "id": "each",
        "foreach": [1, 2],
        "component": "note",
        "inputs": {"x": "{{item}}"},
    }
    flaky = {
        "id": "f",
        "component": "flaky",
        "retry": {"max_retries": 2, "delay_seconds": 0.05},
    }
    document = steps(each, {"id": "nap", "sleep": 0.05}, flaky)
    run = here.run(document, timeout=120).id
    whole = take(here.core, run, actor="tester")
    for cut in ends_of_commits(whole.events)[:-1]:
        there = stores()
        adopt(
            there.core, take(here.core, run, actor="tester", upto=cut), actor="tester"
        )
        assert there.wait(run, timeout=120).output == here.state(run).output, cut


def test_an_open_run_waits_when_it_is_asked_to_and_a_paused_one_stays_paused(
    stores: Callable[..., Engine],
) -> None:
    here, waits, paused = stores(), stores(), stores()
    run = here.start(
        steps(
            {"id": "go", "wait_for": {"signal": "go"}}, {"id": "n", "component": "note"}
        )
    )
    wait_for(lambda: bool(here.state(run).steps))
    adopt(
        waits.core,
        packed_away(here, run)[0],
        actor="tester",
        paused=True,
        reason="to look",
    )
    here.pause(run, "by hand")
    adopt(paused.core, packed_away(here, run)[0], actor="tester")
    for engine, reason in ((waits, "to look"), (paused, "by hand")):
        engine.signal(run, "go")
        assert (engine.state(run).status, engine.state(run).reason) == (
            "paused",
            reason,
        )
        assert [row.status for row in engine.runs()] == ["paused"]
        engine.resume(run)
        assert engine.wait(run, timeout=120).status == "completed"
    here.cancel(run)


def test_a_step_waits_for_its_next_attempt_where_it_is_now(
    stores: Callable[..., Engine],
) -> None:
    here, there = stores(), stores()
    retry = {"max_retries": 3, "delay_seconds": 1}
    run = here.start(
        steps({"id": "p", "component": "picky", "inputs": {"x": -1}, "retry": retry})
    )
    wait_for(lambda: any(e.type == "StepRetryScheduled" for e in here.history(run)))
    capsule, _ = packed_away(here, run)
    adopt(there.core, capsule, actor="tester")
    assert there.wait(run, timeout=120).status == "failed"
    here.wait(run, timeout=120)
    attempts = [
        [e.attempt for e in engine.history(run) if e.type == "StepStarted"]
        for engine in (here, there)
    ]
    assert attempts[0] == attempts[1] == [1, 2, 3, 4]


def test_a_lock_is_asked_for_anew(stores: Callable[..., Engine]) -> None:
    here, there = stores(), stores()
    held.append("slow")
    document = steps({"id": "s", "component": "slow", "mutex": "k"})
    run = here.start(document)
    wait_for(lambda: len(calls) == 1)
    other = there.start(document)
    wait_for(lambda: len(calls) == 2)
    adopt(there.core, packed_away(here, run)[0], actor="tester")
    wait_for(lambda: [s.status for s in there.state(run).steps] == ["gated"])
    assert len(calls) == 2
    held.clear()
    for each in (run, other):
        assert there.wait(each, timeout=120).output == {"s": "slow"}
    here.wait(run, timeout=120)
    assert len(calls) == 3


def test_a_run_brings_its_business_key(stores: Callable[..., Engine]) -> None:
    """Under a key, one run is open in the store where it is, wherever it began."""
    here, there = stores(), stores()
    asking = steps({"id": "ask", "wait_for": {"signal": "answer"}})
    labels = {"business_key": "a label is no key"}
    run = here.start(asking, business_key="7", labels=labels)
    assert here.state(run).labels == {"business_key": "7"}
    capsule = packed_away(here, run)[0]
    holder = there.start(asking, business_key="7")
    with pytest.raises(BusinessKeyTaken) as refused:
        adopt(there.core, capsule, actor="tester")
    assert refused.value.run == holder.id
    assert {row.id for row in there.runs()} == {holder.id}
    there.signal(holder, "answer", 1)
    assert adopt(there.core, capsule, actor="tester").changed
    assert not adopt(there.core, capsule, actor="tester").changed
    with pytest.raises(BusinessKeyTaken) as taken:
        there.start(asking, business_key="7")
    assert taken.value.run == run.id
    there.signal(run.id, "answer", 1)
    assert there.start(asking, business_key="7").is_new


def test_a_closed_run_brings_no_business_key(stores: Callable[..., Engine]) -> None:
    here, there = stores(), stores()
    asking = steps({"id": "ask", "wait_for": {"signal": "answer"}})
    run = here.start(asking, business_key="7")
    here.signal(run, "answer", 1)
    here.wait(run, timeout=60)
    holder = there.start(asking, business_key="7")
    assert adopt(there.core, packed_away(here, run)[0], actor="tester").changed
    with pytest.raises(BusinessKeyTaken) as taken:
        there.start(asking, business_key="7")
    assert taken.value.run == holder.id
