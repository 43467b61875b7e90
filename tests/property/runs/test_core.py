"""The core under random graphs, outcomes and interruptions."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as s

from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.event_types import (
    CLOSING,
    from_data,
    to_data,
    type_name,
)
from openagents_json.workflow.core.evolve import evolve, evolve_all
from tests.examples import examples
from tests.simulation import Simulation, plan_of


@s.composite
def documents(draw: s.DrawFn) -> dict[str, Any]:
    """Draw a document: a graph with forward edges only, some conditions, retries, handlers and joins."""
    count = draw(s.integers(1, 7))
    steps: list[dict[str, Any]] = []
    for i in range(count):
        step: dict[str, Any] = {"id": f"s{i}", "component": "c"}
        if i and (
            sources := draw(s.lists(s.integers(0, i - 1), unique=True, max_size=3))
        ):
            step["depends_on"] = [f"s{j}" for j in sources]
            step["join"] = draw(
                s.sampled_from(["all", "any", {"n": len(sources), "cancel_rest": True}])
            )
            if draw(s.booleans()):
                step["condition"] = f"{{{{ s{sources[0]}.output == 1 }}}}"
        if draw(s.booleans()):
            step["retry"] = {
                "max_retries": draw(s.integers(0, 2)),
                "delay_seconds": draw(s.sampled_from([0, 1])),
            }
        handlers = [[], [{"then": "continue", "output": 1}]]
        if i + 1 < count:
            handlers.append(
                [{"then": {"goto": f"s{draw(s.integers(i + 1, count - 1))}"}}]
            )
        step["on_error"] = draw(s.sampled_from(handlers))
        steps.append(step)
    return {
        "id": "w",
        "steps": steps,
        "execution": draw(s.sampled_from(["graph", "sequential"])),
    }


def act(run: Simulation, data: s.DataObject) -> None:
    """Do one thing that workers, relays or people could do now."""
    started = sorted(
        name
        for name in run.state.open_steps
        if run.state.steps[name].status == st.STARTED
    )
    choices = ["advance", "pause", "resume"]
    choices += ["overtaken"] * bool(started)
    choices += ["claim"] * 3 * bool(run.claimable) + [
        "complete",
        "fail",
        "complete",
        "lose",
        "release",
    ] * bool(started)
    match data.draw(s.sampled_from(choices)):
        case "claim":
            run.claim(data.draw(s.sampled_from(sorted(run.claimable))))
        case "complete":
            run.complete(
                data.draw(s.sampled_from(started)), data.draw(s.integers(0, 1))
            )
        case "fail":
            run.fail(data.draw(s.sampled_from(started)))
        case "lose":
            step = data.draw(s.sampled_from(started))
            run.give(
                cmd.LoseLease(
                    step, run.state.steps[step].fence, data.draw(s.booleans())
                )
            )
        case "release":
            step = data.draw(s.sampled_from(started))
            run.give(
                cmd.RecordOutcomes(
                    (cmd.Released(step, run.state.steps[step].attempt, ""),)
                )
            )
        case "overtaken":
            overtaken(run, data, started)
        case "pause":
            with suppress(
                cmd.Rejected
            ):  # it may have failed, and nobody has decided on that
                run.give(cmd.PauseRun())
        case "resume":
            with suppress(cmd.Rejected):
                run.give(cmd.ResumeRun())
        case _:
            decided = run.give(cmd.Advance())
            assert run.overtaken or decided == []
            run.overtaken = False


def overtaken(run: Simulation, data: s.DataObject, started: list[str]) -> None:
    """Store outcomes as facts only, and decide on what they left at once, or leave that to whoever comes next."""
    outcomes: list[cmd.Outcome] = []
    for step in data.draw(s.lists(s.sampled_from(started), min_size=1, unique=True)):
        attempt = run.state.steps[step].attempt
        error = {"type": "Boom", "message": "it failed", "retryable": True}
        kinds: list[cmd.Outcome] = [
            cmd.Completed(step, attempt, 1),
            cmd.Failed(step, attempt, error),
            cmd.Released(step, attempt, ""),
        ]
        outcomes.append(data.draw(s.sampled_from(kinds)))
    run.give_facts(cmd.RecordOutcomes(tuple(outcomes)))
    if data.draw(s.booleans()):
        run.give(cmd.Advance())


def finish(run: Simulation) -> None:
    """Let everything that is left succeed."""
    if run.state.status == st.PAUSED:
        run.give(cmd.ResumeRun())
    for _ in range(100):
        if not run.state.closed:
            run.give(cmd.Advance())
        if run.state.closed:
            return
        started = sorted(
            name
            for name in run.state.open_steps
            if run.state.steps[name].status == st.STARTED
        )
        assert started or run.claimable, f"nothing will wake this run: {run.state}"
        run.complete((started or sorted(run.claimable))[0], 1)


@pytest.mark.slow
@settings(max_examples=examples(100), deadline=None)
@given(documents(), s.data())
def test_every_run_closes_and_every_prefix_folds_to_what_was_held(
    document: dict[str, Any], data: s.DataObject
) -> None:
    run = Simulation(plan_of(document))
    run.start()
    held = {len(run.history): run.state}
    for _ in range(data.draw(s.integers(0, 25))):
        if run.state.closed:
            break
        act(run, data)
        held[len(run.history)] = run.state
    finish(run)
    assert run.state.closed
    for length, state in held.items():
        stored = [
            from_data(type_name(e), to_data(e), getattr(e, "time_ms", 0))
            for e in run.history[:length]
        ]
        assert evolve_all(st.initial(), stored) == state
    closing = [e for e in run.history if type(e) in CLOSING]
    assert closing == [run.history[-1]]


@settings(max_examples=examples(50), deadline=None)
@given(documents(), s.data())
def test_evolve_is_total(document: dict[str, Any], data: s.DataObject) -> None:
    run = Simulation(plan_of(document))
    run.start()
    for _ in range(10):
        if run.state.closed:
            break
        act(run, data)
    shuffled = data.draw(s.permutations(run.history))
    state = st.initial()
    for event in shuffled:
        after = evolve(state, event)
        assert isinstance(after, st.RunState)
        state = after


@settings(max_examples=examples(50), deadline=None)
@given(documents(), s.data())
def test_a_cancelled_run_ends_whatever_it_was_doing(
    document: dict[str, Any], data: s.DataObject
) -> None:
    run = Simulation(plan_of(document))
    run.start()
    for _ in range(data.draw(s.integers(0, 10))):
        if not run.state.closed:
            act(run, data)
    if not run.state.closed:
        run.give(cmd.Advance())
    if not run.state.closed:
        run.give(cmd.CancelRun("enough"))
        run.give(cmd.CancelRun(force=True))
        assert run.state.status == st.CANCELLED
        assert not run.state.open_steps
