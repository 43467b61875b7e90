"""The whole language under random documents, outcomes, orders and interruptions."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as s

from executor.integrity.invariants import MESSAGES
from openagents_json.catalog.registry import Registry
from openagents_json.simulation.lives import SimulatedRun
from openagents_json.simulation.stubs import Stubs
from openagents_json.simulation.world import World
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.event_types import (
    CLOSING,
    from_data,
    to_data,
    type_name,
)
from openagents_json.workflow.core.evolve import evolve_all
from openagents_json.workflow.core.paths import static
from tests.examples import examples
from tests.simulation import plan_of

CHILD = {
    "id": "child",
    "steps": [{"id": "k", "component": "c"}, {"id": "n", "sleep": 5}],
}


class Documents:
    """Draws documents; ids count up, so that they are unique."""

    def __init__(self, draw: s.DrawFn) -> None:
        self.draw, self.count = draw, 0

    def block(self, depth: int) -> dict[str, Any]:
        steps = [self.step(depth) for _ in range(self.draw(s.integers(1, 3)))]
        for i, step in enumerate(steps[1:], 1):
            if self.draw(s.booleans()):
                step["depends_on"] = [
                    steps[j]["id"]
                    for j in self.draw(s.sets(s.integers(0, i - 1), min_size=1))
                ]
                step["join"] = self.draw(
                    s.sampled_from(["all", "any", {"n": 1, "cancel_rest": True}])
                )
        return {
            "steps": steps,
            "execution": self.draw(s.sampled_from(["graph", "sequential"])),
        }

    def step(self, depth: int) -> dict[str, Any]:
        self.count += 1
        name = f"s{self.count}"
        kinds = ["component", "component", "sleep", "wait", "any", "child"] + [
            "loop",
            "block",
        ] * (depth > 0)
        kind = self.draw(s.sampled_from(kinds))
        step: dict[str, Any] = {"id": name, **self.kind(kind, depth)}
        if kind != "loop" and self.draw(s.integers(0, 3)) == 0:
            step |= self.foreach()
        if self.draw(s.integers(0, 3)) == 0:
            step["on_error"] = [{"then": "continue", "output": 1}]
        if self.draw(s.integers(0, 3)) == 0:
            step["compensate"] = "undo"
        if kind in ("loop", "block", "child") and self.draw(s.booleans()):
            step["timeout"] = self.draw(s.sampled_from([1, 100]))
        return step

    def kind(self, kind: str, depth: int) -> dict[str, Any]:
        match kind:
            case "sleep":
                return {"sleep": self.draw(s.sampled_from([0, 1, 50]))}
            case "wait":
                return {
                    "wait_for": {
                        "signal": "go",
                        "timeout": self.draw(s.sampled_from([0, 30])),
                    }
                }
            case "any":
                return {"wait_for": {"any": ["go", {"seconds": 20}]}}
            case "child":
                return {"workflow": "child", "detached": self.draw(s.booleans())}
            case "loop":
                limit = self.draw(s.integers(1, 3))
                return {
                    "loop": {
                        "max_iterations": limit,
                        "until": "{{index > 0}}",
                        **self.block(depth - 1),
                    }
                }
            case "block":
                return self.block(depth - 1)
            case _:
                retry = {
                    "max_retries": self.draw(s.integers(0, 1)),
                    "delay_seconds": self.draw(s.sampled_from([0, 1])),
                }
                more = {"mutex": "k"} if self.draw(s.integers(0, 4)) == 0 else {}
                return {"component": "c", "retry": retry, **more}

    def foreach(self) -> dict[str, Any]:
        step: dict[str, Any] = {
            "foreach": self.draw(s.sampled_from([[], [1], [1, 2, 3], {"a": 1, "b": 2}]))
        }
        for key in ("max_concurrency", "tolerated_failures", "enough"):
            if self.draw(s.integers(0, 2)) == 0:
                step[key] = self.draw(s.integers(1, 2))
        return step


@s.composite
def documents(draw: s.DrawFn) -> dict[str, Any]:
    drawn = Documents(draw)
    document = {"id": "w", **drawn.block(2)}
    if draw(s.booleans()):
        document["on_failure"] = "undo"
    return document


def act(world: World, life: SimulatedRun, data: s.DataObject) -> None:  # noqa: C901 - one case for each thing
    """Do one thing that workers, relays or people could do now."""
    state = life.state
    started = sorted(
        path for path in state.open_steps if state.steps[path].status == st.STARTED
    )
    choices = ["advance", "pause", "resume", "signal", "time", "time"] + ["cancel"] * (
        data.draw(s.integers(0, 9)) == 0
    )
    open_run = state.status in (st.RUNNING, st.FAILING, st.CANCELLING)
    choices += ["claim"] * 3 * bool(world.claimable(life) and open_run) + [
        "outcome"
    ] * 4 * bool(started)
    choices += ["lose"] * bool(started) + ["override"] * bool(state.open_steps)
    with suppress(cmd.Rejected):
        match data.draw(s.sampled_from(choices)):
            case "claim":
                world.claim(
                    life, data.draw(s.sampled_from(sorted(world.claimable(life))))
                )
            case "outcome":
                finish(
                    world,
                    life,
                    data,
                    data.draw(
                        s.lists(s.sampled_from(started), min_size=1, unique=True)
                    ),
                )
            case "lose":
                path = data.draw(s.sampled_from(started))
                world.give(life, cmd.LoseLease(path, state.steps[path].fence))
            case "pause":
                world.give(life, cmd.PauseRun())
            case "resume":
                world.give(life, cmd.ResumeRun())
            case "cancel":
                world.give(
                    life, cmd.CancelRun("enough", compensate=data.draw(s.booleans()))
                )
            case "signal":
                world.give(
                    life, cmd.SendSignal("go", 1, None, f"signal-{len(life.events)}")
                )
            case "override":
                override(world, life, data)
            case "time":
                world._look(world.now_ms + data.draw(s.sampled_from([0, 1000, 60_000])))
            case _:
                if state.status != st.QUEUED:
                    assert world.give(life, cmd.Advance()) == []


def override(world: World, life: SimulatedRun, data: s.DataObject) -> None:
    """Say how an open step ended."""
    path = data.draw(s.sampled_from(sorted(life.state.open_steps)))
    world.give(
        life,
        cmd.OverrideStep(path, data.draw(s.sampled_from(["skipped", "completed"])), 1),
    )


def finish(
    world: World, life: SimulatedRun, data: s.DataObject, paths: list[str]
) -> None:
    """Record outcomes, all at once; or as facts first, because others were faster, and decide on what they left."""
    outcomes: list[cmd.Outcome] = []
    for path in paths:
        attempt = life.state.steps[path].attempt
        error = {"type": "Boom", "message": "it failed", "retryable": True}
        kinds: list[cmd.Outcome] = [
            cmd.Completed(path, attempt, 1),
            cmd.Failed(path, attempt, error),
            cmd.Released(path, attempt, ""),
        ]
        outcomes.append(data.draw(s.sampled_from(kinds)))
    command = cmd.RecordOutcomes(tuple(outcomes))
    if data.draw(s.booleans()):
        world.give(life, command)
        return
    world.give_facts(life, command)
    world.give(life, cmd.Advance())


def let_it_end(world: World, *lives: SimulatedRun) -> None:
    """Let everything that is left succeed."""
    for _ in range(60):
        left = [life for life in lives if not life.state.closed]
        if not left:
            return
        for life in left:
            with suppress(cmd.Rejected):
                world.give(life, cmd.ResumeRun())
            for path in sorted(life.state.open_steps):
                step = life.state.steps.get(path)
                if step is not None and step.status == st.STARTED:
                    world.give(
                        life,
                        cmd.RecordOutcomes((cmd.Completed(path, step.attempt, 1),)),
                    )
            with suppress(cmd.Rejected):
                world.give(
                    life, cmd.SendSignal("go", 1, None, f"signal-{len(life.events)}")
                )
        world.go_on(world.now_ms + 3600_000)
    stuck = [
        (life.id, life.state.status, dict(life.state.open_steps))
        for life in lives
        if not life.state.closed
    ]
    raise AssertionError(f"nothing will wake these runs: {stuck} {world.due}")


def check(world: World, life: SimulatedRun) -> None:
    """What holds of every closed run."""
    state, happened = life.state, [event for _, event in life.events]
    assert not state.open_steps
    assert [e for e in happened if type(e) in CLOSING] == [happened[-1]]
    assert {key.kind for key in world.due if key.run == life.id} <= MESSAGES
    for path, step in state.steps.items():
        if step.group is not None:
            items = [state.steps[f"{path}[{i}]"] for i in range(step.group.opened)]
            assert step.group.active == 0
            assert step.group.completed == sum(
                i.status == st.COMPLETED or (i.status == st.FAILED and i.then != "fail")
                for i in items
            )
    undone = [e.step for e in happened if isinstance(e, ev.CompensationScheduled)]
    assert undone == sorted(undone, key=lambda path: -state.steps[path].sequence)
    assert len(set(undone)) == len(undone)
    awaited = [
        p
        for p, x in state.steps.items()
        if x.status == st.COMPLETED and life.plan.of(p).compensated
    ]
    awaited = [path for path in awaited if state.steps[path].kind != st.FOREACH]
    unwound = any(isinstance(e, ev.RunFailing) for e in happened) or (
        state.status == st.CANCELLED and state.compensate
    )
    assert sorted(undone) == (sorted(awaited) if unwound else [])
    assert all(static(path) in life.plan.steps for path in state.steps)


def check_attempts(life: SimulatedRun) -> None:
    """No attempt is made twice, however often a step is done again: its number tells outcomes apart."""
    begun = [
        (event.step, event.attempt)
        for _, event in life.events
        if isinstance(event, ev.StepStarted)
    ]
    assert len(set(begun)) == len(begun)


@pytest.mark.slow
@settings(max_examples=examples(100), deadline=None)
@given(documents(), s.data())
def test_every_run_closes_and_every_prefix_folds_to_what_was_held(
    document: dict[str, Any], data: s.DataObject
) -> None:
    world = World(
        Stubs({"c": 1, "undo": None}, Registry()), {"child": plan_of(CHILD)}, 0
    )
    life = world.start("0-r", plan_of(document), {})
    held = {len(life.events): life.state}
    for _ in range(data.draw(s.integers(0, 30))):
        if life.state.closed:
            break
        act(world, life, data)
        held[len(life.events)] = life.state
    let_it_end(world, life)
    check(world, life)
    for length, state in held.items():
        stored = [
            from_data(type_name(e), to_data(e), at) for at, e in life.events[:length]
        ]
        assert evolve_all(st.initial(), stored) == state
    world.go_on(world.now_ms + 3600_000)
    assert all(other.state.closed for other in world.lives.values())


@settings(max_examples=examples(60), deadline=None)
@given(documents(), s.data())
def test_a_run_that_goes_on_keeps_what_it_does_not_do_again(
    document: dict[str, Any], data: s.DataObject
) -> None:
    world = World(
        Stubs({"c": 1, "undo": None}, Registry()), {"child": plan_of(CHILD)}, 0
    )
    life = world.start("0-r", plan_of(document), {})
    for _ in range(data.draw(s.integers(0, 30))):
        if not life.state.closed:
            act(world, life, data)
    let_it_end(world, life)
    before, reached = (
        life.state,
        sorted(path for path in life.state.steps if "~" not in path),
    )
    step = data.draw(s.sampled_from(["", *reached]))
    by_hand = (
        data.draw(s.sampled_from([None, None, "skipped", "completed"]))
        if step
        else None
    )
    with suppress(cmd.Rejected):
        world.give(
            life, cmd.OverrideStep(step, by_hand) if by_hand else cmd.ReopenRun(step)
        )
        again = next(
            e for _, e in reversed(life.events) if isinstance(e, ev.RunReopened)
        )
        for path, kept in before.steps.items():
            if path not in again.forgotten and path not in again.resumed:
                assert life.state.steps[path] == kept
        let_it_end(world, life)
        assert life.state.closed
        assert not life.state.open_steps
        check_attempts(life)
        stored = [from_data(type_name(e), to_data(e), at) for at, e in life.events]
        assert evolve_all(st.initial(), stored) == life.state
