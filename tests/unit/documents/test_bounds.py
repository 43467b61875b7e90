"""What costs too much is an error of its own, and the run goes its way; patterns take linear time."""

from __future__ import annotations

from typing import Any

import pytest

from openagents_json.workflow.core.parameters import check_inputs
from openagents_json.workflow.errors import InvalidInputs
from openagents_json.workflow.expressions import payload_schema
from openagents_json.workflow.expressions.budget import MAX_OPERATIONS
from openagents_json.workflow.expressions.payload_schema import (
    first_problem,
    why_no_schema,
)
from openagents_json.workflow.language.validate import validate
from tests.simulation import Simulation, plan_of, steps

COSTLY = "{{input.xs | select('in', input.xs) | list | length}}"
"""Looks each of many up among all: just over what one evaluation may do."""

MANY = {"xs": list(range(6_000))}


def document() -> dict[str, Any]:
    document = steps({"id": "a"}, {"id": "b", "inputs": {"k": COSTLY}})
    return {**document, "inputs": {"xs": {"type": "array"}}}


def test_an_expression_that_costs_too_much_fails_its_run_and_is_named() -> None:
    run = Simulation(plan_of(document()))
    run.start(**MANY)
    run.complete("a")
    assert run.state.status == "failed"
    assert run.state.error is not None
    assert COSTLY.strip("{}") in run.state.error["message"]
    assert f"more than {MAX_OPERATIONS:,} operations" in run.state.error["message"]


@pytest.mark.parametrize("pattern", ["(a|aa)+$", "^(a+)+$", "(.*)*x", r"^\d{3}\Z"])
def test_a_pattern_is_searched_for_in_linear_time(pattern: str) -> None:
    plan = plan_of(
        {**steps({"id": "a"}), "inputs": {"x": {"type": "string", "pattern": pattern}}}
    )
    with pytest.raises(InvalidInputs, match="does not match the pattern"):
        check_inputs(plan, {"x": "a" * 100 + "!\n"})


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(?=a)b", "looking ahead"),
        (r"(a)\1", "references to groups"),
        ("[", "missing ]"),
    ],
)
def test_a_pattern_that_is_not_linear_is_refused_with_the_document(
    pattern: str, why: str
) -> None:
    report = validate(
        {**steps({"id": "a"}), "inputs": {"x": {"type": "string", "pattern": pattern}}}
    )
    [problem] = report.errors
    assert (problem.code, problem.pointer) == ("invalid_pattern", "/inputs/x/pattern")
    assert why in problem.message
    waits = {
        "id": "a",
        "wait_for": {"signal": "go", "schema": {"patternProperties": {pattern: {}}}},
    }
    [problem] = validate({"id": "w", "steps": [waits]}).errors
    assert problem.code == "invalid_schema"


def test_the_end_of_a_pattern_is_the_end_of_the_text() -> None:
    plan = plan_of(
        {**steps({"id": "a"}), "inputs": {"x": {"type": "string", "pattern": "^a$"}}}
    )
    assert check_inputs(plan, {"x": "a"}) == {"x": "a"}
    with pytest.raises(InvalidInputs):
        check_inputs(plan, {"x": "a\n"})


def doubled(levels: int) -> dict[str, Any]:
    """Return a schema each of whose levels refers twice to the next."""
    named = {
        str(i): {"allOf": [{"$ref": f"#/$defs/{i + 1}"}] * 2} for i in range(levels)
    }
    return {"$defs": {**named, str(levels): {"type": "integer"}}, "$ref": "#/$defs/0"}


@pytest.mark.parametrize(
    ("schema", "payload", "reason"),
    [
        (doubled(4), 1, ""),
        (doubled(18), 1, "too much work"),
        ({"uniqueItems": True}, [[i] for i in range(6_000)], "too much work"),
        (
            {"patternProperties": {"^(a+)+$": {"type": "string"}}},
            {"a" * 50: 1},
            "is not of type 'string'",
        ),
        (
            {"patternProperties": {"^x": {}}, "additionalProperties": False},
            {"xa": 1, "b": 2},
            "Additional properties are not allowed: 'b'",
        ),
        (
            {"properties": {"a": {}}, "additionalProperties": {"type": "string"}},
            {"a": 1, "b": 2},
            "2 is not of type",
        ),
    ],
)
def test_a_payload_is_checked_within_a_budget(
    schema: Any, payload: Any, reason: str
) -> None:
    assert why_no_schema(schema) == ""
    problem = first_problem(schema, payload)
    assert (reason in problem) if reason else problem == ""


def test_each_payload_has_a_budget_of_its_own() -> None:
    costly = [[i] for i in range(2_000)]
    problems = [first_problem({"uniqueItems": True}, costly) for _ in range(8)]
    assert problems == [""] * 8


def test_what_checks_payloads_is_made_once() -> None:
    """To make it takes fifty times as long as to check a small payload with it."""
    assert payload_schema._validator() is payload_schema._validator()
