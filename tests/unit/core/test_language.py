"""What each word of the language does, in memory and with a clock that jumps."""

from __future__ import annotations

from typing import Any

import pytest

from openagents_json.testing import Play, outcomes, play
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


FAILED = {"type": "ValueError", "message": "bad item"}


@pytest.mark.parametrize(
    ("xs", "indexes"),
    [([1, "bad", 2, "bad"], [1, 3]), ({"b": "bad", "a": 2}, ["b"]), ([1], [])],
)
def test_steps_behind_a_foreach_read_the_errors_of_its_items(
    xs: Any, indexes: list[Any]
) -> None:
    step = each(tolerated_failures=5)
    read = {"id": "read", "component": "echo", "inputs": {"x": "{{each.errors}}"}}
    asked = {
        "all": "{{steps['each'].errors}}",
        "first": "{{each.errors[0].message if each.errors else 'none'}}",
        "many": "{{each.errors | length}}",
        "read": "{{read.output}}",
    }
    done = play(
        doc(step, read, output=asked),
        {"xs": xs},
        components={"c": double, "echo": lambda x: x},
    )
    errors = [{"index": index, **FAILED} for index in indexes]
    done.assert_completed(
        {
            "all": errors,
            "first": "bad item" if errors else "none",
            "many": len(errors),
            "read": errors,
        }
    )


def test_the_errors_of_items_are_there_when_the_foreach_fails_and_is_handled() -> None:
    alarm = {"component": "alarm", "inputs": {"errors": "{{each.errors}}"}}
    told: list[Any] = []
    components = {"c": double, "alarm": lambda errors: told.append(errors)}
    play(doc(each(), on_failure=alarm), {"xs": [1, "bad"]}, components=components)
    assert told == [[{"index": 1, **FAILED}]]


def test_a_result_with_errors_of_its_own_keeps_them_and_no_other_step_has_any() -> None:
    own = play(
        doc(each(), output="{{each.errors}}"),
        {"xs": {"errors": 2}},
        components={"c": double},
    )
    own.assert_completed(4)
    whole = play(
        doc(each(tolerated_failures=1), output="{{each}}"),
        {"xs": ["bad"]},
        components={"c": double},
    )
    assert "errors" not in whole.output
    step = {"id": "a", "component": "c", "inputs": {"x": 1}}
    other = play(doc(step, output="{{a.errors}}"), {}, components={"c": double})
    assert other.status == "failed"


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


# -- children ----------------------------------------------------------------------------------------------


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
    admitted: list[Any] = done.of_type("StepAdmitted")
    fences = [event.fences["k"] for event in admitted]
    assert fences == sorted(fences)


@pytest.mark.slow
def test_a_decision_of_very_many_events_goes_on_in_the_next_commit() -> None:
    step = {
        "id": "l",
        "loop": {"max_iterations": 30_000, "steps": [{"id": "a", "sleep": 0}]},
    }
    done = play(doc(step)).assert_completed()
    group = done.step("l").group
    assert group is not None
    assert group.opened == 30_000


def test_whole_numbers_may_be_written_with_a_fraction_of_nothing() -> None:
    each = {"foreach": [1, 2, 3], "max_concurrency": 2.0, "inputs": {"x": "{{item}}"}}
    document = {
        "id": "w",
        "execution": "graph",
        "steps": [
            {"id": "a", "component": "c"},
            {"id": "each", "component": "c", **each, "tolerated_failures": 1.0},
            {"id": "b", "component": "c", "depends_on": ["a"], "join": {"n": 1.0}},
        ],
        "output": ["{{each.output}}", "{{b.output}}"],
    }
    assert play(document, components={"c": 7}).output == [[7, 7, 7], 7]


@pytest.mark.parametrize("text", ["{{steps}}", "all: {{ steps }}", "{{ steps or 1 }}"])
def test_all_steps_together_are_no_value(text: str) -> None:
    taking = {"id": "b", "component": "c", "inputs": {"x": text}}
    document = {"id": "w", "steps": [{"id": "a", "component": "c"}, taking]}
    error = play(document, components={"c": 1}).error
    assert error is not None
    assert error["type"] == "ExpressionError"
    assert "name one, as in steps['id']" in error["message"]
    told = [x.code for x in validate(document).problems]
    assert told == ([] if " or " in text else ["misplaced_reference"])
