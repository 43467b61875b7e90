"""Validation takes time by the size of a document, whatever is wrong with it; counted in calls, not in seconds."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.validation import largest
from openagents_json.workflow.component_spec import ComponentSpec, Parameter
from openagents_json.workflow.errors import InvalidDefinition
from openagents_json.workflow.expressions.grammar import _compile
from openagents_json.workflow.language import sizes
from openagents_json.workflow.language.parse import MAX_BYTES, MAX_DEPTH
from openagents_json.workflow.language.problems import Collector, Report
from openagents_json.workflow.language.validate import validate

Make = Callable[[int], dict[str, Any]]


def steps(count: int, **options: Any) -> dict[str, Any]:
    documents = [
        {
            "id": f"s{i}",
            "component": "c",
            **{k: v(i) if callable(v) else v for k, v in options.items()},
        }
        for i in range(count)
    ]
    return {"id": "w", "steps": documents}


def nested(count: int) -> dict[str, Any]:
    return {
        "id": "w",
        "steps": [
            {"id": f"b{i}", "steps": [{"id": f"s{i}", "component": "c"}]}
            for i in range(count)
        ],
    }


def inputs(count: int, kind: str) -> dict[str, Any]:
    declared = {f"i{i}": {"type": kind, "default": "x"} for i in range(count)}
    used = {f"k{i}": f"{{{{input.j{i}}}}}" for i in range(count)}
    return {
        "id": "w",
        "inputs": declared,
        "steps": [{"id": "a", "component": "c", "inputs": used}],
    }


def connected(count: int, source: str = "s", name: str = "x") -> dict[str, Any]:
    ways = [
        {"source": f"{source}{i}.output", "target": f"s{i + 1}.{name}"}
        for i in range(count - 1)
    ]
    return {**steps(count), "connections": ways}


def gathered(count: int) -> dict[str, Any]:
    end = {"id": "end", "component": "c", "depends_on": [f"s{i}" for i in range(count)]}
    return {"id": "w", "steps": [*steps(count)["steps"], end]}


def gone_to(count: int) -> dict[str, Any]:
    held = steps(count, on_error=[{"then": {"goto": "end"}}])
    return {
        **held,
        "execution": "graph",
        "steps": [*held["steps"], {"id": "end", "component": "c"}],
    }


FORMS: dict[str, Make] = {
    "plain": steps,
    "expressions": lambda n: steps(
        n, inputs=lambda i: {"x": f"{{{{ input.a ~ 'x{i}' | upper }}}}"}
    ),
    "misspelt references": lambda n: steps(
        n, inputs=lambda i: {"x": f"{{{{ t{i}.output.y }}}}"}
    ),
    "misspelt inputs": lambda n: inputs(n, "string"),
    "wrong inputs": lambda n: inputs(n, "strin"),
    "misspelt dependencies": lambda n: steps(n, depends_on=lambda i: [f"t{i}"]),
    "misspelt connections": lambda n: connected(n, "q"),
    "unknown inputs of components": lambda n: connected(n, name="nope"),
    "connections": connected,
    "a join of all": gathered,
    "a goto of all": gone_to,
    "blocks": nested,
    "doubled ids": lambda n: steps(n, id="same"),
    "unknown options": lambda n: steps(n, retry={"max_retris": 1}, componet="c"),
    "wrong types": lambda n: steps(n, timeout="x"),
    "a circle": lambda n: steps(n, depends_on=lambda i: [f"s{(i + 1) % n}"]),
    "hyphens": lambda n: steps(
        n,
        id=lambda i: f"s-{i}",
        inputs=lambda i: {"x": f"{{{{ s-{i - 1}.output + 1 }}}}"},
    ),
    "waits": lambda n: steps(n, wait_for={"any": ["go", {"seconds": 5}]}),
    "calls of itself": lambda n: {
        "id": "w",
        "steps": [{"id": f"s{i}", "workflow": "w"} for i in range(n)],
    },
    "a long text": lambda n: steps(1, inputs={"x": "{{input.a}} " * n}),
}


class Components:
    """One component, with one input."""

    def find(self, reference: str) -> ComponentSpec | None:
        return (
            ComponentSpec("c", inputs=(Parameter("x"),)) if reference == "c" else None
        )

    def names(self) -> list[str]:
        return ["c"]


def calls_of(text: str) -> int:
    """Count the calls of functions while a text is validated."""
    count = 0

    def note(_: Any, event: str, __: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    _compile.cache_clear()
    before = sys.getprofile()
    sys.setprofile(note)
    try:
        validate(text, Components())
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("form", list(FORMS))
def test_a_document_twice_as_large_takes_no_more_than_twice_the_calls(
    form: str,
) -> None:
    validate(steps(1))  # what is imported and compiled once
    small, large = (json.dumps(FORMS[form](count)) for count in (150, 300))
    assert calls_of(large) < 2.3 * calls_of(small)


def only(report: Report) -> tuple[str, str]:
    [problem] = report.problems
    return problem.code, problem.message


@pytest.mark.parametrize(
    ("document", "what"),
    [
        (steps(sizes.MAX_STEPS + 1), "steps"),
        (nested(sizes.MAX_STEPS // 2 + 1), "steps"),
        (
            steps(1, depends_on=["a"] * (sizes.MAX_EDGES + 1)),
            "connections and dependencies",
        ),
        (steps(1, inputs={"x": [1] * sizes.MAX_VALUES}), "values"),
        (
            steps(1, inputs={"x": "{{input.a}}" * (sizes.MAX_EXPRESSIONS + 1)}),
            "expressions",
        ),
        (
            steps(62, inputs={"x": "{{ " + "1" * 4050 + " }}"}),
            "characters in expressions",
        ),
        (steps(62, condition="1" * 4050), "characters in expressions"),
    ],
)
def test_what_is_too_large_is_one_problem_that_says_what_to_do(
    document: dict[str, Any], what: str
) -> None:
    code, message = only(validate(json.dumps(document)))
    assert code == "too_large"
    assert f" {what}; split it into workflows" in message
    assert only(validate(document)) == (code, message)


@pytest.mark.parametrize("letter", ["x", "é", "\U0001f600"])
@pytest.mark.parametrize("as_bytes", [True, False])
def test_a_text_that_is_too_large_is_not_read_counted_in_bytes(
    letter: str, as_bytes: bool
) -> None:
    def text(size: int) -> str | bytes:
        begin, end, width = '{"id": "', '"}', len(letter.encode())
        letters = (size - len(begin) - len(end)) // width
        padded = begin + letter * letters + end
        padded += " " * (size - len(padded.encode()))
        return padded.encode() if as_bytes else padded

    code, message = only(validate(text(MAX_BYTES + 1)))
    assert code == "too_large"
    assert f"{MAX_BYTES:,} bytes; give large data as inputs" in message
    assert "too_large" not in {
        problem.code for problem in validate(text(MAX_BYTES)).problems
    }


def test_a_text_with_half_of_a_character_is_counted_too() -> None:
    assert only(validate("\ud83d" * (MAX_BYTES // 3 + 1)))[0] == "too_large"


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_what_is_nested_without_end_is_one_problem(opening: str) -> None:
    code, message = only(validate(opening * 100_000))
    assert code == "too_deep"
    assert "a workflow of its own" in message
    inner: Any = 1
    for _ in range(MAX_DEPTH + 1):
        inner = [inner] if opening == "[" else {"a": inner}
    assert only(validate(json.dumps(inner))) == (code, message)


@pytest.mark.parametrize(
    ("document", "severity", "left_out", "errors"),
    [
        (steps(1_500, timeout="x"), "error", 500, 500),
        (steps(600, timeout="x", **{"componet": "c"}), "warning", 200, 0),
        (steps(1_200, **{"componet": "c"}), "warning", 200, 0),
        (steps(1_500, timeout="x", **{"componet": "c"}), "error", 2_000, 500),
    ],
)
def test_a_report_says_how_many_problems_are_not_in_it(
    document: dict[str, Any], severity: str, left_out: int, errors: int
) -> None:
    report = validate(json.dumps(document))
    assert len(report.problems) == 1_001
    last = report.problems[-1]
    assert (last.code, last.severity, last.found, last.line) == (
        "more_problems",
        severity,
        left_out,
        1,
    )
    assert (
        f"{left_out:,} more problems are not shown (errors: {errors:,}" in last.message
    )
    assert report.valid == (not report.errors)


def test_what_refuses_a_document_counts_all_of_its_errors() -> None:
    report = validate(steps(1_500, timeout="x"))
    assert "(and 1499 more)" in str(InvalidDefinition(report))


def test_a_report_of_no_more_than_it_holds_says_nothing_of_more() -> None:
    report = validate(steps(1_000, timeout="x"))
    assert [problem.code for problem in report.problems] == [
        "schema_error.type"
    ] * 1_000


@pytest.mark.parametrize("number", ["1" * 5000, "-" + "9" * 5000, "1e400"])
def test_a_number_that_cannot_be_written_again_is_refused(number: str) -> None:
    text = json.dumps(steps(1, inputs={"x": "NUMBER"})).replace('"NUMBER"', number)
    assert only(validate(text))[0] in ("invalid_json", "not_json")


def test_a_doubled_name_is_found_in_an_object_of_very_many() -> None:
    text = json.dumps(steps(1, inputs={f"k{number}": 1 for number in range(50_000)}))
    text = text.replace('"k49999": 1', '"k49999": 1, "k7": 2')
    [problem] = validate(text).problems
    assert (problem.code, problem.found) == ("duplicate_key", "k7")


def test_each_problem_of_many_has_its_line() -> None:
    text = json.dumps(steps(300, timeout="x"), indent=1)
    lines = text.splitlines()
    lines_of_problems = [
        problem
        for problem in validate(text).problems
        if problem.pointer.endswith("/timeout")
    ]
    assert len(lines_of_problems) == 300
    assert all(
        problem.line and '"timeout": "x"' in lines[problem.line - 1]
        for problem in lines_of_problems
    )
    assert len({problem.line for problem in lines_of_problems}) == 300


def test_the_first_problems_have_suggestions() -> None:
    report = validate(steps(300, depends_on=lambda i: [f"s_{i}"]))
    assert report.problems[0].suggestion == "did you mean 's0'?"


@functools.cache
def largest_by_form() -> dict[str, dict[str, Any]]:
    """Return the largest documents; made once, as to make them takes longer than to check their sizes."""
    return largest()


@pytest.mark.parametrize("form", sorted(largest_by_form()))
def test_the_largest_documents_are_within_the_limits(form: str) -> None:
    """`benchmarks/validation.py` says how long they take."""
    collector = Collector()
    document = largest_by_form()[form]
    assert sizes.check_size(document, collector), collector.problems
    assert len(json.dumps(document)) <= MAX_BYTES


def test_long_names_over_many_values_are_counted_before_they_are_pointed_to() -> None:
    report = validate(
        {
            "id": "w",
            "inputs": {"n" * 3_000: [1] * 20_000},
            "steps": [{"id": "a", "component": "c"}],
        }
    )
    [problem] = report.problems
    assert problem.code == "too_large"
    assert "by long names" in problem.message
