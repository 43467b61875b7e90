"""Runs are done again, and only what has changed is."""

from __future__ import annotations

from typing import Any

import pytest

from openagents_json.testing import Play, outcomes, play
from openagents_json.workflow.errors import Rejected


def doc(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "w", "steps": list(steps), **more}


def call(name: str, **inputs: Any) -> dict[str, Any]:
    return {"id": name, "component": name, "inputs": inputs}


ECHO = {"a": lambda x: x, "b": lambda x: x * 10, "c": lambda x: x}
CHAIN = doc(
    call("a", x="{{input.x}}"),
    call("b", x="{{input.y}}"),
    call("c", x="{{a.output}}"),
    execution="graph",
)
INPUTS = {"x": 1, "y": 2}


def steps_called(run: Play) -> list[str]:
    return [called.step for called in run.calls()]


def since(run: Play, count: int) -> list[str]:
    return steps_called(run)[count:]


def test_nothing_is_done_again_when_nothing_has_changed() -> None:
    run = play(CHAIN, INPUTS, components=ECHO).assert_completed()
    output = run.output
    run.run_again().finish().assert_completed(output)
    assert len(steps_called(run)) == 3
    reused: list[Any] = run.of_type("StepResultReused")
    assert [event.step for event in reused] == ["a", "b", "c"]


def test_steps_with_other_inputs_are_done_again_and_what_follows_only_if_it_gets_others() -> (
    None
):
    run = play(CHAIN, INPUTS, components=ECHO).assert_completed()
    run.run_again(inputs={"x": 7}).finish().assert_completed()
    assert since(run, 3) == ["a", "c"]
    same = {**ECHO, "a": lambda x: "always"}
    run = play(CHAIN, INPUTS, components=same).assert_completed()
    run.run_again(inputs={"x": 7}).finish().assert_completed()
    assert since(run, 3) == ["a"]


def test_a_step_that_is_written_differently_is_done_again() -> None:
    run = play(CHAIN, INPUTS, components=ECHO).assert_completed()
    other = doc(
        {**call("a", x="{{input.x}}"), "name": "the same"},
        {**call("b", x="{{input.y}}"), "component": "c"},
        call("c", x="{{a.output}}"),
        execution="graph",
        version="2.0.0",
    )
    run.run_again(other).finish().assert_completed()
    assert since(run, 3) == ["b"]
    assert run.state.version == "2.0.0"


def test_numbers_and_truths_that_only_look_alike_are_other_inputs() -> None:
    run = play(
        doc(call("a", x="{{input.x}}")), {"x": 1}, components=ECHO
    ).assert_completed()
    run.run_again(inputs={"x": True}).finish().assert_completed()
    assert steps_called(run) == ["a", "a"]


def test_a_failed_run_is_done_again_from_its_beginning_with_what_it_has() -> None:
    components = {**ECHO, "b": outcomes(ValueError("no"), 3)}
    chain = doc(
        call("a", x="{{input.x}}"),
        call("b", x="{{a.output}}"),
        call("c", x="{{b.output}}"),
    )
    run = play(chain, INPUTS, components=components).assert_failed()
    run.run_again().finish().assert_completed()
    assert steps_called(run) == ["a", "b", "b", "c"]


def test_only_items_that_are_new_are_done() -> None:
    step = {
        "id": "each",
        "component": "b",
        "foreach": "{{input.xs}}",
        "inputs": {"x": "{{item}}"},
    }
    run = play(doc(step), {"xs": [1, 2]}, components=ECHO).assert_completed(
        {"each": [10, 20]}
    )
    run.run_again(inputs={"xs": [1, 5, 6]}).finish().assert_completed(
        {"each": [10, 50, 60]}
    )
    assert since(run, 2) == ["each[1]", "each[2]"]


def test_waits_sleeps_and_children_that_have_ended_are_not_waited_for_again() -> None:
    child = {
        "id": "child",
        "steps": [call("b", x="{{input.x}}")],
        "output": {"r": "{{b.output}}"},
    }
    steps: list[dict[str, Any]] = [
        {"id": "ok", "wait_for": {"signal": "go"}},
        {"id": "nap", "sleep": 3600},
        {"id": "sub", "workflow": "child", "inputs": {"x": 4}},
        call("a", x="{{ok.output}}"),
    ]
    run = Play(
        doc(*steps, output={"r": "{{sub.output.r}}"}),
        components=ECHO,
        workflows=[child],
    )
    run.signal("go", "yes").finish().assert_completed({"r": 40})
    begun = run.now_ms
    run.run_again().finish().assert_completed({"r": 40})
    assert run.now_ms == begun
    assert steps_called(run).count("b") == 1
    assert run.step("a").output == "yes"


def test_what_was_undone_is_done_again() -> None:
    steps = [{**call("a", x=1), "compensate": "undo"}, call("b", x=1)]
    components = {"a": 1, "undo": None, "b": outcomes(ValueError("no"), 2)}
    run = play(doc(*steps), components=components).assert_failed()
    run.run_again().finish().assert_completed()
    assert steps_called(run) == ["a", "b", "a~compensate", "a", "b"]


def test_a_run_under_way_is_not_done_again() -> None:
    run = Play(doc({"id": "ok", "wait_for": {"signal": "go"}}))
    with pytest.raises(Rejected, match="has not ended"):
        run.run_again()
