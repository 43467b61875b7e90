"""Closed runs go on: what failed is done again, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from openagents_json.testing import Play, outcomes, play, replay
from openagents_json.workflow.errors import Rejected


def doc(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "w", "steps": list(steps), **more}


def call(name: str, **inputs: Any) -> dict[str, Any]:
    return {"id": name, "component": name, "inputs": inputs}


NO = ValueError("no")


def steps_called(run: Play) -> list[str]:
    return [called.step for called in run.calls()]


def test_a_failed_run_goes_on_at_its_failure() -> None:
    run = play(
        doc(call("a"), call("b", x="{{a.output}}"), call("c")),
        components={"a": 1, "b": outcomes(NO, 2), "c": 3},
    )
    run.assert_failed("ValueError").retry().finish().assert_completed({"c": 3})
    assert steps_called(run) == ["a", "b", "b", "c"]
    assert [c.attempt for c in run.calls("b")] == [1, 2]


def test_a_run_goes_on_from_a_step_with_another_input() -> None:
    run = play(
        doc(call("a"), call("b", x="{{input.x}}"), call("c", x="{{b.output}}")),
        {"x": 1},
        components=ECHO,
    )
    run.assert_completed({"c": 1}).retry(
        "b", inputs={"x": 5}
    ).finish().assert_completed({"c": 5})
    assert steps_called(run) == ["a", "b", "c", "b", "c"]


ECHO = {"a": 0, "b": lambda x: x, "c": lambda x: x}


def test_only_the_items_that_failed_are_done_again() -> None:
    fails = {"bad": True}

    def work(x: int) -> int:
        if fails["bad"] and x > 1:
            raise NO
        return x

    step = {
        "id": "each",
        "component": "c",
        "foreach": [1, 2, 3],
        "inputs": {"x": "{{item}}"},
        "tolerated_failures": 1,
    }
    run = play(doc(step), components={"c": work}).assert_failed("ValueError")
    fails["bad"] = False
    run.retry().finish().assert_completed({"each": [1, 2, 3]})
    assert steps_called(run) == ["each[0]", "each[1]", "each[2]", "each[1]", "each[2]"]


def test_items_whose_failure_was_tolerated_are_left_alone() -> None:
    step = {
        "id": "each",
        "component": "c",
        "foreach": [1, 2],
        "inputs": {"x": 1},
        "tolerated_failures": 2,
    }
    run = play(
        doc(step, call("b")), components={"c": NO, "b": outcomes(NO, 1)}
    ).assert_failed()
    run.retry().finish().assert_completed({"b": 1})
    assert steps_called(run) == ["each[0]", "each[1]", "b", "b"]


def test_a_loop_goes_on_in_the_iteration_that_failed() -> None:
    step = {
        "id": "l",
        "loop": {
            "max_iterations": 3,
            "steps": [call("a", x="{{index}}"), call("b", x="{{a.output}}")],
        },
    }
    run = play(
        doc(step), components={"a": lambda x: x, "b": outcomes(1, NO, 2, 3)}
    ).assert_failed()
    run.retry().finish().assert_completed({"l": 3})
    assert steps_called(run) == [
        "l[0].a",
        "l[0].b",
        "l[1].a",
        "l[1].b",
        "l[1].b",
        "l[2].a",
        "l[2].b",
    ]


def test_what_was_compensated_is_done_again() -> None:
    booked = {**call("a"), "compensate": "undo"}
    run = play(
        doc(booked, call("b")), components={"a": 1, "undo": None, "b": outcomes(NO, 2)}
    ).assert_failed()
    run.retry().finish().assert_completed({"b": 2})
    assert steps_called(run) == ["a", "b", "a~compensate", "a", "b"]


def test_a_cancelled_run_goes_on() -> None:
    run = Play(doc({"id": "s", "sleep": 60}, call("a")), components={"a": 1}).cancel(
        "wait"
    )
    assert run.status == "cancelled"
    run.retry().finish().assert_completed({"a": 1})


def test_a_child_that_failed_is_begun_anew() -> None:
    child = {"id": "child", "steps": [call("a")]}
    run = play(
        doc({"id": "kid", "workflow": "child"}),
        components={"a": outcomes(NO, 5)},
        workflows=[child],
    )
    run.assert_failed().retry().finish().assert_completed({"kid": {"a": 5}})
    assert len(run.runs) == 3


def test_a_run_that_was_ended_by_a_step_decides_about_it_again() -> None:
    end = {"id": "end", "terminate": "failure", "condition": "{{input.stop}}"}
    run = play(doc(end, call("a")), {"stop": True}, components={"a": 1}).assert_failed(
        "Terminated"
    )
    run.retry(inputs={"stop": False}).finish().assert_completed({"a": 1})


def test_what_cannot_go_on_is_refused() -> None:
    run = Play(doc({"id": "s", "sleep": 60}))
    with pytest.raises(Rejected, match="has not ended"):
        run.retry()
    run.finish()
    with pytest.raises(Rejected, match="name the step"):
        run.retry()
    with pytest.raises(Rejected, match="no step 'x'"):
        run.retry("x")


def join(**more: Any) -> dict[str, Any]:
    """A document in which `c` needs one of `a` and `b`, and `d` fails once."""
    b = {"id": "b", "wait_for": {"signal": "s"}, **more}
    c = {**call("c"), "depends_on": ["a", "b"], "join": {"n": 1, "cancel_rest": True}}
    return doc(call("a"), b, c, {**call("d"), "depends_on": ["c"]}, execution="graph")


def test_what_a_join_had_no_need_of_is_not_begun_again_with_all_that_is_behind_it() -> (
    None
):
    run = play(join(), components={"a": 1, "c": 3, "d": outcomes(NO, 4)}).assert_failed(
        "ValueError"
    )
    run.retry().finish().assert_completed({"d": 4})
    assert steps_called(run) == ["a", "c", "d", "d"]


def test_what_is_inside_of_a_step_that_a_join_had_no_need_of_is_left_alone_too() -> (
    None
):
    document = join()
    document["steps"][1] = {
        "id": "b",
        "steps": [{"id": "w", "wait_for": {"signal": "s"}}],
    }
    run = play(
        document, components={"a": 1, "c": 3, "d": outcomes(NO, 4)}
    ).assert_failed("ValueError")
    run.retry().finish().assert_completed({"d": 4})
    assert steps_called(run) == ["a", "c", "d", "d"]


def test_a_join_that_failed_has_all_ways_open_again() -> None:
    run = play(join(), components={"a": 1, "c": outcomes(NO, 3), "d": 4}).assert_failed(
        "ValueError"
    )
    run.retry().finish().assert_completed({"d": 4})
    assert steps_called(run) == ["a", "c", "c", "d"]


LIMITED = doc(
    {
        "id": "k",
        "timeout": 3,
        "steps": [call("a"), {"id": "s", "sleep": 50, "depends_on": ["a"]}],
    }
)


def test_the_time_limit_of_a_block_that_goes_on_begins_anew() -> None:
    run = Play(LIMITED, components={"a": outcomes(NO, 1)}).assert_failed("ValueError")
    run.retry().advance(100).assert_failed("TimeoutError")
    assert replay(LIMITED, run.history) is None


def forks(run: Play) -> list[Any]:
    """Fork a run at each of its events but the last, and let time pass."""
    world, life = run.world, run.world.lives["0-test"]
    forked = [world.fork(life, at, f"0-{at}") for at in range(1, len(life.events))]
    world.go_on(world.now_ms + 100_000)
    return [new.state for new in forked]


def test_a_fork_keeps_to_the_time_limits_of_blocks() -> None:
    run = Play(LIMITED, components={"a": 1}).advance(10).assert_failed("TimeoutError")
    assert {state.status for state in forks(run)} == {"failed"}


def test_a_fork_of_a_run_that_was_being_cancelled_does_what_was_withdrawn() -> None:
    steps = [call("a"), {"id": "s", "sleep": 5}, {**call("b"), "depends_on": ["s"]}]
    run = (
        Play(doc(*steps, execution="graph"), components={"a": 1, "b": 2})
        .advance(1)
        .cancel("stop")
    )
    assert [state.output for state in forks(run)] == [{"a": 1, "b": 2}] * (
        len(run.events) - 1
    )


@pytest.mark.parametrize(
    ("how", "status"), [("success", "completed"), ("failure", "failed")]
)
def test_a_fork_at_a_step_that_ends_the_run_ends_too(how: str, status: str) -> None:
    end = {"id": "end", "terminate": how, "depends_on": ["a"]}
    steps = [
        {**call("a"), "compensate": "undo"},
        end,
        {**call("b"), "depends_on": ["end"]},
    ]
    run = Play(
        doc(*steps, execution="graph"), components={"a": 1, "b": 2, "undo": None}
    )
    assert {state.status for state in [*forks(run), run.state]} == {status}
    assert not run.calls("b")


def test_the_place_at_which_a_child_failed_is_none_of_its_parent() -> None:
    child = {"id": "child", "steps": [{"id": "k", "steps": [call("a")]}]}
    parent = doc({"id": "k", "steps": [{"id": "kid", "workflow": "child"}, call("a")]})
    run = play(parent, components={"a": NO}, workflows=[child]).assert_failed(
        "ValueError"
    )
    assert run.error is not None
    assert run.error["at"] == "k.kid"


def test_what_undoes_a_step_goes_on_counting_its_attempts_when_it_is_done_again() -> (
    None
):
    steps = [{**call("a"), "compensate": "undo"}, {**call("b"), "depends_on": ["a"]}]
    run = (
        play(doc(*steps), components={"a": 1, "b": NO, "undo": None})
        .retry()
        .finish()
        .assert_failed()
    )
    assert [call.attempt for call in run.calls("undo")] == [1, 2]


def test_what_a_forgotten_step_has_set_is_forgotten_and_what_others_have_set_is_kept() -> (
    None
):
    sets = {"outputs": {"v": "workflow.v"}}
    steps = [
        {**call("a"), **sets, "condition": "{{input.x > 0}}"},
        {"id": "b", "component": "b", "outputs": {"w": "workflow.w"}},
    ]
    document = doc(
        *steps, execution="graph", output={"v": "{{workflow.v}}", "w": "{{workflow.w}}"}
    )
    run = play(
        document, {"x": 1}, components={"a": {"v": 5}, "b": {"w": 6}}
    ).assert_completed({"v": 5, "w": 6})
    run.run_again().finish().assert_completed({"v": 5, "w": 6})
    run.retry("b").finish().assert_completed({"v": 5, "w": 6})
    run.retry("a", inputs={"x": 0}).finish()
    assert run.step("a").status == "skipped"
    assert dict(run.state.sets) == {"w": 6}
    assert steps_called(run) == ["a", "b", "b"]


def test_a_child_that_is_begun_anew_after_it_was_skipped_is_another_run() -> None:
    child = {"id": "child", "steps": [call("a")]}
    run = play(
        doc({"id": "kid", "workflow": "child"}),
        components={"a": outcomes(1, 2)},
        workflows=[child],
    )
    run.assert_completed({"kid": {"a": 1}}).skip("kid").finish().assert_completed(
        {"kid": None}
    )
    run.retry("kid").finish().assert_completed({"kid": {"a": 2}})
    assert len(run.runs) == 3


def test_attempts_go_on_counting_when_a_step_was_skipped_in_between() -> None:
    step = {**call("a"), "condition": "{{input.x > 0}}"}
    run = play(doc(step), {"x": 1}, components={"a": 1})
    run.retry("a", inputs={"x": 0}).finish().retry(
        "a", inputs={"x": 1}
    ).finish().assert_completed({"a": 1})
    assert [call.attempt for call in run.calls("a")] == [1, 2]
