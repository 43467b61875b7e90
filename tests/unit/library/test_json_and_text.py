"""`json.transform` and `text.template`: their values, their errors, their bounds."""

from __future__ import annotations

from typing import Any

import pytest

from openagents_json.catalog.loader import load
from openagents_json.catalog.registry import Registry
from openagents_json.components import builtin
from openagents_json.components.decorators import tool
from openagents_json.components.errors import NonRetryableError
from openagents_json.components.library.template import template
from openagents_json.components.library.transform import transform

PEOPLE = [{"name": "Ada", "age": 36}, {"name": "Blaise", "age": 39}]


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("[].name", ["Ada", "Blaise"]),
        ("[?age > `36`].name | [0]", "Blaise"),
        ("{names: [].name, oldest: max_by(@, &age).name}",
         {"names": ["Ada", "Blaise"], "oldest": "Blaise"}),
        ("join(', ', [].name)", "Ada, Blaise"),
        ("[9].name", None),
    ],
)  # fmt: skip
def test_an_expression_selects_and_reshapes(expression: str, result: Any) -> None:
    assert transform(PEOPLE, expression) == result


@pytest.mark.parametrize("expression", ["[", "nothing(@)", "sum([].name)", "a" * 5000])
def test_a_wrong_expression_fails_at_once(expression: str) -> None:
    with pytest.raises(NonRetryableError, match="expression"):
        transform(PEOPLE, expression)


@pytest.mark.parametrize(
    "expression",
    [
        " | ".join(["[@, @]"] * 60),
        " | ".join(["[@, @][]"] * 60),
        " | ".join(["{a: @, b: @}"] * 60) + " | to_string(@)",
        "to_string(@) | " + " | ".join(["join('', [@, @])"] * 60),
        "(" * 1500 + "@" + ")" * 1500,
    ],
    ids=["nested", "flattened", "written", "joined", "deep"],
)
def test_an_expression_of_any_size_ends(expression: str) -> None:
    with pytest.raises(NonRetryableError, match=r"too dear|nested too deeply"):
        transform(PEOPLE, expression)


def test_a_text_is_filled_in() -> None:
    text = "Dear {{ name | upper }},{{ ' welcome!' if new }} {{ tags | join(', ') }} \\{{ as it is }}"
    assert (
        template(text, {"name": "Ada", "new": True, "tags": ["a", "b"]})
        == "Dear ADA, welcome! a, b {{ as it is }}"
    )


def test_an_object_stands_in_a_text_as_json() -> None:
    assert template("{{ a }} {{ b }}", {"a": {"x": 1}, "b": None}) == '{"x":1} '


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{ nme }}", "'nme', which is not among its values .there are: name."),
        ("{{ name ", "does not end"),
        ("{{ name.__class__.__mro__ | list }} {{ name() }}", "cannot be filled in"),
        ("{{ 1 / 0 }}", "cannot be filled in"),
        ("{{ 'a' * 9000000 }}", "cannot be filled in"),
        ("{{ name * 1000000 }}" * 9, "too much"),
    ],
)
def test_a_wrong_template_fails_at_once(text: str, reason: str) -> None:
    with pytest.raises(NonRetryableError, match=reason):
        template(text, {"name": "Ada"})


def test_they_come_with_the_engine() -> None:
    names = set(load([]).names())
    assert {"json.transform", "text.template"} <= names


def test_the_component_of_a_program_takes_the_place_of_one_of_the_library() -> None:
    @tool("json.transform", version="0.0.1")
    def own() -> None:
        """Be another one."""

    for order in ([builtin, own], [own, builtin]):
        registry = Registry()
        for thing in order:
            registry.add(thing)
        component = registry.find_own("json.transform")
        assert component is not None
        assert component.version == "0.0.1"
