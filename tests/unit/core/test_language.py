"""What each word of the language does, in memory and with a clock that jumps."""

from __future__ import annotations

from typing import Any

import pytest

from openagents_json.testing import Play, Stuck, outcomes, play
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.errors import Rejected
from openagents_json.workflow.language.validate import validate


def doc(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "w", "steps": list(steps), **more}


def each(**more: Any) -> dict[str, Any]:
    return {
        "id": "each",
        "component": "c",
        "foreach": "{{input.xs}}",
        "inputs": {"x": "{{item}}"},
        **more,
    }


def double(x: Any) -> Any:
    if x == "bad":
        raise ValueError("bad item")
    return x * 2


# -- foreach -----------------------------------------------------------------------------------------------


def test_foreach_gives_results_in_the_order_of_the_input() -> None:
    done = play(
        doc(each(max_concurrency=2)), {"xs": [3, 1, 2]}, components={"c": double}
    )
    done.assert_completed({"each": [6, 2, 4]})


def test_foreach_over_an_object_gives_an_object_and_index_is_the_key() -> None:
    step = each(inputs={"x": "{{item}}", "k": "{{index}}"})
    done = play(
        doc(step), {"xs": {"b": 1, "a": 2}}, components={"c": lambda x, k: f"{k}{x}"}
    )
    done.assert_completed({"each": {"a": "a2", "b": "b1"}})


@pytest.mark.parametrize("empty", [[], {}])
def test_foreach_over_nothing_completes(empty: Any) -> None:
    play(doc(each()), {"xs": empty}, components={"c": double}).assert_completed(
        {"each": empty}
    )


def test_foreach_runs_no_more_at_a_time_than_it_may() -> None:
    begun = Play(
        doc(each(max_concurrency=2)), {"xs": [1] * 5}, components={"c": double}
    )
    opened: list[int] = []
    open_now = 0
    for event in begun.events:
        name = type(event).__name__
        if getattr(event, "step", "").startswith("each["):
            open_now += (name == "StepScheduled") - (name == "StepCompleted")
            opened.append(open_now)
    assert max(opened) == 2


def test_an_item_is_retried_by_itself() -> None:
    step = each(retry={"max_retries": 1, "delay_seconds": 1})
    done = play(
        doc(step), {"xs": [1, 2]}, components={"c": outcomes(5, ValueError("once"), 6)}
    )
    done.assert_completed({"each": [5, 6]})
    assert [call.attempt for call in done.calls("c")] == [1, 1, 2]


@pytest.mark.parametrize(
    ("option", "status", "output"),
    [
        ({}, "failed", None),
        ({"tolerated_failures": 1}, "completed", {"each": [2, None, 4]}),
        ({"tolerated_failures": 0}, "failed", None),
        ({"min_success": 2}, "completed", {"each": [2, None, 4]}),
        ({"min_success": 3}, "failed", None),
        (
            {"on_error": [{"then": "continue", "output": "{{item}}!"}]},
            "completed",
            {"each": [2, "bad!", 4]},
        ),
    ],
)
def test_how_many_items_may_fail(
    option: dict[str, Any], status: str, output: Any
) -> None:
    done = play(doc(each(**option)), {"xs": [1, "bad", 2]}, components={"c": double})
    assert (done.status, done.output) == (status, output)


def test_a_foreach_fails_with_the_error_of_its_item() -> None:
    done = play(
        doc(each()), {"xs": [1, "bad"]}, components={"c": double}
    ).assert_failed("ValueError")
    assert done.error is not None
    assert (done.error["at"], done.error["message"]) == ("each[1]", "item 1: bad item")


def test_a_condition_that_sees_the_item_skips_items() -> None:
    done = play(
        doc(each(condition="{{item > 1}}")), {"xs": [1, 2]}, components={"c": double}
    )
    done.assert_completed({"each": [None, 4]})


def test_nested_foreach_over_a_block() -> None:
    cells = {
        "id": "cells",
        "component": "c",
        "foreach": "{{row}}",
        "inputs": {"x": "{{item + index}}"},
    }
    rows = {
        "id": "rows",
        "foreach": "{{input.rows}}",
        "item": "row",
        "index": "y",
        "steps": [cells],
    }
    done = play(doc(rows), {"rows": [[1, 2], [], [3]]}, components={"c": double})
    done.assert_completed({"rows": [[2, 6], [], [6]]})


def test_what_is_no_array_is_refused() -> None:
    play(doc(each()), {"xs": 5}, components={"c": double}).assert_failed(
        "InvalidForeach"
    )


# -- loop, block, terminate --------------------------------------------------------------------------------


def loop(**spec: Any) -> dict[str, Any]:
    inner = {"id": "a", "component": "inc", "inputs": {"x": "{{previous or 0}}"}}
    return {"id": "l", "loop": {"max_iterations": 5, "steps": [inner], **spec}}


@pytest.mark.parametrize(
    ("spec", "result", "calls"),
    [
        ({"until": "{{a.output >= 3}}"}, 3, 3),
        ({"while": "{{index < 2}}"}, 2, 2),
        ({"while": "{{a.output < 2}}"}, 2, 2),
        ({"while": False}, None, 0),
        ({}, 5, 5),
        ({"until": "{{false}}"}, 5, 5),
    ],
)
def test_loops(spec: dict[str, Any], result: Any, calls: int) -> None:
    done = play(doc(loop(**spec)), components={"inc": lambda x: x + 1})
    done.assert_completed({"l": result})
    assert len(done.calls("inc")) == calls


def test_a_loop_that_must_end_fails_at_its_limit() -> None:
    done = play(
        doc(loop(until="{{false}}", at_limit="fail")),
        components={"inc": lambda x: x + 1},
    )
    done.assert_failed("LoopLimitReached")


def test_a_loop_begins_with_its_inputs() -> None:
    step = {**loop(until="{{a.output > 11}}"), "inputs": {"start": 10}}
    step["loop"]["steps"][0]["inputs"] = {
        "x": "{{previous.start or previous if previous is mapping else previous}}"
    }
    done = play(doc(step), components={"inc": lambda x: x + 1})
    done.assert_completed({"l": 12})


def test_a_failure_in_a_loop_can_be_handled_by_the_loop() -> None:
    step = {
        **loop(),
        "on_error": [
            {"errors": ["ValueError"], "then": "continue", "output": "gave up"}
        ],
    }
    play(doc(step), components={"inc": ValueError("no")}).assert_completed(
        {"l": "gave up"}
    )


def test_steps_of_a_block_see_what_is_around_them_and_wait_for_it() -> None:
    block = {
        "id": "b",
        "steps": [
            {"id": "in", "component": "c", "inputs": {"x": "{{first.output}}"}},
            {"id": "out", "component": "c", "inputs": {"x": "{{in.output}}"}},
        ],
    }
    graph = doc(
        block, {"id": "first", "component": "c", "inputs": {"x": 1}}, execution="graph"
    )
    done = play(graph, components={"c": double})
    done.assert_completed({"b": 8})


def test_terminate_inside_a_loop_ends_the_run() -> None:
    step = loop(output="{{a.output}}")
    step["loop"]["steps"].append(
        {
            "id": "t",
            "terminate": {"output": "{{a.output}}"},
            "condition": "{{a.output == 2}}",
        }
    )
    done = play(
        doc(step, {"id": "never", "component": "inc"}),
        components={"inc": lambda x=0: x + 1},
    )
    done.assert_completed(2)


# -- time and signals --------------------------------------------------------------------------------------


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
        assert begun.step("ok").outputs is not None
        assert (begun.step("ok").outputs["by"], begun.step("ok").outputs["reason"]) == (
            "ann",
            "fine",
        )


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
    said = Play(doc(step)).signal("no", 5)
    assert said.output["w1"]["signal"] == "no"
    assert said.output["w1"]["payload"] == 5
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


# -- children ----------------------------------------------------------------------------------------------

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
    assert child.state.status == "paused"
    begun.resume()
    assert child.state.status == "running"
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


# -- limits ------------------------------------------------------------------------------------------------


def test_a_mutex_lets_one_in_at_a_time_and_gives_fences_that_rise() -> None:
    inner = {
        "id": "in",
        "component": "c",
        "mutex": "{{input.key}}",
        "inputs": {"x": "{{item}}"},
    }
    step = {"id": "each", "foreach": [1, 2, 3], "steps": [inner]}
    done = play(doc(step), {"key": "k"}, components={"c": double}).assert_completed(
        {"each": [2, 4, 6]}
    )
    order = [
        type(e).__name__
        for e in done.events
        if getattr(e, "step", "").endswith(".in")
        and type(e).__name__ in ("StepAdmitted", "StepCompleted")
    ]
    assert order == ["StepAdmitted", "StepCompleted"] * 3
    fences = [event.fences["k"] for event in done.of_type("StepAdmitted")]  # type: ignore[attr-defined]
    assert fences == sorted(fences)


@pytest.mark.slow
def test_a_decision_of_very_many_events_goes_on_in_the_next_commit() -> None:
    step = {
        "id": "l",
        "loop": {"max_iterations": 30_000, "steps": [{"id": "a", "sleep": 0}]},
    }
    done = play(doc(step)).assert_completed()
    assert done.step("l").group is not None
    assert done.step("l").group.opened == 30_000


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
