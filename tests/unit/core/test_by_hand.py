"""Steps are skipped and completed by hand: what follows goes on with that."""

from __future__ import annotations

import pytest

from openagents_json.testing import play
from openagents_json.workflow.errors import Rejected
from tests.unit.core.test_reopen import NO, call, doc, steps_called


def test_a_failed_step_is_skipped_and_what_follows_goes_on_with_null() -> None:
    document = doc(
        call("a"), call("b"), call("c", x="{{b.output}}"), call("d", x="{{c.output}}")
    )
    run = play(
        document, components={"a": 1, "b": NO, "c": lambda x: [x], "d": lambda x: x}
    )
    run.assert_failed("ValueError").skip(
        "b", reason="not needed"
    ).finish().assert_completed({"d": [None]})
    assert steps_called(run) == ["a", "b", "c", "d"]
    assert run.state.steps["b"].status == "skipped"


def test_a_failed_step_is_completed_by_hand() -> None:
    document = doc(call("a"), call("b"), call("c", x="{{b.output.n}}"))
    run = play(document, components={"a": 1, "b": NO, "c": lambda x: x + 1})
    run.assert_failed("ValueError").complete("b", {"n": 4}).finish().assert_completed(
        {"c": 5}
    )
    assert steps_called(run) == ["a", "b", "c"]


def test_what_else_failed_is_done_again_when_a_step_is_completed_by_hand() -> None:
    document = doc(
        call("b"),
        call("c"),
        {"id": "wait", "wait_for": {"signal": "go"}},
        execution="graph",
    )
    run = play(document, components={"b": NO, "c": 3}).assert_failed("ValueError")
    assert run.state.steps["wait"].status == "cancelled"
    run.complete("b", 2)
    assert run.state.status == "running"
    run.signal("go").finish().assert_completed()
    assert sorted(steps_called(run)) == ["b", "c"]


def test_a_step_of_an_open_run_is_completed_by_hand_and_its_signal_is_wanted_no_more() -> (
    None
):
    document = {
        "id": "w",
        "steps": [
            {"id": "ok", "wait_for": {"signal": "go"}},
            call("b", x="{{ok.output}}"),
        ],
    }
    run = play(document, components={"b": lambda x: x})
    run.complete("ok", "by hand").finish().assert_completed({"b": "by hand"})
    with pytest.raises(Rejected, match="has no step"):
        run.skip("never")


def test_an_item_is_skipped_by_hand() -> None:
    step = {
        "id": "each",
        "component": "c",
        "foreach": [1, 2, 3],
        "inputs": {"x": "{{item}}"},
    }

    def work(x: int) -> int:
        if x == 2:
            raise NO
        return x

    run = play(doc(step), components={"c": work}).assert_failed("ValueError")
    run.skip("each[1]").finish().assert_completed({"each": [1, None, 3]})


def test_a_block_is_completed_by_hand_with_what_is_open_inside_of_it() -> None:
    inner = [{"id": "i", "wait_for": {"signal": "go"}}]
    run = play(
        doc({"id": "box", "steps": inner}, call("b", x="{{box.output}}")),
        components={"b": lambda x: x},
    )
    run.complete("box", 7).finish().assert_completed({"b": 7})
    assert run.state.steps["box.i"].status == "cancelled"


def test_a_resolved_step_of_an_open_run_stays_as_it_is() -> None:
    run = play(
        doc(call("a"), {"id": "w1", "wait_for": {"signal": "go"}}), components={"a": 1}
    )
    with pytest.raises(Rejected, match="completed already"):
        run.skip("a")
    with pytest.raises(Rejected, match="has no step"):
        run.complete("nowhere")
