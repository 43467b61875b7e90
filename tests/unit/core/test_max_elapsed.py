"""`max_elapsed_seconds` of a retry: no attempt begins when too much time has passed since the first one began."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as s

from openagents_json import RetryableError
from openagents_json.testing import Play, outcomes, replay
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.decide.decider import decision
from openagents_json.workflow.core.decide.elapsed import needs_time
from openagents_json.workflow.core.evolve import evolve, evolve_all
from openagents_json.workflow.core.state import initial
from openagents_json.workflow.language.validate import validate
from tests.simulation import plan_of

DOWN = ConnectionError("down")


def step(**more: Any) -> dict[str, Any]:
    retry = {
        "max_retries": 10,
        "delay_seconds": 4,
        "max_elapsed_seconds": 10,
        **more.pop("retry", {}),
    }
    return {"id": "a", "component": "c", "retry": retry, **more}


def doc(*steps: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "w", "steps": list(steps), **more}


def play(document: Mapping[str, Any], c: Any = DOWN, **more: Any) -> Play:
    return Play(document, components={"c": c, "undo": DOWN}, **more)


def begun(run: Play, path: str = "a") -> list[int]:
    """Return when the attempts of a step began, in seconds after the first."""
    times = [
        item["time_ms"]
        for item in run.history
        if item["type"] == "StepStarted" and item["data"]["step"] == path
    ]
    return [(time - times[0]) // 1000 for time in times]


def reasons(run: Play, path: str = "a") -> list[str]:
    ends = (ev.StepFailed, ev.StepTimedOut)
    return [
        event.reason
        for event in run.events
        if isinstance(event, ends) and event.step == path
    ]


def test_no_attempt_begins_beyond_it_and_the_step_fails_with_its_last_error() -> None:
    run = play(
        doc(step()), outcomes(ValueError("one"), ValueError("two"), ValueError("three"))
    ).finish()
    assert begun(run) == [0, 4, 8]
    assert run.error is not None
    assert (run.error["type"], run.error["message"]) == ("ValueError", "three")
    assert reasons(run) == ["", "", "max_elapsed"]
    assert replay(doc(step()), run.history) is None


def test_an_attempt_that_begins_at_it_is_in_time() -> None:
    assert begun(play(doc(step(retry={"delay_seconds": 5}))).finish()) == [0, 5, 10]


def test_retries_that_are_spent_before_need_no_reason() -> None:
    run = play(doc(step(retry={"max_retries": 1}))).finish()
    assert (begun(run), reasons(run)) == ([0, 4], ["", ""])


def test_none_is_no_limit_and_nought_lets_nothing_wait() -> None:
    free = step()
    del free["retry"]["max_elapsed_seconds"]
    assert len(begun(play(doc(free)).finish())) == 11
    assert begun(play(doc(step(retry={"max_elapsed_seconds": 0}))).finish()) == [0]


def test_the_wait_that_a_component_asks_for_counts() -> None:
    run = play(doc(step()), RetryableError("busy", retry_after=11)).finish()
    assert (begun(run), reasons(run)) == ([0], ["max_elapsed"])


def test_how_long_the_attempts_take_counts() -> None:
    def slow() -> None:
        run.world.now_ms += 7000
        raise DOWN

    pause = {"id": "before", "sleep": 1}
    run = play(doc(pause, step()), slow)
    run.finish()
    assert (begun(run), reasons(run)) == ([0], ["max_elapsed"])


def test_a_retry_that_could_not_begin_in_time_does_not_begin() -> None:
    run = play(doc(step()))
    run.pause().advance(3600).resume().finish()
    assert len(run.calls("c")) == 1
    assert run.error is not None
    assert (run.error["type"], reasons(run)) == ("ConnectionError", ["", "max_elapsed"])


def test_what_handles_the_failure_handles_it() -> None:
    handled = step(
        on_error=[
            {"errors": ["ConnectionError"], "then": "continue", "output": "later"}
        ]
    )
    play(doc(handled, output="{{a.output}}")).finish().assert_completed("later")


def test_items_iterations_and_compensations_are_limited_each_by_itself() -> None:
    each = play(
        doc(
            step(foreach=[1, 2], max_concurrency=1, tolerated_failures=2, min_success=0)
        )
    ).finish()
    assert [begun(each, f"a[{i}]") for i in (0, 1)] == [[0, 4, 8], [0, 4, 8]]
    done = outcomes(DOWN, 1, DOWN, 2)
    loop = {
        "id": "l",
        "loop": {
            "max_iterations": 2,
            "steps": [step(retry={"max_elapsed_seconds": 5})],
        },
    }
    assert [begun(play(doc(loop), done).finish(), f"l[{i}].a") for i in (0,)] == [
        [0, 4]
    ]
    undo = {
        "component": "undo",
        "retry": {"delay_seconds": 4, "max_elapsed_seconds": 5},
    }
    undone = play(
        doc(
            {"id": "x", "component": "c", "compensate": undo},
            {"id": "y", "component": "undo"},
        ),
        1,
    ).finish()
    assert begun(undone, "x~compensate") == [0, 4]


def test_another_life_begins_anew() -> None:
    run = play(doc(step())).finish()
    run.advance(86_400).retry().finish()
    assert begun(run) == [0, 4, 8, *(86_400 + 8 + at for at in (0, 4, 8))]
    run.advance(86_400).run_again().finish()
    assert (len(run.calls("c")), reasons(run)) == (9, ["", "", "max_elapsed"] * 3)


def test_a_fork_of_a_step_that_waits_begins_anew() -> None:
    run = play(doc(step()))
    world, life = run.world, run._life
    world.now_ms += 3600_000
    new = world.fork(life, len(life.events), "0-fork")
    world.go_on(world.now_ms + 60_000)
    times = [at for at, event in new.events if isinstance(event, ev.StepStarted)][1:]
    assert [(at - times[0]) // 1000 for at in times] == [0, 4, 8]


def test_a_step_that_runs_a_workflow_is_limited_too() -> None:
    child = {"id": "child", "steps": [{"id": "x", "component": "c"}]}
    retry = step()["retry"]
    run = play(
        doc({"id": "a", "workflow": "child", "retry": retry}), workflows=[child]
    ).finish()
    assert len(run.of_type("ChildStarted")) == 3
    assert reasons(run) == ["", "", "max_elapsed"]


def test_it_is_checked_like_its_siblings() -> None:
    short = validate(doc(step(retry={"max_elapsed": 3}))).errors
    assert [(p.code, p.pointer, p.suggestion) for p in short] == [
        (
            "unknown_key",
            "/steps/0/retry/max_elapsed",
            "did you mean 'max_elapsed_seconds'?",
        )
    ]
    for wrong in (-1, "10", True, None):
        problems = validate(doc(step(retry={"max_elapsed_seconds": wrong}))).errors
        assert [p.pointer for p in problems] == ["/steps/0/retry/max_elapsed_seconds"]


# -- what the core is told --------------------------------------------------------------------------------

PLAN = plan_of(doc(step()))


def started(at_ms: int, *, attempt: int = 1) -> ev.StepStarted:
    return ev.StepStarted("a", attempt, str(attempt), "w", time_ms=at_ms)


def state_of(*more: ev.Event) -> Any:
    begin = decision(PLAN, initial(), cmd.StartRun("0-r", {}))
    return evolve_all(begin.state, more)


def lost(now_ms: int, state: Any) -> list[ev.Event]:
    fence = state.steps["a"].fence
    return list(
        decision(PLAN, state, cmd.LoseLease("a", fence, True), now_ms=now_ms).events
    )


def test_a_lost_worker_is_replaced_as_long_as_there_is_time() -> None:
    state = state_of(started(1000))
    assert [type(event).__name__ for event in lost(11_000, state)] == ["StepLeaseLost"]
    gone = lost(11_001, state)
    failed = gone[1]
    assert isinstance(failed, ev.StepFailed)
    assert (failed.error["type"], failed.reason, failed.retry_ms) == (
        "WorkerLost",
        "max_elapsed",
        None,
    )
    assert "went silent" in failed.error["message"]


def test_time_limits_of_an_attempt_are_failures_like_others() -> None:
    state, expired = state_of(started(1000)), cmd.Expired("a", 1, "heartbeat", 5)
    for command in (
        cmd.RecordOutcomes((expired,)),
        cmd.TimeOutStep("a", "start_to_close", "1"),
    ):
        assert needs_time(PLAN, command)
        [failed, *_] = decision(PLAN, state, command, now_ms=9000).events
        assert isinstance(failed, ev.StepTimedOut)
        assert (failed.retry_ms, failed.reason) == (None, "max_elapsed")


def test_an_attempt_that_nobody_began_does_not_count() -> None:
    given_back: list[ev.Event] = [
        ev.StepReleased("a", 1, "unknown component", 1000),
        ev.StepRetryScheduled("a", 1000),
    ]
    state = state_of(started(1000), *given_back, started(90_000, attempt=2))
    assert state.steps["a"].since_ms == 90_000
    stopped: list[ev.Event] = [
        ev.StepReleased("a", 1, "the worker stops"),
        ev.StepRetryScheduled("a", 0),
    ]
    state = state_of(started(1000), *stopped, started(90_000, attempt=2))
    assert state.steps["a"].since_ms == 1000


def test_what_needs_no_time_does_not_ask_for_it() -> None:
    failed = cmd.RecordOutcomes((cmd.Failed("a", 1, {"type": "E"}),))
    assert needs_time(PLAN, failed)
    assert not needs_time(PLAN, cmd.RecordOutcomes((cmd.Completed("a", 1, None),)))
    assert not needs_time(
        plan_of(doc({"id": "a", "component": "c", "retry": {}})), failed
    )


def test_a_failure_whose_time_nobody_knows_is_tried_again() -> None:
    command = cmd.RecordOutcomes((cmd.Failed("a", 1, {"type": "E", "message": ""}),))
    for state, now_ms in ((state_of(started(0)), 10**12), (state_of(started(1)), 0)):
        [failed, *_] = decision(PLAN, state, command, now_ms=now_ms).events
        assert isinstance(failed, ev.StepFailed)
        assert failed.retry_ms == 4000


@pytest.mark.parametrize("at_ms", [1, 10**13])
def test_what_was_decided_is_on_the_event_whatever_the_clocks_say_later(
    at_ms: int,
) -> None:
    state = state_of(started(at_ms))
    last = ev.StepFailed("a", 1, {"type": "E"}, None, reason="max_elapsed")
    again = ev.StepFailed("a", 1, {"type": "E"}, 4000)
    assert evolve(state, last).steps["a"].status == "failed"
    assert evolve(state, again).steps["a"].status == "retrying"


@settings(max_examples=50)
@given(
    s.integers(0, 30),
    s.integers(0, 60),
    s.floats(1, 3),
    s.integers(0, 9),
    s.booleans(),
)
def test_attempts_are_those_of_the_same_policy_without_the_limit_that_are_in_time(
    delay: int, most: int, factor: float, retries: int, jitter: bool
) -> None:
    policy = {
        "delay_seconds": delay,
        "backoff_multiplier": factor,
        "max_retries": retries,
        "jitter": jitter,
    }
    free = {"id": "a", "component": "c", "retry": policy}
    limited = {**free, "retry": {**policy, "max_elapsed_seconds": most}}
    times = [
        [
            x["time_ms"]
            for x in play(doc(d)).finish().history
            if x["type"] == "StepStarted"
        ]
        for d in (free, limited)
    ]
    assert times[1] == [at for at in times[0] if at - times[0][0] <= most * 1000]
