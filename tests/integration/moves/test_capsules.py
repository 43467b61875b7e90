"""Runs that leave a store and go on in another one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from eventstore.redis.raw import RawEvent, ends_of_commits, read_raw
from executor.errors import AnotherHistory
from executor.histories.importing import HistoryUnfit
from openagents_json import Context, tool
from openagents_json.engine import Engine
from openagents_json.engine.archive.capsules import (
    Capsule,
    adopt,
    pack,
    take,
    unpack,
    write,
)
from openagents_json.workflow.errors import Rejected
from tests.conftest import Server, wait_for

calls: list[tuple[str, Any, str, int]] = []
held: list[str] = []
"""Steps that do not end while they are in here."""


@tool("note")
def note(x: Any = None, name: str = "note") -> Any:
    calls.append((name, x, "", 0))
    return x


@tool("picky")
def picky(x: int) -> int:
    if x < 0:
        raise ValueError(f"{x} is too small")
    return x * 10


@tool("slow")
def slow(context: Context, name: str = "slow") -> str:
    calls.append((name, None, context.idempotency_key, context.attempt))
    wait_for(lambda: name not in held)
    return name


@tool("once", effect="at_most_once")
def once(name: str = "once") -> str:
    calls.append((name, None, "", 0))
    wait_for(lambda: name not in held)
    return name


@tool("flaky")
def flaky(context: Context) -> int:
    if context.attempt == 1:
        raise ValueError("once")
    return 7


COMPONENTS = [note, picky, slow, once, flaky]


@pytest.fixture
def stores(server: Server) -> Iterator[Callable[..., Engine]]:
    """Open stores; all of them are looked over at the end."""
    engines: list[Engine] = []
    calls.clear()
    held.clear()

    def begin(prefix: str | None = None, **options: Any) -> Engine:
        defaults = {
            "components": COMPONENTS,
            "workers": 2,
            "partitions": 4,
            "lease_ms": 1500,
        }
        engines.append(
            Engine.connect(
                server.url, prefix=prefix or server.prefix(), **{**defaults, **options}
            )
        )
        return engines[-1]

    yield begin
    held.clear()
    for engine in engines:
        engine.close()
    for prefix in {engine.core.store.keys.prefix for engine in engines}:
        with Engine.connect(server.url, prefix=prefix, components=[]) as look:
            assert look.doctor() == []
            assert [
                drift
                for name in ("runs", "steps", "workers")
                for drift in look.views.verify(name)
            ] == []


def moved(engine: Engine, run: str, **options: Any) -> tuple[Capsule, bytes]:
    raw = pack(engine.core, run, actor="tester", **options)
    return unpack(raw), raw


def aged(capsule: Capsule, by_ms: int) -> Capsule:
    """Return a capsule of a run that began earlier."""
    return replace(
        capsule,
        events=tuple(
            replace(event, time_ms=event.time_ms - by_ms) for event in capsule.events
        ),
    )


def bare(events: Iterable[RawEvent]) -> list[RawEvent]:
    """Return events without what a store adds to them when they come in."""
    return [replace(event, n=0, metadata=b"") for event in events]


def linear(**more: Any) -> dict[str, Any]:
    return {
        "id": "order",
        "inputs": {"x": {"type": "integer", "required": True}},
        "steps": [
            {
                "id": "first",
                "component": "note",
                "inputs": {"x": "{{input.x}}", "name": "first"},
            },
            {"id": "second", "component": "picky", "inputs": {"x": "{{first.output}}"}},
        ],
        "output": {"result": "{{second.output}}"},
        **more,
    }


def steps(*found: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "w",
        "steps": list(found),
        "output": {s["id"]: f"{{{{{s['id']}.output}}}}" for s in found},
    }


def test_a_closed_run_is_the_same_run_in_another_store(
    stores: Callable[..., Engine],
) -> None:
    here, there = stores(), stores(partitions=7)
    run = here.run(linear(), {"x": 3}, labels={"tenant": "a"}, timeout=20).id
    capsule, raw = moved(here, run, proofs=b'{"root":"x"}')
    assert write(capsule) == raw
    assert (capsule.proofs, capsule.status, capsule.manifest["missing"]) == (
        b'{"root":"x"}',
        "completed",
        [],
    )
    assert [spec["component"] for spec in capsule.components] == ["note", "picky"]
    done = adopt(there.core, capsule, actor="tester")
    assert (done.run, done.status, done.changed) == (run, "completed", True)
    assert not adopt(there.core, capsule, actor="tester").changed
    mine, theirs = here.state(run), there.state(run)
    assert mine == replace(theirs, version=mine.version, imported=0)
    assert (theirs.imported, theirs.version) == (mine.version, mine.version + 1)
    assert mine.started_ms == here.history(run)[0].time_ms == here.runs()[0].started_ms
    assert bare(read_raw(there.core.store, run)[:-1]) == bare(capsule.events)
    [row] = there.runs()
    assert (row.id, row.status, row.labels) == (run, "completed", {"tenant": "a"})
    assert {x.component: x.completed for x in there.views.components()} == {
        "note": 1,
        "picky": 1,
    }


def test_a_marked_history_is_shown_and_not_counted_again(
    stores: Callable[..., Engine],
) -> None:
    here, there = stores(), stores()
    run = here.run(linear(), {"x": -1}, timeout=20).id
    adopt(there.core, moved(here, run)[0], actor="tester", mark={"restored": True})
    assert [(r.id, r.status) for r in there.runs()] == [(run, "failed")]
    assert list(there.views.components()) == []
    assert list(there.views.failures()) == []
    assert [worker.counts for worker in there.views.workers()] == [{}]
    assert len(list(here.views.failures())) == 1
    assert {
        e.metadata["restored"] for e in there.core.store.read([(run, 0)])[0][:-1]
    } == {True}


def test_a_failed_run_is_tried_again_where_it_was_brought(
    stores: Callable[..., Engine],
) -> None:
    here, there = stores(), stores()
    run = here.run(linear(), {"x": -1}, timeout=20).id
    adopt(there.core, moved(here, run)[0], actor="tester")
    there.retry(run, step="first", inputs={"x": 4})
    assert there.wait(run, timeout=20).output == {"result": 40}
    assert here.state(run).status == "failed"


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
    capsule, _ = moved(here, run)
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
    late = aged(moved(here, run)[0], 600_000)
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
    capsule, _ = moved(here, run)
    held.clear()
    here.wait(run, timeout=20)
    adopt(there.core, capsule, actor="tester")
    ended = there.wait(run, timeout=20)
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
    capsule, _ = moved(here, run)
    held.clear()
    here.wait(run, timeout=20)
    adopt(there.core, capsule, actor="tester")
    assert there.wait(run, timeout=20).output == {"s": "slow"}
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
    run = here.run(document, timeout=20).id
    whole = take(here.core, run, actor="tester")
    for cut in ends_of_commits(whole.events)[:-1]:
        there = stores()
        adopt(
            there.core, take(here.core, run, actor="tester", upto=cut), actor="tester"
        )
        assert there.wait(run, timeout=20).output == here.state(run).output, cut


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
        waits.core, moved(here, run)[0], actor="tester", paused=True, reason="to look"
    )
    here.pause(run, "by hand")
    adopt(paused.core, moved(here, run)[0], actor="tester")
    for engine, reason in ((waits, "to look"), (paused, "by hand")):
        engine.signal(run, "go")
        assert (engine.state(run).status, engine.state(run).reason) == (
            "paused",
            reason,
        )
        assert [row.status for row in engine.runs()] == ["paused"]
        engine.resume(run)
        assert engine.wait(run, timeout=20).status == "completed"
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
    capsule, _ = moved(here, run)
    adopt(there.core, capsule, actor="tester")
    assert there.wait(run, timeout=20).status == "failed"
    here.wait(run, timeout=20)
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
    adopt(there.core, moved(here, run)[0], actor="tester")
    wait_for(lambda: [s.status for s in there.state(run).steps] == ["gated"])
    assert len(calls) == 2
    held.clear()
    for each in (run, other):
        assert there.wait(each, timeout=20).output == {"s": "slow"}
    here.wait(run, timeout=20)
    assert len(calls) == 3


def test_a_run_that_others_wait_for_or_that_waits_for_them_stays(
    stores: Callable[..., Engine],
) -> None:
    here, there = stores(), stores()
    here.publish(steps({"id": "go", "wait_for": {"signal": "go"}}) | {"id": "inner"})
    parent = here.start(steps({"id": "sub", "workflow": "inner"}) | {"id": "outer"})
    wait_for(lambda: bool(here.state(parent).children) and len(here.runs()) == 2)
    child = here.state(parent).children["sub"]
    for run, said in (
        (parent, f"waits for run {child}"),
        (child, f"run {parent} waits for this one"),
    ):
        capsule, _ = moved(here, run)
        assert capsule.manifest["children"] == ([child] if run == parent else [])
        with pytest.raises(Rejected, match=said):
            adopt(there.core, capsule, actor="tester")
    limited = here.start(
        steps({"id": "go", "wait_for": {"signal": "go"}})
        | {"id": "l", "concurrency": {"limit": 1}}
    )
    wait_for(lambda: bool(here.state(limited).steps))
    with pytest.raises(Rejected, match="under the limit of its workflow"):
        adopt(there.core, moved(here, limited)[0], actor="tester")
    assert there.runs() == []
    for run in (parent, limited):
        here.cancel(run)
        here.wait(run, timeout=20)


def test_another_history_is_refused_and_nothing_is_changed(
    stores: Callable[..., Engine],
) -> None:
    here, there = stores(), stores()
    run = here.run(linear(), {"x": 3}, timeout=20).id
    capsule, _ = moved(here, run)
    adopt(there.core, capsule, actor="tester")
    other = tuple(replace(e, commit=f"other-{e.commit}") for e in capsule.events)
    with pytest.raises(AnotherHistory, match="with another history"):
        adopt(there.core, replace(capsule, events=other), actor="tester")
    there.retry(run, step="second")
    there.wait(run, timeout=20)
    assert not adopt(there.core, capsule, actor="tester").changed
    longer, _ = moved(there, run)
    with pytest.raises(AnotherHistory):
        adopt(here.core, longer, actor="tester")


def test_a_history_that_is_none_is_refused(stores: Callable[..., Engine]) -> None:
    here, there = stores(), stores()
    run = here.run(linear(), {"x": 3}, timeout=20).id
    capsule, _ = moved(here, run)
    events = capsule.events
    wrong = {
        "not RunStarted": replace(capsule, events=events[1:]),
        "does not come with it": replace(capsule, definitions={}),
        "it is that of run": replace(
            capsule, manifest={**capsule.manifest, "run": "0-other"}
        ),
        "no JSON": replace(
            capsule, events=(replace(events[0], data=b"\xff"), *events[1:])
        ),
        "do not fit together": replace(
            capsule, events=(*events[:3], replace(events[3], type="Odd"))
        ),
    }
    for said, found in wrong.items():
        with pytest.raises(HistoryUnfit, match=said):
            adopt(there.core, found, actor="tester")
    assert there.runs() == []


def test_a_history_that_is_sent_twice_is_taken_in_once(
    stores: Callable[..., Engine],
) -> None:
    """The reply to the commit is lost, so it is sent again; and another one sends the same at the same time."""
    here, there = stores(), stores()
    run = here.start(steps({"id": "go", "wait_for": {"signal": "go"}}))
    capsule, _ = moved(here, run)
    send, sent = there.core.store.call, list[int]()

    def twice(found: Any) -> Any:
        sent.append(1)
        send(found)
        return send(found)

    there.core.store.call = twice  # type: ignore[method-assign]
    adopt(there.core, capsule, actor="tester")
    there.core.store.call = send  # type: ignore[method-assign]
    assert sent
    assert [e.type for e in there.history(run)].count("RunImported") == 1
    for engine in (here, there):
        engine.signal(run, "go")
        assert engine.wait(run, timeout=20).status == "completed"


def test_what_is_packed_while_a_run_goes_on_ends_with_a_commit(
    stores: Callable[..., Engine],
) -> None:
    here = stores()
    each = {
        "id": "each",
        "foreach": list(range(200)),
        "component": "note",
        "inputs": {"x": "{{item}}"},
    }
    run, found = here.start(steps(each)), list[Capsule]()
    while here.state(run).status == "running":
        found.append(take(here.core, run, actor="tester"))
    assert len({len(x.events) for x in found}) > 1
    whole = take(here.core, run, actor="tester")
    ends = set(ends_of_commits(whole.events))
    for capsule in found:
        assert capsule.events == whole.events[: len(capsule.events)]
        assert len(capsule.events) in ends
