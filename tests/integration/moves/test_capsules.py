"""Runs that leave a store and go on in another one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from eventstore.redis.raw import RawEvent, ends_of_commits, read_raw
from executor.errors import AnotherHistory
from executor.histories.importing import HistoryUnfit
from openagents_json.engine import Engine
from openagents_json.engine.archive.capsules import (
    adopt,
    take,
    write,
)
from openagents_json.workflow.errors import Rejected
from tests.conftest import wait_for
from tests.integration.moves.capsules import (
    packed_away,
    steps,
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


def test_a_closed_run_is_the_same_run_in_another_store(
    stores: Callable[..., Engine],
) -> None:
    here, there = stores(), stores(partitions=7)
    run = here.run(linear(), {"x": 3}, labels={"tenant": "a"}, timeout=20).id
    capsule, raw = packed_away(here, run, proofs=b'{"root":"x"}')
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
    adopt(
        there.core, packed_away(here, run)[0], actor="tester", mark={"restored": True}
    )
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
    adopt(there.core, packed_away(here, run)[0], actor="tester")
    there.retry(run, step="first", inputs={"x": 4})
    assert there.wait(run, timeout=120).output == {"result": 40}
    assert here.state(run).status == "failed"


def test_a_run_that_others_wait_for_or_that_waits_for_them_stays(
    stores: Callable[..., Engine],
) -> None:
    here, there = stores(), stores()
    here.publish(steps({"id": "go", "wait_for": {"signal": "go"}}) | {"id": "inner"})
    parent = here.start(steps({"id": "sub", "workflow": "inner"}) | {"id": "outer"})
    wait_for(lambda: bool(here.state(parent).children) and len(here.runs()) == 2)
    child = here.state(parent).children["sub"]
    for run, message in (
        (parent, f"waits for run {child}"),
        (child, f"run {parent} waits for this one"),
    ):
        capsule, _ = packed_away(here, run)
        assert capsule.manifest["children"] == ([child] if run == parent else [])
        with pytest.raises(Rejected, match=message):
            adopt(there.core, capsule, actor="tester")
    limited = here.start(
        steps({"id": "go", "wait_for": {"signal": "go"}})
        | {"id": "l", "concurrency": {"limit": 1}}
    )
    wait_for(lambda: bool(here.state(limited).steps))
    with pytest.raises(Rejected, match="under the limit of its workflow"):
        adopt(there.core, packed_away(here, limited)[0], actor="tester")
    assert there.runs() == []
    for run in (parent, limited):
        here.cancel(run)
        here.wait(run, timeout=120)


def test_another_history_is_refused_and_nothing_is_changed(
    stores: Callable[..., Engine],
) -> None:
    here, there = stores(), stores()
    run = here.run(linear(), {"x": 3}, timeout=20).id
    capsule, _ = packed_away(here, run)
    adopt(there.core, capsule, actor="tester")
    other = tuple(replace(e, commit=f"other-{e.commit}") for e in capsule.events)
    with pytest.raises(AnotherHistory, match="with another history"):
        adopt(there.core, replace(capsule, events=other), actor="tester")
    there.retry(run, step="second")
    there.wait(run, timeout=120)
    assert not adopt(there.core, capsule, actor="tester").changed
    longer, _ = packed_away(there, run)
    with pytest.raises(AnotherHistory):
        adopt(here.core, longer, actor="tester")


def test_a_history_that_is_none_is_refused(stores: Callable[..., Engine]) -> None:
    here, there = stores(), stores()
    run = here.run(linear(), {"x": 3}, timeout=20).id
    capsule, _ = packed_away(here, run)
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
    for message, history in wrong.items():
        with pytest.raises(HistoryUnfit, match=message):
            adopt(there.core, history, actor="tester")
    assert there.runs() == []


def test_a_history_that_is_sent_twice_is_taken_in_once(
    stores: Callable[..., Engine],
) -> None:
    """The reply to the commit is lost, so it is sent again; and another one sends the same at the same time."""
    here, there = stores(), stores()
    run = here.start(steps({"id": "go", "wait_for": {"signal": "go"}}))
    capsule, _ = packed_away(here, run)
    send, sent = there.core.store.call, list[int]()

    def twice(document: Any) -> Any:
        sent.append(1)
        send(document)
        return send(document)

    there.core.store.call = twice  # type: ignore[method-assign, assignment]
    adopt(there.core, capsule, actor="tester")
    there.core.store.call = send  # type: ignore[method-assign]
    assert sent
    assert [e.type for e in there.history(run)].count("RunImported") == 1
    for engine in (here, there):
        engine.signal(run, "go")
        assert engine.wait(run, timeout=120).status == "completed"


def test_what_is_packed_while_a_run_goes_on_ends_with_a_commit(
    stores: Callable[..., Engine],
) -> None:
    here = stores()
    each = {
        "id": "each",
        "foreach": list(range(200)),
        "component": "note",
        "inputs": {"x": "{{item}}"},
        "depends_on": ["gate"],
    }
    run = here.start(steps({"id": "gate", "wait_for": {"signal": "go"}}, each))
    capsules = [take(here.core, run, actor="tester")]
    here.signal(run, "go")
    while here.state(run).status == "running":
        capsules.append(take(here.core, run, actor="tester"))
    assert len({len(x.events) for x in capsules}) > 1
    whole = take(here.core, run, actor="tester")
    ends = set(ends_of_commits(whole.events))
    for capsule in capsules:
        assert capsule.events == whole.events[: len(capsule.events)]
        assert len(capsule.events) in ends
