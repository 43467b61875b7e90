"""Texts are read by the type that is declared, and what does not fit is told with what to write instead."""

from __future__ import annotations

from typing import Any

import pytest

from openagents_json.engine.errors import NotOfType
from openagents_json.engine.inputs.texts import (
    check_type,
    kind_of,
    kind_of_schema,
    read_text,
    wrong,
)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("3", "integer", 3),
        ("-3.0", "integer", -3),
        ("1e3", "integer", 1000),
        ("3", "number", 3),
        ("1.5", "number", 1.5),
        ("3", "string", "3"),
        ("", "string", ""),
        ("null", "string", "null"),
        ('"3"', "string", '"3"'),
        ("true", "string", "true"),
        ("true", "boolean", True),
        ("null", "boolean", None),
        ('["a", 1]', "array", ["a", 1]),
        ('{"a": [1]}', "object", {"a": [1]}),
        ("3", "any", 3),
        ("three", "any", "three"),
        ("", "any", ""),
        ('"3"', "any", "3"),
        ("NaN", "any", "NaN"),
        ("{{scheduled_time}}", "any", "{{scheduled_time}}"),
    ],
)
def test_a_text_is_read_by_its_type(text: str, kind: str, value: Any) -> None:
    read = read_text(text, kind)
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "kind", "proposals"),
    [
        ("many", "integer", ("3",)),
        ("3.5", "integer", ("3",)),
        ("03", "integer", ("3",)),
        ("", "integer", ("3",)),
        ("NaN", "number", ("1.5",)),
        ("1e999", "number", ("1.5",)),
        ("true", "number", ("1.5",)),
        ("yes", "boolean", ("true",)),
        ("False", "boolean", ("false",)),
        ("0", "boolean", ("false",)),
        ("perhaps", "boolean", ("true", "false")),
        ("a, b", "array", ('["a", "b"]',)),
        ("[1", "array", ('["a", "b"]',)),
        ("[1]", "object", ('{"name": "value"}',)),
        ('{"a": 1, "a": 2}', "object", ('{"name": "value"}',)),
        ("[draft", "any", ('"[draft"',)),
        ('{"a": 1', "any", ('"{\\"a\\": 1"',)),
    ],
)
def test_what_does_not_fit_is_refused_with_what_to_write(
    text: str, kind: str, proposals: tuple[str, ...]
) -> None:
    with pytest.raises(NotOfType) as told:
        read_text(text, kind)
    assert told.value.proposals == proposals
    message = wrong(kind, told.value, lambda proposal: f"<{proposal}>")
    assert f"<{proposals[0]}>" in message
    assert (kind == "any") or f"must be of type {kind}" in message
    assert repr(text)[1:-1] in message
    if kind != "any":
        read_text(proposals[0], kind)


@pytest.mark.parametrize(
    ("value", "kind", "proposal"),
    [
        ("3", "integer", "3"),
        (3, "string", '"3"'),
        (True, "string", '"true"'),
        (True, "integer", "3"),
        ("x", "number", "1.5"),
        ([1], "object", '{"name": "value"}'),
    ],
)
def test_a_value_of_another_type_is_told_with_json(
    value: Any, kind: str, proposal: str
) -> None:
    check_type(None, kind)
    with pytest.raises(NotOfType) as told:
        check_type(value, kind)
    assert told.value.proposals == (proposal,)


def test_deep_texts_are_refused_in_a_line() -> None:
    with pytest.raises(NotOfType) as told:
        read_text("[" * 100_000, "any")
    message = wrong("any", told.value, lambda _: "")
    assert "nested too deeply" in message
    assert len(message) < 300


def test_a_parameter_without_a_type_has_that_of_its_values() -> None:
    assert kind_of({"enum": ["1", "2"]}) == "string"
    assert kind_of({"enum": [1, 2]}) == "any"
    assert kind_of({"pattern": "^[0-9]+$"}) == "string"
    assert kind_of({"type": "any"}) == "any"
    assert kind_of(None) == "any"


def test_the_type_of_a_payload_is_that_of_its_schema() -> None:
    assert kind_of_schema({"type": "string"}) == "string"
    assert kind_of_schema({"type": ["integer", "null"]}) == "integer"
    assert kind_of_schema({"type": ["integer", "string"]}) == "any"
    assert kind_of_schema({"enum": ["yes", "no"]}) == "string"
    assert kind_of_schema({"const": "yes"}) == "string"
    assert kind_of_schema({"enum": [1, "no"]}) == "any"
    assert kind_of_schema(True) == "any"
    assert kind_of_schema(None) == "any"
