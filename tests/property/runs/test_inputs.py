"""Whatever an expression or an input is: a value, or a reason."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as s

from openagents_json.workflow.core.parameters import check_inputs
from openagents_json.workflow.errors import (
    ExpressionError,
    ExpressionFailed,
    InvalidInputs,
)
from openagents_json.workflow.expressions.grammar import Expression
from tests.examples import examples
from tests.property.runs.test_documents import ANY_JSON
from tests.simulation import plan_of

TOKENS = "a b . | ( ) [ ] { } ' \" ~ + * ** // % not in is if else 1 2.5 , : upper sum map x for"


@settings(max_examples=examples(200), deadline=None)
@given(
    s.text(max_size=40)
    | s.lists(s.sampled_from(TOKENS.split()), max_size=12).map(" ".join)
)
def test_an_expression_is_total_and_gives_json(source: str) -> None:
    try:
        expression = Expression(source)
    except ExpressionError:
        return
    values = {"a": {"b": [1, 2]}, "b": "text", "x": 3}
    try:
        value = expression.evaluate(values.get)
    except ExpressionFailed:
        return
    json.dumps(value, allow_nan=False)


def test_an_integer_is_a_whole_number_however_it_is_written() -> None:
    declared = {
        "n": {"type": "integer"},
        "m": {"type": "integer", "default": 3.0},
        "x": {"type": "number"},
    }
    steps = [{"id": "a", "component": "c"}]
    plan = plan_of({"id": "w", "inputs": declared, "steps": steps})
    checked = check_inputs(plan, {"n": 2e0, "x": 2.0})
    assert repr(checked) == "{'n': 2, 'x': 2.0, 'm': 3}"


@settings(max_examples=examples(100), deadline=None)
@given(
    s.dictionaries(s.sampled_from(["x", "n", "o", "other"]), ANY_JSON, max_size=4)
    | ANY_JSON
)
def test_inputs_are_taken_or_refused_with_path_and_reason(inputs: Any) -> None:
    plan = plan_of(
        {
            "id": "w",
            "inputs": {
                "x": {"type": "string", "pattern": "^a+$", "default": "a"},
                "n": {"type": "number", "minimum": 0, "maximum": 5},
                "o": {"type": "object"},
            },
            "steps": [{"id": "a", "component": "c"}],
        }
    )
    try:
        taken = check_inputs(plan, inputs)
    except InvalidInputs:
        return
    assert set(taken) <= {"x", "n", "o"} | set(inputs)
    assert (taken["x"] or "").strip("a") == ""
    assert 0 <= (taken["n"] or 0) <= 5
