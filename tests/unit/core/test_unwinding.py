"""How runs unwind: compensations, what is done on failure, limits of time."""

from __future__ import annotations

from typing import Any

import pytest

from openagents_json import NonRetryableError, RetryableError
from openagents_json.testing import Play, play


def doc(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "w", "steps": list(steps), **more}


def book(name: str, **more: Any) -> dict[str, Any]:
    undo = {"component": "undo", "inputs": {"what": name, "ref": "{{result}}"}}
    return {
        "id": name,
        "component": "book",
        "inputs": {"x": name},
        "compensate": undo,
        **more,
    }


def undone(run: Play) -> list[str]:
    return [str(call.inputs["what"]) for call in run.calls("undo")]


SAGA = doc(book("flight"), book("hotel"), {"id": "pay", "component": "pay"})
PARTS: dict[str, Any] = {
    "book": lambda x: f"ref-{x}",
    "pay": NonRetryableError("declined"),
}


def test_compensation_runs_in_reverse_order_and_then_the_run_fails() -> None:
    done = play(
        SAGA, components={**PARTS, "undo": lambda what, ref: None}
    ).assert_failed("NonRetryableError")
    assert [call.inputs for call in done.calls("undo")] == [
        {"what": "hotel", "ref": "ref-hotel"},
        {"what": "flight", "ref": "ref-flight"},
    ]


def test_a_compensation_that_fails_is_retried_and_recorded_and_the_others_go_on() -> (
    None
):
    def undo(what: str, ref: str) -> None:
        if what == "hotel":
            raise ValueError("closed")

    done = play(SAGA, components={**PARTS, "undo": undo}).assert_failed(
        "NonRetryableError"
    )
    assert undone(done) == ["hotel"] * 4 + ["flight"]
    assert done.error is not None
    assert done.error["not_compensated"] == ["hotel"]


@pytest.mark.parametrize(
    ("compensate", "expected"), [(True, ["hotel", "flight"]), (False, [])]
)
def test_cancelling_compensates_unless_asked_not_to(
    compensate: bool, expected: list[str]
) -> None:
    begun = Play(
        doc(book("flight"), book("hotel"), {"id": "s", "sleep": 60}),
        components={**PARTS, "undo": lambda what, ref: None},
    )
    begun.cancel("changed plans", compensate=compensate)
    assert (begun.status, undone(begun)) == ("cancelled", expected)


def test_items_of_a_foreach_are_compensated_one_by_one() -> None:
    step = book("each", foreach=[1, 2], inputs={"x": "{{item}}"})
    step["compensate"]["inputs"] = {"what": "{{item}}", "ref": "{{result}}"}
    done = play(
        doc(step, {"id": "pay", "component": "pay"}),
        components={**PARTS, "undo": lambda what, ref: None},
    )
    assert undone(done) == ["2", "1"]


def test_on_failure_runs_after_compensation_and_sees_the_error() -> None:
    told: list[Any] = []
    failure = {
        "component": "tell",
        "inputs": {"why": "{{error.message}}", "where": "{{failed_step}}"},
    }
    parts = {
        **PARTS,
        "undo": lambda what, ref: told.append(what),
        "tell": lambda **k: told.append(k),
    }
    play({**SAGA, "on_failure": failure}, components=parts).assert_failed(
        "NonRetryableError"
    )
    assert told == ["hotel", "flight", {"why": "declined", "where": "pay"}]


def test_a_failing_on_failure_does_not_hide_the_error() -> None:
    failure = [{"id": "tell", "component": "tell"}]
    done = play(
        {**SAGA, "on_failure": failure},
        components={
            **PARTS,
            "undo": lambda what, ref: None,
            "tell": ValueError("mail is down"),
        },
    )
    done.assert_failed("NonRetryableError")
    assert done.error is not None
    assert done.error["not_compensated"] == ["~on_failure"]


def test_a_time_limit_of_a_block_withdraws_what_is_inside() -> None:
    block = {"id": "b", "timeout": 60, "steps": [{"id": "s", "sleep": 600}]}
    done = play(doc(block)).assert_failed("TimeoutError")
    assert done.statuses() == {"b": "failed", "b.s": "cancelled"}


@pytest.mark.parametrize(
    ("step", "calls"),
    [({}, 1), ({"retry": {"max_attempts": 2, "delay_seconds": 0}}, 3)],
)
def test_it_is_for_the_document_to_say_whether_a_retryable_error_is_tried_again(
    step: dict[str, Any], calls: int
) -> None:
    done = play(
        doc({"id": "a", "component": "c", **step}),
        components={"c": RetryableError("no answer")},
    )
    done.assert_failed("RetryableError")
    assert len(done.calls("c")) == calls
