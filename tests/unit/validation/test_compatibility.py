"""Whether what steps are given can be what their components take: surely not, maybe not, or nobody knows."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from openagents_json.catalog.registry import Registry
from openagents_json.workflow.language.problems import Problem
from openagents_json.workflow.language.validate import validate
from openagents_json.workflow.validation.modes import in_mode
from openagents_json.workflow.validation.schemas import comparison

CANNOT, MAY_NOT = "cannot_fit", "may_not_fit"


class Page(BaseModel):
    text: str
    words: list[str]


def read(path: str) -> Page:
    raise NotImplementedError


def count(n: int, factor: float = 1.0) -> int:
    raise NotImplementedError


def upper(text: str, mode: Literal["all", "first"] = "all") -> str:
    raise NotImplementedError


def listing() -> list[str]:
    raise NotImplementedError


def maybe() -> int | None:
    raise NotImplementedError


def anything(value: Any) -> Any:
    raise NotImplementedError


@pytest.fixture(scope="module")
def catalog() -> Registry:
    registry = Registry()
    for function in (read, count, upper, listing, maybe, anything):
        registry.tool(function)
    return registry


def document(step: dict[str, Any], **more: Any) -> dict[str, Any]:
    before = [
        {"id": "page", "component": "read", "inputs": {"path": "{{input.p}}"}},
        {"id": "number", "component": "count", "inputs": {"n": 1}},
        {"id": "lines", "component": "listing"},
        {"id": "odd", "component": "maybe"},
        {"id": "free", "component": "anything", "inputs": {"value": 1}},
    ]
    inputs = {
        "p": {"type": "string", "required": True},
        "k": {"type": "integer", "required": True},
        "w": {"type": "string", "enum": ["all", "none"], "required": True},
        "v": {"type": "string", "enum": ["x", "y"], "required": True},
        "u": {},
    }
    return {"id": "w", "inputs": inputs, "steps": [*before, step], **more}


def misfits(value: Any, catalog: Any, mode: Any = "normal") -> list[Problem]:
    report = in_mode(validate(value, catalog), mode)
    return [problem for problem in report.problems if problem.code in (CANNOT, MAY_NOT)]


def counting(n: Any, **more: Any) -> dict[str, Any]:
    return {"id": "s", "component": "count", "inputs": {"n": n}, **more}


def writing(text: Any, **inputs: Any) -> dict[str, Any]:
    return {"id": "s", "component": "upper", "inputs": {"text": text, **inputs}}


@pytest.mark.parametrize(
    ("step", "pointer", "words"),
    [
        (writing("{{number.output}}"), "text", "is an integer; 'text' of upper@"),
        (counting("{{page.output.text}}"), "n", "is a string; 'n' of count@"),
        (counting("{{page.output}}"), "n", "is an object; 'n' of count@"),
        (counting("{{page.output.words[0]}}"), "n", "is a string"),
        (counting("{{input.p}}"), "n", "is a string; 'n' of count@"),
        (counting("${lines.output}"), "n", "is an array of which each item is a"),
        (counting("{{item}}", foreach="{{lines.output}}"), "n", "is a string"),
        (counting("no {{number.output}}"), "n", "is a string"),
        (counting("5"), "n", "it is '5'; 'n' of count@0.1.0 takes an integer"),
        (writing("x", mode="{{input.v}}"), "mode", "is 'x' or 'y'; 'mode' of"),
        (writing("x", mode="last"), "mode", "it is 'last'"),
        (writing({"text": "x"}), "text", "it is"),
    ],
)
def test_what_can_never_be_taken_is_told_where_it_stands(
    catalog: Registry, step: dict[str, Any], pointer: str, words: str
) -> None:
    [problem] = misfits(document(step), catalog)
    assert (problem.code, problem.severity) == (CANNOT, "warning")
    assert problem.pointer == f"/steps/5/inputs/{pointer}"
    assert words in problem.message
    [strict] = misfits(document(step), catalog, "strict")
    assert strict.severity == "error"


@pytest.mark.parametrize(
    "step",
    [
        counting("{{number.output}}"),
        counting("{{input.k}}", factor="{{input.k}}"),
        counting(3.0),
        counting("{{free.output}}"),
        counting("{{free.output.x.y}}"),
        counting("{{input.u}}"),
        counting("{{page.output.text | int}}"),
        counting("{{page.output.text | length}}"),
        counting("{{item}}", foreach="{{free.output}}"),
        counting("{{item}}", foreach=[1, 2]),
        counting("{{index}}", foreach="{{lines.output}}"),
        counting("{{ number.output or page.output }}"),
        counting("{{odd.output}}"),
        writing("{{page.output.text}}"),
        writing("n is {{number.output}}"),
        writing("x", mode="{{input.w}}"),
        writing("{{lines.output[0]}}"),
        {"id": "s", "component": "anything", "inputs": {"value": "{{lines.output}}"}},
        {"id": "s", "component": "unknown", "inputs": {"n": "{{lines.output}}"}},
    ],
    ids=json.dumps,
)
def test_what_may_be_taken_is_no_finding_by_which_runs_are_started(
    catalog: Registry, step: dict[str, Any]
) -> None:
    assert misfits(document(step), catalog) == []


@pytest.mark.parametrize(
    ("step", "example"),
    [
        (counting("{{odd.output}}"), "so null would be refused"),
        (writing("x", mode="{{input.w}}"), "so 'none' would be refused"),
    ],
)
def test_what_is_refused_now_and_then_is_told_to_the_strict_with_an_example(
    catalog: Registry, step: dict[str, Any], example: str
) -> None:
    [problem] = misfits(document(step), catalog, "strict")
    assert (problem.code, problem.severity) == (MAY_NOT, "warning")
    assert problem.message.endswith(example)


def test_connections_and_handlers_are_looked_at_too(catalog: Registry) -> None:
    target = {"id": "s", "component": "upper"}
    connection = {"source": "number", "target": "s.text"}
    carried = document(target, connections=[connection])
    carried["execution"] = "graph"
    [problem] = misfits(carried, catalog)
    assert problem.pointer == "/connections/0/source"
    inside = {"id": "b", "steps": [counting("{{lines.output}}")]}
    [problem] = misfits(document(inside), catalog)
    assert problem.pointer == "/steps/5/steps/0/inputs/n"


@pytest.mark.parametrize(
    ("step", "suggestion"),
    [
        (writing("{{number.output}}"), "write {{ number.output | string }}"),
        (counting("5"), "write 5, without quotes"),
        (writing(5), 'write "5", in quotes'),
        (
            writing("{{lines.output}}"),
            "say foreach: {{ lines.output }}, and refer to {{item}} here",
        ),
    ],
)
def test_what_to_write_instead_is_said_where_it_is_known(
    catalog: Registry, step: dict[str, Any], suggestion: str
) -> None:
    [problem] = misfits(document(step), catalog)
    assert problem.suggestion == suggestion


class Line(BaseModel):
    name: str
    count: int = 1


class Order(BaseModel):
    lines: list[Line]
    note: str | None = None


def charge(order: Order) -> Order:
    raise NotImplementedError


def comparisons() -> int:
    counted = comparison._compare_texts.cache_info()
    return counted.hits + counted.misses


def test_what_is_written_out_is_validated_and_compared_with_nothing() -> None:
    """A comparison of schemas for each of many literal values has taken seconds."""
    registry = Registry()
    registry.tool(charge)
    order: Any = {"lines": [{"name": f"n{number}"} for number in range(40)]}
    step = {"id": "s", "component": "charge", "inputs": {"order": order}}
    before = comparisons()
    assert misfits({"id": "w", "steps": [step]}, registry) == []
    assert comparisons() == before
    order["lines"][7]["name"] = []
    [problem] = misfits({"id": "w", "steps": [step]}, registry)
    assert problem.pointer == "/steps/0/inputs/order/lines/7/name"
