"""Steps that are runs of another workflow, or of the same one."""

from __future__ import annotations

from typing import Any

import pytest

from openagents_json.testing import Play, outcomes, play
from openagents_json.workflow.language.validate import validate
from tests.unit.core.test_language import doc, double

CHILD = {
    "id": "child",
    "inputs": {"n": {"type": "integer", "required": True}},
    "steps": [
        {"id": "a", "component": "c", "inputs": {"x": "{{input.n}}"}},
        {"id": "s", "sleep": 10},
    ],
    "output": {"r": "{{a.output}}"},
}


def parent(**more: Any) -> dict[str, Any]:
    return doc(
        {"id": "kid", "workflow": "child", "inputs": {"n": "{{input.n}}"}, **more}
    )


def test_a_child_gives_its_output_and_knows_its_parent() -> None:
    done = play(parent(), {"n": 4}, components={"c": double}, workflows=[CHILD])
    done.assert_completed({"kid": {"r": 8}})
    child = done.runs[done.step("kid").child]
    assert child.state.parent == {"run": "0-test", "step": "kid", "depth": 1}


def test_a_child_that_fails_fails_its_step_with_its_error() -> None:
    done = play(
        parent(), {"n": 4}, components={"c": ValueError("no")}, workflows=[CHILD]
    )
    done.assert_failed("ValueError")


def test_a_child_is_tried_again_in_a_run_of_its_own() -> None:
    step = parent(retry={"max_retries": 1, "delay_seconds": 30})
    done = play(
        step,
        {"n": 4},
        components={"c": outcomes(ValueError("no"), 9)},
        workflows=[CHILD],
    )
    done.assert_completed({"kid": {"r": 9}})
    assert len(done.runs) == 3


@pytest.mark.parametrize(
    ("inputs", "error"),
    [({"n": "four"}, "InvalidInputs"), ({"n": 1}, "UnknownWorkflow")],
)
def test_a_child_that_cannot_begin_fails_its_step(inputs: Any, error: str) -> None:
    done = play(parent(), inputs, workflows=[CHILD] if error == "InvalidInputs" else [])
    done.assert_failed(error)


def test_cancel_pause_and_resume_go_down() -> None:
    begun = Play(parent(), {"n": 1}, components={"c": double}, workflows=[CHILD])
    child = begun.runs[begun.step("kid").child]
    begun.pause()
    paused = child.state
    assert paused.status == "paused"
    begun.resume()
    resumed = child.state
    assert resumed.status == "running"
    begun.cancel("enough")
    assert (begun.status, child.state.status) == ("cancelled", "cancelled")


def test_a_detached_child_outlives_its_parent() -> None:
    begun = Play(
        parent(detached=True), {"n": 1}, components={"c": double}, workflows=[CHILD]
    )
    assert begun.status == "completed"
    child = begun.runs[begun.output["kid"]["run"]]
    begun.advance(20)
    assert child.state.status == "completed"


def test_a_workflow_that_calls_itself_without_end_is_stopped() -> None:
    step = {"id": "again", "workflow": "w", "inputs": {}}
    done = play(doc(step))
    done.assert_failed("DepthLimit")
    assert len(done.runs) == 17


def test_a_workflow_that_calls_itself_without_end_is_warned_of() -> None:
    call = {"id": "again", "workflow": "w"}
    assert _warned({"id": "w", "steps": [call]}) == ["endless_call"]
    assert _warned({"id": "w", "steps": [{**call, "workflow": "w@^1"}]}) == [
        "endless_call"
    ]
    assert (
        _warned(
            {
                "id": "w",
                "inputs": {"n": {}},
                "steps": [{**call, "condition": "{{input.n > 0}}"}],
            }
        )
        == []
    )
    assert _warned({"id": "w", "steps": [{**call, "workflow": "other"}]}) == []
    assert _warned({"id": "w", "steps": [{**call, "detached": True}]}) == []


def test_a_workflow_whose_detached_calls_of_itself_are_all_refused_is_warned_of() -> (
    None
):
    call = {"id": "again", "workflow": "w", "detached": True}
    reject = {"limit": 1, "on_limit": "reject"}
    assert _warned({"id": "w", "steps": [call], "concurrency": reject}) == [
        "refused_by_itself"
    ]
    assert (
        _warned({"id": "w", "steps": [call], "concurrency": {**reject, "limit": 2}})
        == []
    )
    keyed = {**reject, "key": "{{input.k}}"}
    assert (
        _warned({"id": "w", "steps": [call], "concurrency": keyed, "inputs": {"k": {}}})
        == []
    )


def _warned(document: dict[str, Any]) -> list[str]:
    report = validate(document)
    assert report.valid, report.errors
    return [problem.code for problem in report.problems]
