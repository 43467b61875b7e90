"""Closed runs go on: what failed is done again, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from openagents_json.testing import Play, outcomes, play
from openagents_json.workflow.commands import Rejected


def doc(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "w", "steps": list(steps), **more}


def call(name: str, **inputs: Any) -> dict[str, Any]:
    return {"id": name, "component": name, "inputs": inputs}


NO = ValueError("no")


def made(run: Play) -> list[str]:
    return [made.step for made in run.calls()]


def test_a_failed_run_goes_on_at_its_failure() -> None:
    run = play(
        doc(call("a"), call("b", x="{{a.output}}"), call("c")), components={"a": 1, "b": outcomes(NO, 2), "c": 3}
    )
    run.assert_failed("ValueError").retry().finish().assert_completed({"c": 3})
    assert made(run) == ["a", "b", "b", "c"]
    assert [c.attempt for c in run.calls("b")] == [1, 2]


def test_a_run_goes_on_from_a_step_with_another_input() -> None:
    run = play(doc(call("a"), call("b", x="{{input.x}}"), call("c", x="{{b.output}}")), {"x": 1}, components=ECHO)
    run.assert_completed({"c": 1}).retry("b", inputs={"x": 5}).finish().assert_completed({"c": 5})
    assert made(run) == ["a", "b", "c", "b", "c"]


ECHO = {"a": 0, "b": lambda x: x, "c": lambda x: x}


def test_only_the_items_that_failed_are_done_again() -> None:
    fails = {"bad": True}

    def work(x: int) -> int:
        if fails["bad"] and x > 1:
            raise NO
        return x

    step = {"id": "each", "component": "c", "foreach": [1, 2, 3], "inputs": {"x": "{{item}}"}, "tolerated_failures": 1}
    run = play(doc(step), components={"c": work}).assert_failed("ValueError")
    fails["bad"] = False
    run.retry().finish().assert_completed({"each": [1, 2, 3]})
    assert made(run) == ["each[0]", "each[1]", "each[2]", "each[1]", "each[2]"]


def test_items_whose_failure_was_tolerated_are_left_alone() -> None:
    step = {"id": "each", "component": "c", "foreach": [1, 2], "inputs": {"x": 1}, "tolerated_failures": 2}
    run = play(doc(step, call("b")), components={"c": NO, "b": outcomes(NO, 1)}).assert_failed()
    run.retry().finish().assert_completed({"b": 1})
    assert made(run) == ["each[0]", "each[1]", "b", "b"]


def test_a_loop_goes_on_in_the_iteration_that_failed() -> None:
    step = {"id": "l", "loop": {"max_iterations": 3, "steps": [call("a", x="{{index}}"), call("b", x="{{a.output}}")]}}
    run = play(doc(step), components={"a": lambda x: x, "b": outcomes(1, NO, 2, 3)}).assert_failed()
    run.retry().finish().assert_completed({"l": 3})
    assert made(run) == ["l[0].a", "l[0].b", "l[1].a", "l[1].b", "l[1].b", "l[2].a", "l[2].b"]


def test_what_was_compensated_is_done_again() -> None:
    booked = {**call("a"), "compensate": "undo"}
    run = play(doc(booked, call("b")), components={"a": 1, "undo": None, "b": outcomes(NO, 2)}).assert_failed()
    run.retry().finish().assert_completed({"b": 2})
    assert made(run) == ["a", "b", "a~compensate", "a", "b"]


def test_a_cancelled_run_goes_on() -> None:
    run = Play(doc({"id": "s", "sleep": 60}, call("a")), components={"a": 1}).cancel("wait")
    assert run.status == "cancelled"
    run.retry().finish().assert_completed({"a": 1})


def test_a_child_that_failed_is_begun_anew() -> None:
    child = {"id": "child", "steps": [call("a")]}
    run = play(doc({"id": "kid", "workflow": "child"}), components={"a": outcomes(NO, 5)}, workflows=[child])
    run.assert_failed().retry().finish().assert_completed({"kid": {"a": 5}})
    assert len(run.runs) == 3


def test_a_run_that_was_ended_by_a_step_decides_about_it_again() -> None:
    end = {"id": "end", "terminate": "failure", "condition": "{{input.stop}}"}
    run = play(doc(end, call("a")), {"stop": True}, components={"a": 1}).assert_failed("Terminated")
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
