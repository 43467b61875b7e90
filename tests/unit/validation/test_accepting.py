"""What is taken as surely of the right shape is so, by the whole of JSON Schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from openagents_json.workflow.language.checks.accepting import accepting
from openagents_json.workflow.language.schema import SCHEMA, without_notes

DEFINITIONS = without_notes(SCHEMA)["$defs"]
STEP = {**DEFINITIONS["step"], "$defs": DEFINITIONS}
OPTIONS = DEFINITIONS["work"]["properties"]
ACCEPTS = accepting(STEP, DEFINITIONS)
VALID = Draft202012Validator(STEP)

PLAIN = {
    "id": "pay",
    "component": "pay@^1",
    "inputs": {"amount": "{{input.amount}}", "lines": [1, 2.5, None]},
    "depends_on": ["ask"],
    "timeout": 30,
    "retry": {"max_retries": 2, "delay_seconds": 1},
    "condition": "input.amount > 1",
}
NUMBERS = (-1, 0, 1, 2.5, 10**12)
TEXTS = ("", "a", "a b", "a\n", "any", "step", "x" * 5_000)
VALUES: tuple[Any, ...] = (
    None,
    True,
    *NUMBERS,
    *TEXTS,
    [],
    ["a"],
    [1],
    [[]],
    {},
    {"a": 1},
)


def keys_in(schema: Any) -> Iterator[str]:
    """Yield what objects of a schema may have, at any depth."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for inner in schema.values():
            yield from keys_in(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from keys_in(inner)


def test_a_plain_step_needs_no_full_look() -> None:
    assert ACCEPTS(PLAIN)
    assert not ACCEPTS({**PLAIN, "timeout": "x"})


@pytest.mark.parametrize("name", OPTIONS)
def test_what_is_accepted_fits_the_schema(name: str) -> None:
    inner = [{key: value} for key in {*keys_in(OPTIONS[name])} for value in VALUES]
    for member in (*VALUES, *inner, *([item] for item in inner)):
        step = {**PLAIN, name: member}
        assert not ACCEPTS(step) or VALID.is_valid(step), member


@pytest.mark.parametrize("step", [*VALUES, {"component": "a"}, {"id": 5}])
def test_what_is_no_step_is_not_accepted(step: Any) -> None:
    assert not ACCEPTS(step)
