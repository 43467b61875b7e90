"""Histories come into a store whole or not at all: long ones, several at a time, and with what was put aside gone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from eventstore import codec
from eventstore.errors import StageLost
from eventstore.redis.driver.scripts import ScriptCall
from eventstore.redis.raw import RawEvent, read_raw
from openagents_json.engine import Engine
from openagents_json.engine.archive.capsules import Capsule, adopt, take, unpack, write
from tests.conftest import Server

WAITING = {
    "id": "w",
    "steps": [{"id": "go", "wait_for": {"signal": "go"}}],
    "output": "{{go.output}}",
}


@pytest.fixture
def store(server: Server) -> Iterator[Callable[[], Engine]]:
    """Open stores, each looked over at the end."""
    engines: list[Engine] = []

    def begin() -> Engine:
        engines.append(
            Engine.connect(
                server.url, prefix=server.prefix(), partitions=4, components=[]
            )
        )
        return engines[-1]

    yield begin
    for engine in engines:
        assert engine.doctor() == []
        assert [
            drift
            for name in ("runs", "steps", "workers")
            for drift in engine.views.verify(name)
        ] == []
        engine.close()


def waiting(engine: Engine) -> Capsule:
    capsule = take(engine.core, engine.start(WAITING), actor="tester")
    engine.cancel(capsule.run, force=True)
    return capsule


def event(version: int, kind: str, data: dict[str, Any]) -> RawEvent:
    return RawEvent(
        version,
        version,
        1_700_000_000_000 + version,
        f"c{version}",
        "t",
        "",
        kind,
        codec.encode(data),
    )


def long(capsule: Capsule, count: int) -> Capsule:
    """Make a long history cheaply: a step that waits, and a run that is paused and resumed all the time."""
    began = capsule.events[:2]
    first = [replace(old, version=i, commit=f"c{i}") for i, old in enumerate(began, 1)]
    more = [
        event(v, "RunPaused" if v % 2 else "RunResumed", {})
        for v in range(3, count + 1)
    ]
    return replace(
        capsule, events=(*first, *more), manifest={**capsule.manifest, "events": count}
    )


def counted(engine: Engine) -> list[Any]:
    """Return what a store is asked from now on by this thread, one item a round trip."""
    store, me, asked = engine.core.store, threading.get_ident(), list[Any]()
    send = store.call

    def counting(calls: Any) -> Any:
        if threading.get_ident() == me:
            asked.append(calls)
        return send(calls)

    store.call = counting  # type: ignore[method-assign, assignment]
    return asked


@pytest.mark.parametrize("is_open", [True, False], ids=["open", "closed"])
def test_ten_thousand_events_come_in_at_once_and_in_few_calls(
    store: Callable[[], Engine], is_open: bool
) -> None:
    count = 10_000
    capsule = long(waiting(store()), count)
    if not is_open:
        ends = [
            event(count, "StepCancelled", {"step": "go", "reason": ""}),
            event(count + 1, "RunCancelled", {}),
        ]
        asked = event(count - 1, "RunCancelRequested", {})
        capsule = replace(capsule, events=(*capsule.events[:-2], asked, *ends))
        capsule = replace(capsule, manifest={**capsule.manifest, "events": count + 1})
    again, there = unpack(write(capsule)), store()
    calls = counted(there)
    assert adopt(there.core, again, actor="tester").status == (
        "running" if is_open else "cancelled"
    )
    assert count // 1000 <= len(calls) <= count // 1000 + 20
    events = read_raw(there.core.store, capsule.run)
    assert [
        replace(e, n=e.version, metadata=b"") for e in events[: len(capsule.events)]
    ] == [replace(e, n=e.version) for e in capsule.events]
    if is_open:
        there.signal(capsule.run, "go", 5)
        assert there.state(capsule.run).output == 5


def test_of_several_who_bring_the_same_run_one_does(
    store: Callable[[], Engine],
) -> None:
    capsule, there = waiting(store()), store()
    with ThreadPoolExecutor(8) as pool:
        done = list(
            pool.map(
                lambda _: adopt(there.core, capsule, actor="tester").changed, range(16)
            )
        )
    assert sum(done) == 1
    assert [e.type for e in there.history(capsule.run)] == [
        *(e.type for e in capsule.events),
        "RunImported",
    ]


@pytest.mark.parametrize("times", [1, 9])
def test_a_history_that_was_lost_before_it_was_taken_over_is_sent_again(
    store: Callable[[], Engine], times: int
) -> None:
    capsule, there = waiting(store()), store()
    core, lost = there.core, list[str]()
    send = core.store.call

    def losing(calls: Any) -> Any:
        for call in calls:
            if (
                isinstance(call, ScriptCall)
                and call.script.name == "adopt"
                and len(lost) < times
            ):
                lost.append("stage")
                core.connection.command(b"DEL", call.keys[5])
        return send(calls)

    core.store.call = losing  # type: ignore[method-assign, assignment]
    if times == 1:
        assert adopt(core, capsule, actor="tester").changed
    else:
        with pytest.raises(StageLost):
            adopt(core, capsule, actor="tester")
    core.store.call = send  # type: ignore[method-assign]
    assert bool(core.store.heads([capsule.run])[0]) == (times == 1)
    assert core.store.scan(f"{core.store.keys.prefix}:*:stage:*".encode()) == []
