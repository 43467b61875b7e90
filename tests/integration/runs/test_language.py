"""The language on real servers: what is sent between runs, what is kept, what is shown."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from executor.coordination.children import Children
from openagents_json import Context, Registry
from openagents_json.catalog.errors import InvalidAlias, UnknownWorkflow, VersionExists
from openagents_json.engine import Engine
from openagents_json.engine.inspection.version_check import check_version
from openagents_json.workflow.errors import Rejected
from tests.conftest import Server, wait_for
from tests.integration.given_back import COST, given_back


def registry() -> Registry:
    components = Registry()
    components.tool("add")(add)
    components.tool("tell")(tell)
    return components


def add(a: int, b: int = 1) -> int:
    """Add."""
    return a + b


def tell(context: Context, words: list[str]) -> int:
    """Show words."""
    for word in words:
        context.emit({"word": word})
    return len(words)


@pytest.fixture
def engine(server: Server) -> Iterator[Engine]:
    prefix = server.prefix()
    with Engine.connect(
        server.url,
        prefix=prefix,
        components=registry(),
        workers=2,
        partitions=4,
        lease_ms=300_000,  # what a lost lease costs is not what is counted here
    ) as opened:
        yield opened


@pytest.fixture
def idle(server: Server) -> Iterator[Engine]:
    """An engine without workers and without a relay: nothing happens unless the test does it."""
    with Engine.connect(
        server.url, prefix=server.prefix(), components=registry(), partitions=4
    ) as opened:
        yield opened


CHILD = {
    "id": "child",
    "steps": [{"id": "s", "wait_for": "go"}],
    "output": "{{s.output}}",
}
PARENT = {
    "id": "parent",
    "steps": [{"id": "kid", "workflow": "child"}],
    "output": "{{kid.output}}",
}


def has_status(engine: Engine, run: str, status: str) -> bool:
    return engine.state(run).status == status


def test_messages_between_runs_may_be_lost_and_doubled(idle: Engine) -> None:
    idle.publish(CHILD)
    children = Children(idle.core.handler, idle.core.starter, idle.core.workflows)
    run = idle.start(PARENT)
    child = idle.state(run).children["kid"]
    for _ in range(3):
        children.look_after(run, "kid", actor="test")
    idle.signal(child, "go", 5)
    for _ in range(3):
        children.tell_parent(child, actor="test")
    for _ in range(3):
        children.look_after(run, "kid", actor="test")
    assert idle.wait(run, timeout=5).output == 5
    assert [e.type for e in idle.history(run)].count("ChildClosed") == 1
    assert [e.type for e in idle.history(child)].count("RunStarted") == 1
    assert idle.doctor() == []


def test_a_parent_finds_out_by_itself_that_its_child_has_closed(idle: Engine) -> None:
    idle.publish(CHILD)
    children = Children(idle.core.handler, idle.core.starter, idle.core.workflows)
    run = idle.start(PARENT)
    children.look_after(run, "kid", actor="test")
    idle.signal(idle.state(run).children["kid"], "go", 5)
    children.look_after(run, "kid", actor="test")  # nobody told the parent
    assert idle.wait(run, timeout=5).output == 5


def test_cancel_and_pause_go_down_to_the_children(engine: Engine) -> None:
    engine.publish(CHILD)
    run = engine.start(PARENT)
    child = engine.state(run).children["kid"]
    wait_for(lambda: any(row.id == child for row in engine.runs()))
    for act, status in (
        (engine.pause, "paused"),
        (engine.resume, "running"),
        (engine.cancel, "cancelled"),
    ):
        act(run)
        wait_for(partial(has_status, engine, child, status))
    assert engine.state(run).status == "cancelled"
    assert engine.state(child).parent == {"run": run, "step": "kid", "depth": 1}
    wait_for(lambda: engine.doctor() == [])


def test_a_signal_with_the_same_key_counts_once_and_is_kept_until_taken(
    engine: Engine,
) -> None:
    steps = [
        {"id": "s", "sleep": 0.3},
        {"id": "a", "wait_for": "go"},
        {"id": "b", "wait_for": "go"},
    ]
    run = engine.start(
        {"id": "w", "steps": steps, "output": ["{{a.output}}", "{{b.output}}"]}
    )
    for _ in range(3):
        engine.signal(run, "go", 1, idempotency_key="first")
    engine.signal(run, "go", 2, idempotency_key="second")
    assert engine.wait(run, timeout=120).output == [1, 2]
    with pytest.raises(Rejected, match="completed"):
        engine.signal(run, "go", 3)


def test_a_large_signal_goes_to_a_blob(engine: Engine) -> None:
    run = engine.start({"id": "w", "steps": [{"id": "a", "wait_for": "go"}]})
    engine.signal(run, "go", "x" * 100_000)
    assert engine.wait(run, timeout=120).output == {"a": "x" * 100_000}


def test_what_components_show_can_be_followed_and_is_not_on_the_log(
    engine: Engine,
) -> None:
    words = [f"w{i}" for i in range(50)]
    run = engine.run(
        {
            "id": "w",
            "steps": [{"id": "a", "component": "tell", "inputs": {"words": words}}],
        },
        timeout=20,
    ).id
    shown: list[Any] = []

    def all_there() -> bool:
        shown[:] = engine.emitted(run)
        return len(shown) == 50

    wait_for(all_there)
    assert [item.value["word"] for item in shown] == words
    assert {(item.step, item.attempt) for item in shown} == {("a", 1)}
    assert engine.emitted(run, after=shown[-1].id) == []
    keys = engine.core.store.keys
    assert 0 < engine.core.connection.command(b"PTTL", keys.output(run)) <= 3_600_000
    assert not any(
        "word" in str(event.data.get("output")) for event in engine.history(run)
    )


def version(number: str, **more: Any) -> dict[str, Any]:
    step = {"id": "a", "component": "add", "inputs": {"a": int(number[0])}, **more}
    return {"id": "order", "version": number, "steps": [step], "output": "{{a.output}}"}


def test_versions_aliases_and_a_canary(engine: Engine) -> None:
    engine.publish(version("1.0.0"), alias="stable")
    engine.publish(version("1.1.0"))
    engine.publish(version("2.0.0"))
    assert [
        engine.run(ref, timeout=120).output
        for ref in ("order", "order@^1.0.0", "order@stable")
    ] == [3, 2, 2]
    with pytest.raises(VersionExists):
        engine.publish(version("1.0.0", priority=5))
    with pytest.raises(UnknownWorkflow, match=r"order@3\.0\.0"):
        engine.start("order@3.0.0")
    with pytest.raises(InvalidAlias):
        engine.workflows.point("order", "1.0.0", "1.1.0")
    engine.workflows.point("order", "stable", "1.0.0", canary="2.0.0", percent=30)
    chosen = [
        engine.workflows.resolve("order@stable", f"seed-{i}").version
        for i in range(400)
    ]
    assert 80 < chosen.count("2.0.0") < 160
    assert chosen == [
        engine.workflows.resolve("order@stable", f"seed-{i}").version
        for i in range(400)
    ]


def test_a_run_keeps_its_version(engine: Engine) -> None:
    waits = [
        {"id": "s", "wait_for": "go"},
        {"id": "a", "component": "add", "inputs": {"a": 1}},
    ]
    engine.publish(
        {"id": "pinned", "steps": waits, "output": "{{a.output}}"}, alias="stable"
    )
    run = engine.start("pinned@stable")
    engine.publish(
        {"id": "pinned", "version": "2.0.0", "steps": waits, "output": "new"},
        alias="stable",
    )
    engine.signal(run, "go")
    assert engine.wait(run, timeout=120).output == 2


def test_a_new_version_is_checked_against_the_runs_of_the_old_one(
    engine: Engine,
) -> None:
    waits: list[dict[str, Any]] = [
        {"id": "a", "component": "add", "inputs": {"a": 1}},
        {"id": "s", "wait_for": "go"},
    ]
    live = engine.start({"id": "old", "steps": waits})
    wait_for(lambda: len(engine.state(live).steps) == 2)
    same = check_version(
        engine,
        {"id": "old", "version": "1.0.1", "steps": [*waits, {"id": "b", "sleep": 1}]},
    )
    assert (same.looked_at, same.live, same.differing) == (1, 1, ())
    changed = [{**waits[0], "inputs": {"a": 2}}, waits[1]]
    other = check_version(engine, {"id": "old", "version": "2.0.0", "steps": changed})
    assert [d.run for d in other.differing] == [live]
    assert "other inputs" in other.differing[0].reason


def test_foreach_costs_the_same_for_each_item(engine: Engine) -> None:
    step = {
        "id": "each",
        "component": "add",
        "foreach": "{{input.xs}}",
        "inputs": {"a": "{{item}}"},
    }
    costs = {}
    for count in (200, 800):
        run = engine.run(
            {"id": "w", "steps": [step], "output": 1},
            {"xs": list(range(count))},
            timeout=60,
        ).id
        stream = engine.core.store.keys.stream(run)
        events = engine.core.connection.command(b"XLEN", stream)
        bytes_ = engine.core.connection.command(
            b"MEMORY", b"USAGE", stream, b"SAMPLES", 0
        )
        head = engine.core.connection.command(
            b"MEMORY", b"USAGE", engine.core.store.keys.head(run)
        )
        counted = events - COST * given_back(engine, run)
        costs[count] = (counted / count, bytes_ * counted / events / count)
        assert (
            head < 32_000
        )  # up to 128 items are claimed at a time, however many there are
    assert costs[800][0] == pytest.approx(costs[200][0], rel=0.02)
    assert costs[800][1] == pytest.approx(costs[200][1], rel=0.2)


@pytest.mark.parametrize(
    ("mode", "commits"), [("step", 42), ("checkpoint", 8), ("outcome", 3)]
)
def test_persistence_says_how_many_commits_a_run_takes(
    engine: Engine, mode: str, commits: int
) -> None:
    steps = [{"id": f"s{i}", "component": "add", "inputs": {"a": i}} for i in range(40)]
    spec = {"mode": mode, "every_steps": 10, "every_seconds": 60}
    run = engine.run(
        {"id": "w", "persistence": spec, "steps": steps, "output": "{{s39.output}}"},
        timeout=20,
    )
    history = engine.history(run.id)
    assert run.output == 40
    assert len({event.commit for event in history}) <= commits
    assert mode != "outcome" or len(history) == 5
    assert engine.doctor() == []


def test_a_batch_ends_before_what_may_not_run_again(engine: Engine) -> None:
    steps = [{"id": f"s{i}", "component": "add", "inputs": {"a": i}} for i in range(6)]
    steps[3]["effect"] = "at_most_once"
    run = engine.run({"id": "w", "persistence": "outcome", "steps": steps}, timeout=120)
    history = engine.history(run.id)
    claims = [e for e in history if e.type == "StepStarted" and e.step == "s3"]
    outcome = next(e for e in history if e.type == "StepCompleted" and e.step == "s2")
    assert claims[0].version > outcome.version
    assert claims[0].time_ms  # by itself on the log before it ran
    assert engine.doctor() == []


def test_a_failure_in_a_batch_is_retried_and_counted(server: Server) -> None:
    attempts: list[int] = []
    components = registry()

    def flaky(context: Context) -> int:
        attempts.append(context.attempt)
        if context.attempt < 3:
            raise ValueError("again")
        return context.attempt

    components.tool("flaky")(flaky)
    retry = {"max_retries": 5, "delay_seconds": 0.05}
    steps = [
        {"id": "a", "component": "add", "inputs": {"a": 1}},
        {"id": "b", "component": "flaky", "retry": retry},
        {"id": "c", "component": "add", "inputs": {"a": "{{b.output}}"}},
    ]
    for mode in ("checkpoint", "outcome"):
        attempts.clear()
        with Engine.connect(
            server.url,
            prefix=server.prefix(),
            components=components,
            workers=1,
            partitions=1,
        ) as engine:
            run = engine.run(
                {"id": "w", "persistence": mode, "steps": steps}, timeout=20
            )
            assert (run.output, attempts) == ({"c": 4}, [1, 2, 3])
            assert engine.doctor() == []
