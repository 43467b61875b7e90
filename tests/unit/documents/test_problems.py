"""The problems of a document: each is told once, whatever the document is."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from openagents_json.workflow.language.validate import validate

STEP = {"id": "a", "component": "quick"}


@pytest.mark.parametrize(
    ("value", "codes"),
    [
        ("{{nam}}", ["unknown_reference"]),
        ("{{nope.x}}", ["missing_referenced_step"]),
        ("{{nope.x.y}} and {{nope.x}}", ["missing_referenced_step"] * 2),
        ("{{nope.x or other}}", ["missing_referenced_step", "unknown_reference"]),
    ],
)
def test_a_reference_to_nothing_is_one_problem(value: str, codes: list[str]) -> None:
    problems = validate({"id": "w", "steps": [{**STEP, "inputs": {"v": value}}]})
    assert sorted(problem.code for problem in problems.problems) == codes
    assert set(
        Counter(
            (problem.pointer, problem.message) for problem in problems.problems
        ).values()
    ) == {1}


@pytest.mark.parametrize(
    "wrong", [{"inputs": "{{"}, {"inputs": ["x"]}, {"retry": "often"}, {"timeout": []}]
)
@pytest.mark.parametrize("kind", ["component", "workflow"])
def test_what_a_document_does_on_failure_is_looked_at_like_a_step(
    kind: str, wrong: dict[str, Any]
) -> None:
    document = {"id": "w", "steps": [STEP], "on_failure": {kind: "quick", **wrong}}
    assert not validate(document).valid
    assert validate({**document, "on_failure": {kind: "quick"}}).valid


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("steps", 0, "id"), {"b": 1, "a": 2}),
        (("inputs", "x"), {"default": "y", "enum": [{"b": 1, "a": 2}]}),
        (("steps", 0, "wait_for"), {"schema": {"required": {"b": 1, "a": 2}}}),
    ],
)
def test_what_a_problem_quotes_does_not_depend_on_the_order_of_names(
    path: tuple[Any, ...], value: Any
) -> None:
    document: dict[str, Any] = {
        "id": "w",
        "inputs": {},
        "steps": [{"id": "a", "component": "c"}],
    }
    holder: Any = document
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    messages = {problem.message for problem in validate(json.dumps(document)).problems}
    assert messages
    in_order = json.dumps(document, sort_keys=True)
    assert messages == {problem.message for problem in validate(in_order).problems}


def test_very_many_choices_are_not_all_named() -> None:
    document = {
        "id": "w",
        "steps": [STEP],
        "inputs": {"x": {"default": "no", "enum": [f"c{i}" for i in range(9_000)]}},
    }
    [problem] = validate(document).problems
    assert problem.message.endswith("'c19', 8980 others")


@pytest.mark.parametrize(
    ("more", "code", "pointer"),
    [
        ({"outputs": [1]}, "schema_error.type", "/steps/0/compensate"),
        ({"priority": "high"}, "schema_error.type", "/steps/0/compensate"),
        (
            {"condition": "{{ 1 + }}"},
            "expression_error",
            "/steps/0/compensate/condition",
        ),
    ],
)
def test_options_of_a_compensation_that_a_step_cannot_have_are_problems(
    more: dict[str, Any], code: str, pointer: str
) -> None:
    report = validate(
        {"id": "w", "steps": [{**STEP, "compensate": {"component": "c", **more}}]}
    )
    assert [(problem.code, problem.pointer) for problem in report.errors] == [
        (code, pointer)
    ]


def test_options_of_a_compensation_that_a_step_can_have_are_none() -> None:
    undo = {
        "component": "c",
        "timeouts": {"total": 5},
        "effect": "pure",
        "condition": "{{result}}",
    }
    assert validate({"id": "w", "steps": [{**STEP, "compensate": undo}]}).problems == ()


def test_every_expression_of_a_value_that_cannot_be_compiled_is_told() -> None:
    inputs = {
        "b": "{{ 1 + }} and {{ 2 + }}",
        "a": ["{{ x y }}", "{{ nope }}"],
        "c": "{{ no end",
    }
    step = {**STEP, "inputs": inputs, "condition": "1 +"}
    report = validate(
        {"id": "w", "steps": [step], "output": [{"z": "{{"}, {"y": "{{ ) }}"}]}
    )
    problems = sorted((problem.code, problem.pointer) for problem in report.problems)
    assert problems == [
        ("expression_error", "/output/0/z"),
        ("expression_error", "/output/1/y"),
        ("expression_error", "/steps/0/condition"),
        ("expression_error", "/steps/0/inputs/a/0"),
        ("expression_error", "/steps/0/inputs/b"),
        ("expression_error", "/steps/0/inputs/b"),
        ("expression_error", "/steps/0/inputs/c"),
        ("unknown_reference", "/steps/0/inputs/a/1"),
    ]


def test_every_value_that_is_not_json_is_told_in_words() -> None:
    step: dict[str, Any] = {
        **STEP,
        "inputs": {"b": float("nan"), "a": {1, 2}, "c": [10**5000], 7: 1},
        "timeout": float("inf"),
    }
    report = validate({"id": "w", "steps": [step]})
    assert {(problem.code, problem.pointer) for problem in report.problems} == {
        ("not_json", "/steps/0/inputs"),
        ("not_json", "/steps/0/timeout"),
    }
    del step["inputs"][7]
    report = validate({"id": "w", "steps": [step]})
    messages = {problem.pointer: problem.message for problem in report.problems}
    assert sorted(messages) == [
        *(f"/steps/0/inputs/{path}" for path in ("a", "b", "c/0")),
        "/steps/0/timeout",
    ]
    assert "of type set is not JSON" in messages["/steps/0/inputs/a"]
    assert "a number that is nan" in messages["/steps/0/inputs/b"]
    assert "so many digits" in messages["/steps/0/inputs/c/0"]


def test_a_number_of_a_text_that_is_too_large_is_told_in_words() -> None:
    text = json.dumps({"id": "w", "steps": [{**STEP, "timeout": 0}]}).replace(
        ": 0", ": 1e999"
    )
    [problem] = validate(text).problems
    assert (problem.code, problem.pointer) == ("not_json", "/steps/0/timeout")
    assert "a number that is inf" in problem.message


@pytest.mark.parametrize(
    ("step", "pointer"),
    [
        ({"id": "nap", "sleep": "5s"}, "/steps/0/sleep"),
        ({"id": "nap", "sleep": "-1"}, "/steps/0/sleep"),
        ({"id": "nap", "sleep": {"minutes": "soon"}}, "/steps/0/sleep/minutes"),
        ({"id": "nap", "sleep": {"until": "tomorrow"}}, "/steps/0/sleep/until"),
        (
            {"id": "nap", "wait_for": {"any": [{"signal": "go"}, {"sleep": "5s"}]}},
            "/steps/0/wait_for/any/1/sleep",
        ),
        (
            {"id": "nap", "wait_for": {"any": [{"signal": "go"}, {"until": "noon"}]}},
            "/steps/0/wait_for/any/1/until",
        ),
        (
            {"id": "nap", "wait_for": {"any": [{"signal": "go"}, {"hours": "x"}]}},
            "/steps/0/wait_for/any/1/hours",
        ),
    ],
)
def test_a_text_that_can_be_no_time_is_told_before_a_run_waits_for_it(
    step: dict[str, Any], pointer: str
) -> None:
    report = validate({"id": "w", "steps": [step]})
    assert [(problem.code, problem.pointer) for problem in report.errors] == [
        ("invalid_time", pointer)
    ]


@pytest.mark.parametrize(
    "sleep", ["5", "0.5", "{{ input.s }}", {"hours": "2", "minutes": "{{ input.s }}"}]
)
def test_texts_of_numbers_and_templates_are_times(sleep: Any) -> None:
    document = {
        "id": "w",
        "inputs": {"s": {"type": "integer"}},
        "steps": [{"id": "nap", "sleep": sleep}],
    }
    assert validate(document).errors == ()
    waits = {
        "id": "w",
        "steps": [{"id": "nap", "wait_for": {"any": ["go", {"seconds": "20"}]}}],
    }
    assert validate(waits).errors == ()
