"""Whatever a document, a template, an input or an expression is: a clear answer, never a traceback."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as s
from pydantic import ValidationError

from openagents_json.catalog.registry import Registry
from openagents_json.models import WorkflowDocument
from openagents_json.simulation.stubs import Stubs
from openagents_json.simulation.world import World
from openagents_json.workflow.component_spec import ComponentSpec
from openagents_json.workflow.core.commands import SendSignal
from openagents_json.workflow.core.parameters import check_inputs
from openagents_json.workflow.core.plan import canonical
from openagents_json.workflow.errors import (
    InvalidDefinition,
    InvalidInputs,
    Rejected,
)
from openagents_json.workflow.expressions.templates import TemplatePart
from openagents_json.workflow.language.bind import bind, bind_checked
from openagents_json.workflow.language.compile import compile_plan
from openagents_json.workflow.language.problems import Report
from openagents_json.workflow.language.schema import SCHEMA
from openagents_json.workflow.language.validate import check, validate
from tests.examples import examples
from tests.simulation import plan_of

ANY_JSON = s.recursive(
    s.none() | s.booleans() | s.integers() | s.floats() | s.text(max_size=20),
    lambda inner: (
        s.lists(inner, max_size=4)
        | s.dictionaries(s.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=12,
)
WORDS = s.sampled_from(
    [
        "a",
        "b",
        "a.output",
        "{{a.output}}",
        "{{ b.x | upper }}",
        "{{",
        "}}",
        "${a}",
        "\\{{",
        "input.x",
        "{{input.x}}",
        "{{ 9**9**9 }}",
        "{{ ''.__class__ }}",
        "{{a.output",
        "c.d",
        "{{steps['a'].output}}",
        "goto b",
        "*",
        "1.0.0",
        "0",
        "{{ range(9) }}",
        "{{ 'x' * 999999999 }}",
        "{% if %}",
        "{# #}",
        "a\n",
    ]
)
GOOD: dict[str, Any] = {
    "id": "w",
    "version": "1.0.0",
    "inputs": {"x": {"type": "string", "default": "y", "pattern": "y", "enum": ["y"]}},
    "steps": [
        {
            "id": "a",
            "component": "c",
            "inputs": {"k": "{{input.x}}"},
            "timeout": 1,
            "retry": {"max_retries": 1},
        },
        {
            "id": "b",
            "component": "c",
            "depends_on": ["a"],
            "condition": "{{a.output}}",
            "join": {"n": 1},
        },
        {
            "id": "each",
            "foreach": "{{input.x}}",
            "max_concurrency": 2,
            "tolerated_failures": 1,
            "min_success": 0,
            "steps": [
                {
                    "id": "in",
                    "component": "c",
                    "inputs": {"i": "{{item}}"},
                    "mutex": {"key": "k", "limit": 2},
                }
            ],
            "depends_on": ["a"],
        },
        {
            "id": "again",
            "loop": {
                "until": "{{t.output}}",
                "max_iterations": 3,
                "steps": [
                    {
                        "id": "t",
                        "component": "c",
                        "rate_limit": {"limit": 1, "per_seconds": 2},
                    }
                ],
            },
        },
        {
            "id": "nap",
            "sleep": {"hours": 1, "seconds": "{{input.x}}"},
            "timeouts": {"total": 5},
        },
        {
            "id": "wait",
            "wait_for": {
                "any": [
                    "go",
                    {"signal": "no", "key": "k", "schema": {}},
                    {"seconds": 5},
                ]
            },
        },
        {
            "id": "kid",
            "workflow": "other@^1.0.0",
            "detached": True,
            "compensate": {"component": "c", "inputs": {}},
        },
        {
            "id": "end",
            "terminate": "success",
            "depends_on": ["b"],
            "on_error": [{"then": "continue", "output": 1}],
        },
    ],
    "persistence": {"mode": "checkpoint", "every_steps": 3},
    "concurrency": {"key": "{{input.x}}", "limit": 2, "on_limit": "reject"},
    "debounce": {"seconds": 1},
    "on_failure": {
        "steps": [
            {"id": "tell", "component": "c", "inputs": {"e": "{{error.message}}"}}
        ]
    },
    "connections": [
        {
            "source": "a.output",
            "target": "b.k",
            "transform": "value",
            "condition": "{{value}}",
        }
    ],
    "outputs": {"o": {"type": "any", "source": "b.output"}},
    "output": {"r": "{{b.output}}"},
    "timeout": 10,
}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List the paths of a JSON value."""
    paths = [path]
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, item in items:
        paths += places(item, (*path, key))
    return paths


@s.composite
def damaged(draw: s.DrawFn) -> Any:
    """Draw the good document with a few places changed, removed or renamed."""
    document: Any = json.loads(json.dumps(GOOD))
    for _ in range(draw(s.integers(1, 4))):
        path = draw(s.sampled_from(places(document)))
        change = draw(ANY_JSON | WORDS | WORDS)
        if not path:
            return change
        holder = document
        for key in path[:-1]:
            holder = holder[key]
        match draw(s.sampled_from(["set", "set", "drop", "rename"])):
            case "set":
                holder[path[-1]] = change
            case "drop":
                del holder[path[-1]]
            case _ if isinstance(holder, dict):
                holder[draw(s.text(max_size=5) | WORDS)] = holder.pop(path[-1])
            case _:
                holder.append(change)
        if not isinstance(document, dict | list):
            break
    return document


class AnyComponent:
    """A catalog in which every component is there and takes anything."""

    def find(self, reference: str) -> ComponentSpec | None:
        return ComponentSpec(reference)

    def names(self) -> list[str]:
        return []


OTHER = {"id": "other", "steps": [{"id": "o", "component": "c"}]}


class Anything(dict[str, object]):
    """Stand-ins for every component there is."""

    def __contains__(self, name: object) -> bool:
        return True

    def __getitem__(self, name: str) -> object:
        return {"x": 1}


def checked(document: Any) -> Report:
    """Validate; each problem has a code and says something, and names a place that is there."""
    report = validate(document)
    for problem in report.problems:
        assert problem.code
        assert 0 < len(problem.message) < 2000
    assert report.valid == (not report.errors)
    try:
        bind(document, AnyComponent())
        bound = True
    except InvalidDefinition:
        bound = False
    assert bound == report.valid
    return report


@pytest.mark.slow
@settings(max_examples=examples(200), deadline=None)
@given(damaged())
def test_a_damaged_document_is_refused_clearly_or_runs(document: Any) -> None:
    if not checked(document).valid:
        return
    plan = plan_of(document)
    try:
        inputs = check_inputs(plan, {})
    except InvalidInputs:
        return
    world = World(Stubs(Anything(), Registry()), {"other": plan_of(OTHER)}, 0)
    life = world.start("0-r", plan, inputs)
    for _ in range(20):
        world.go_on(world.now_ms + 10**13)
        waits = [
            w
            for path in life.state.open_steps
            for w in life.state.steps[path].inputs.get("signals", ())
        ]
        if life.state.closed or not waits:
            break
        with suppress(Rejected):
            world.give(
                life,
                SendSignal(
                    str(waits[0]["name"]),
                    {},
                    waits[0]["key"],
                    f"signal-{len(life.events)}",
                ),
            )
    assert life.state.closed or waits


@pytest.mark.slow
@settings(max_examples=examples(150), deadline=None)
@given(s.just(GOOD) | damaged())
def test_a_plan_takes_the_expressions_that_validation_compiled_and_is_the_one_that_a_worker_compiles(
    document: Any,
) -> None:
    problems = check(document, AnyComponent())
    if not problems.report.valid:
        return
    assert problems.names is not None
    compiled = set(problems.names.forms)
    bound = bind_checked(problems, AnyComponent())
    here, elsewhere = compile_plan(bound), compile_plan(json.loads(bound.encoded))
    assert set(problems.names.forms) == compiled
    assert (bound.encoded, bound.hash) == (canonical(bound.content), elsewhere.hash)
    assert all_parts(here) == all_parts(elsewhere)


def all_parts(value: Any) -> list[Any]:
    """List the expressions of a plan, wherever they stand in it."""
    if isinstance(value, TemplatePart):
        return [(value.source, value.pointer, value.paths)]
    if is_dataclass(value):
        return [
            part
            for item in fields(value)
            for part in all_parts(getattr(value, item.name))
        ]
    items = (
        value.values()
        if isinstance(value, dict)
        else value
        if isinstance(value, tuple)
        else ()
    )
    return [part for item in items for part in all_parts(item)]


@settings(max_examples=examples(100), deadline=None)
@given(ANY_JSON | s.text() | s.binary() | s.builds(json.dumps, damaged()))
def test_anything_at_all_gets_a_report(document: Any) -> None:
    checked(document)


def test_ids_and_versions_hold_to_the_end_of_the_text() -> None:
    for key, value in (("id", "w\n"), ("version", "1.0.0\n")):
        report = validate({**GOOD, key: value})
        assert [p.code for p in report.errors] == ["schema_error.pattern"]
    assert SCHEMA["required"] == ["id", "steps"]


@pytest.mark.slow
@settings(max_examples=examples(200), deadline=None)
@given(damaged() | ANY_JSON)
def test_the_models_and_the_published_schema_say_the_same(document: Any) -> None:
    try:
        model = WorkflowDocument.model_validate(document)
    except ValidationError:
        model = None
    assume(not isinstance(document, str))  # a text is parsed
    problems = validate(document).errors
    assume(not any(p.code in ("not_json", "too_deep") for p in problems))
    structural = [p for p in problems if p.code.startswith("schema_error.")]
    structural = [
        p for p in structural if not p.message.startswith("a step needs one of")
    ]
    assert (model is None) == bool(structural), structural
    if model is not None:
        assert model.document == document
