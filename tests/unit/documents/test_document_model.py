"""The model of the document: what it says of an option is what the schema says, and what the compiler does."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from openagents_json import WorkflowDocument
from openagents_json.workflow.core.plan import Plan
from openagents_json.workflow.expressions.templates import TemplatePart
from openagents_json.workflow.language.compile import compile_plan
from openagents_json.workflow.language.document import (
    Concurrency,
    Document,
    Parameter,
    Persistence,
)
from openagents_json.workflow.language.options import Object
from openagents_json.workflow.language.schema import SCHEMA, without_notes
from openagents_json.workflow.language.steps import (
    Count,
    Ending,
    Loop,
    Mutex,
    RateLimit,
    Retry,
    Step,
    Timeouts,
)
from openagents_json.workflow.language.validate import validate

INNER = [{"id": "inner", "component": "c"}]
WHOLE: dict[str, Any] = {
    "id": "w",
    "inputs": {"x": {}},
    "steps": [
        {
            "id": "a",
            "component": "c",
            "retry": {},
            "timeouts": {},
            "mutex": {"key": "k"},
            "rate_limit": {"limit": 3},
        },
        {
            "id": "b",
            "component": "c",
            "foreach": [{"x": 1}],
            "inputs": {"v": "{{item.x}}{{index}}"},
        },
        {"id": "many", "component": "c", "foreach": [1, 2], "enough": {"n": 1}},
        {"id": "again", "loop": {"max_iterations": 3, "steps": INNER}},
        {"id": "other", "workflow": "w2"},
        {"id": "end", "terminate": {}},
    ],
    "persistence": {"mode": "checkpoint"},
    "concurrency": {"limit": 2},
}
PLACES: list[tuple[str, type[Object]]] = [
    ("", Document),
    ("inputs/x", Parameter),
    ("steps/0", Step),
    ("steps/0/retry", Retry),
    ("steps/0/timeouts", Timeouts),
    ("steps/0/mutex", Mutex),
    ("steps/0/rate_limit", RateLimit),
    ("steps/1", Step),
    ("steps/2/enough", Count),
    ("steps/3/loop", Loop),
    ("steps/4", Step),
    ("steps/5/terminate", Ending),
    ("persistence", Persistence),
    ("concurrency", Concurrency),
]


def at(document: Any, path: str) -> Any:
    for key in filter(None, path.split("/")):
        document = document[int(key) if key.isdigit() else key]
    return document


def compiled(document: dict[str, Any]) -> Any:
    assert validate(document).valid
    return shown(compile_plan({"document": document, "bindings": {}}))


def shown(value: Any) -> Any:
    """Return a plan as plain values, without the document that it came from."""
    if isinstance(value, TemplatePart):
        return (value.source, value.pointer)
    if is_dataclass(value):
        left_out = (
            {"hash", "definition", "encoded", "parameters"}
            if isinstance(value, Plan)
            else set()
        )
        names = [item.name for item in fields(value) if item.name not in left_out]
        return {name: shown(getattr(value, name)) for name in names}
    if isinstance(value, dict):
        return {name: shown(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [shown(item) for item in value]
    return "a function" if callable(value) else value


@pytest.mark.parametrize(
    ("path", "kind"), PLACES, ids=[path or "document" for path, _ in PLACES]
)
def test_what_has_a_default_may_say_it_and_means_the_same(
    path: str, kind: type[Object]
) -> None:
    before = compiled(WHOLE)
    defaults = {
        name: item.default
        for name, item in kind.options.items()
        if item.default is not None
    }
    assert defaults
    for name, default in defaults.items():
        document = copy.deepcopy(WHOLE)
        at(document, path).setdefault(name, default)
        assert compiled(document) == before, name


def test_the_schema_says_the_defaults_and_what_each_option_means() -> None:
    retry = SCHEMA["$defs"]["retry"]["properties"]
    assert (retry["max_retries"]["default"], retry["delay_seconds"]["default"]) == (
        3,
        5,
    )
    schemas = [SCHEMA, *SCHEMA["$defs"].values()]
    silent = [
        name
        for schema in schemas
        for name, form in schema.get("properties", {}).items()
        if not form.get("description")
    ]
    assert silent == []


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Return all objects of a schema that have properties, however deep they stand."""
    if isinstance(schema, list):
        for inner in schema:
            yield from objects(inner)
    if isinstance(schema, dict):
        if "properties" in schema:
            yield schema
        for name, inner in schema.items():
            if name in ("properties", "$defs"):
                yield from objects(list(inner.values()))
            elif name not in ("examples", "default", "enum"):
                yield from objects(inner)


def test_each_property_says_what_it_means_with_an_example_that_fits() -> None:
    count = 0
    for holder in objects(SCHEMA):
        for name, form in holder["properties"].items():
            assert form.get("description"), name
            assert form.get("examples"), name
            part = {**form, "$defs": SCHEMA["$defs"]}
            for shown in form["examples"]:
                assert Draft202012Validator(part).is_valid(shown), (name, shown)
                assert shown != form.get("default"), "an example says something"
            count += 1
    assert count > 150
    assert SCHEMA["$id"] == "urn:openagents-json:workflow", "programs refer to it"
    Draft202012Validator.check_schema(SCHEMA)


def test_what_is_said_to_people_makes_no_document_valid_or_not() -> None:
    rules = json.dumps(without_notes(SCHEMA))
    assert '"default": {"description"' not in rules
    assert "examples" not in rules
    assert without_notes(
        {
            "type": "object",
            "properties": {"default": {"description": "x", "default": 1}},
        }
    ) == {
        "type": "object",
        "properties": {"default": True},
    }


def test_an_object_reads_what_the_document_says_and_else_its_defaults() -> None:
    step = Step(
        {
            "id": "a",
            "retry": {"max_attempts": 2, "delay_seconds": None},
            "mutex": "k",
            "priority": 0,
        }
    )
    assert step.retry is not None
    assert (step.retry.max_retries, step.retry.delay_seconds) == (2, 5)
    assert step.mutex is not None
    assert (step.mutex.key, step.mutex.limit) == ("k", 1)
    assert (step.enough, step.says("priority"), step.says("enough")) == (
        None,
        True,
        False,
    )


def test_programs_write_documents_with_the_same_defaults() -> None:
    model = WorkflowDocument(
        id="w", steps=[{"id": "a", "component": "c", "retry": {"delay_seconds": 1}}]
    )
    [step] = model.steps
    assert (model.version, step.retry.max_retries, step.join, step.mutex) == (
        "1.0.0",
        3,
        "all",
        None,
    )
    assert model.document == {
        "id": "w",
        "steps": [{"id": "a", "component": "c", "retry": {"delay_seconds": 1}}],
    }


def test_what_runs_on_failure_is_checked_in_models_as_in_the_schema() -> None:
    document = {
        "id": "w",
        "steps": [{"id": "a", "component": "c"}],
        "on_failure": {"component": "c", "timeout": "x"},
    }
    assert not validate(document).valid
    with pytest.raises(ValidationError):
        WorkflowDocument.model_validate(document)
