"""Steps that wait: for a time, for a signal, for the first of several."""

from __future__ import annotations

from typing import Any

import pytest

from openagents_json.testing import Play, Stuck, play
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.errors import Rejected
from openagents_json.workflow.language.validate import validate
from tests.unit.core.test_language import doc


@pytest.mark.parametrize(
    ("sleep", "seconds"),
    [
        (5, 5),
        ("{{input.s}}", 90),
        ({"days": 30}, 30 * 86400),
        ({"until": "2030-01-02T00:00:00Z"}, 86400),
        (0, 0),
    ],
)
def test_sleep_takes_as_long_as_it_says(sleep: Any, seconds: int) -> None:
    begun = Play(doc({"id": "s", "sleep": sleep}), {"s": 90})
    start = begun.now_ms
    begun.finish().assert_completed()
    assert begun.now_ms - start == seconds * 1000


@pytest.mark.parametrize(
    "sleep", [{"until": "{{input.t}}"}, "{{input.t}}", {"seconds": "{{input.t}}"}]
)
def test_a_time_that_is_none_fails_the_step(sleep: Any) -> None:
    done = play(doc({"id": "s", "sleep": sleep}), {"t": "soon"})
    assert done.error is not None
    assert done.error["type"] in ("InvalidTime", "ExpressionError")


def test_a_signal_is_taken_when_it_comes_early_and_when_it_comes_late() -> None:
    wait = {"id": "ok", "wait_for": "approve"}
    for early in (True, False):
        begun = Play(doc({"id": "s", "sleep": 10}, wait))
        if early:
            begun.signal("approve", {"yes": 1}, by="ann", reason="fine").finish()
        else:
            begun.advance(11)
            assert begun.status == "running"
            begun.signal("approve", {"yes": 1}, by="ann", reason="fine")
        begun.assert_completed({"ok": {"yes": 1}})
        outputs = begun.step("ok").outputs
        assert outputs is not None
        assert (outputs["by"], outputs["reason"]) == ("ann", "fine")


def test_signals_are_matched_by_key_and_each_is_taken_once() -> None:
    step = {
        "id": "each",
        "foreach": ["a", "b"],
        "wait_for": {"signal": "done", "key": "{{item}}"},
    }
    begun = Play(doc(step))
    begun.signal("done", 1, key="c").signal("done", 2, key="b")
    assert begun.step("each[1]").output == 2
    assert begun.status == "running"
    begun.signal("done", 3, key="a").assert_completed({"each": [3, 2]})
    assert [signal.payload for signal in begun.state.signals] == []


def test_a_signal_nobody_waits_for_and_a_wrong_payload_are_refused() -> None:
    schema = {
        "type": "object",
        "required": ["amount"],
        "properties": {"amount": {"type": "number"}},
    }
    begun = Play(doc({"id": "pay", "wait_for": {"signal": "paid", "schema": schema}}))
    with pytest.raises(Rejected, match="did you mean 'paid'"):
        begun.signal("payd")
    with pytest.raises(Rejected, match="amount"):
        begun.signal("paid", {"amount": "five"})
    begun.signal("paid", {"amount": 5}).assert_completed({"pay": {"amount": 5}})


@pytest.mark.parametrize(
    "schema", [{"$ref": "http://localhost:1/x"}, {"type": "nonsense"}, {"pattern": 5}]
)
def test_a_schema_that_cannot_be_used_is_found(schema: Any) -> None:
    report = validate(doc({"id": "a", "wait_for": {"signal": "go", "schema": schema}}))
    assert [p.code for p in report.errors] == ["invalid_schema"]


def test_a_wait_ends_at_its_timeout_and_the_document_may_handle_it() -> None:
    wait = {"signal": "go", "timeout": 60}
    assert (
        play(doc({"id": "w1", "wait_for": wait})).assert_failed("TimeoutError").now_ms
        % 100_000
        == 60_000
    )
    handled = {
        "id": "w1",
        "wait_for": wait,
        "on_error": [{"errors": ["TimeoutError"], "then": "continue", "output": 0}],
    }
    play(doc(handled)).assert_completed({"w1": 0})


def test_wait_any_takes_the_first_signal_or_the_timer() -> None:
    step = {"id": "w1", "wait_for": {"any": ["yes", {"signal": "no"}, {"hours": 1}]}}
    signalled = Play(doc(step)).signal("no", 5)
    assert signalled.output["w1"]["signal"] == "no"
    assert signalled.output["w1"]["payload"] == 5
    assert play(doc(step)).output["w1"]["timer"] is True


def test_a_run_that_waits_for_a_signal_says_so() -> None:
    with pytest.raises(Stuck, match="signal 'go'"):
        Play(doc({"id": "w1", "wait_for": "go"})).finish()


def test_a_timer_that_fires_while_the_run_is_paused_takes_effect_when_it_goes_on() -> (
    None
):
    begun = Play(
        doc({"id": "s", "sleep": 5}, {"id": "a", "component": "c"}), components={"c": 1}
    )
    begun.pause().advance(60)
    assert (begun.status, begun.statuses()) == ("paused", {"s": "completed"})
    begun.resume().assert_completed({"a": 1})


def test_a_signal_that_comes_while_the_run_is_paused_is_taken_when_it_goes_on() -> None:
    begun = Play(doc({"id": "s", "wait_for": "go"})).pause().signal("go", 7)
    assert begun.step("s").status == "active"
    begun.resume().assert_completed({"s": 7})


@pytest.mark.parametrize(
    "wait", [{"signal": "go", "timeout": 30}, {"any": ["go", {"seconds": 30}]}]
)
def test_a_signal_that_came_in_time_counts_though_the_run_was_paused(
    wait: dict[str, Any],
) -> None:
    begun = Play(doc({"id": "s", "wait_for": wait})).pause().signal("go", 7)
    begun.advance(60).resume()
    assert begun.status == "completed"
    output = begun.step("s").output
    assert (output["payload"] if "any" in wait else output) == 7


def test_several_steps_of_a_block_that_fail_while_the_run_is_paused_fail_the_block_once() -> (
    None
):
    inner = [
        {"id": name, "wait_for": {"signal": "go", "timeout": 30}}
        for name in ("one", "two")
    ]
    box = {
        "id": "box",
        "steps": inner,
        "execution": "graph",
        "on_error": [{"then": "continue", "output": 1}],
    }
    run = Play({"id": "w", "steps": [box], "output": {"r": "{{box.output}}"}})
    run.pause().advance(60).resume().finish().assert_completed({"r": 1})
    failed = [
        event.step
        for event in run.events
        if isinstance(event, ev.StepFailed | ev.StepTimedOut)
    ]
    assert sorted(failed) == ["box", "box.one", "box.two"]
