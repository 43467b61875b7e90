"""Schemas compared: what is said of all values that are valid under a schema holds for each of them."""

from __future__ import annotations

from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from openagents_json.workflow.validation.schemas.comparison import Fit, compare
from openagents_json.workflow.validation.schemas.references import without_references

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 6),
    st.sampled_from([0.5, 2.0, -1.5]),
    st.text("ab", max_size=3),
)
NAMES = st.sampled_from(["p", "q", "$ref", "definitions"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)
    ),
    max_leaves=5,
)
TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"]


def rules(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return objects of schemas with some keywords, also such as are not understood."""
    whole = st.integers(0, 3)
    number = st.integers(-3, 6)
    some = st.lists(inner, min_size=1, max_size=2)
    one_type = st.sampled_from(TYPES)
    several_types = st.lists(one_type, min_size=1, unique=True)
    options = {
        "type": st.one_of(one_type, several_types),
        "enum": st.lists(SCALARS, min_size=1, max_size=3),
        "const": VALUES,
        **dict.fromkeys(["minimum", "maximum"], number),
        **dict.fromkeys(["exclusiveMinimum", "exclusiveMaximum"], number),
        "multipleOf": st.sampled_from([1, 2, 3, 0.5]),
        **dict.fromkeys(["minLength", "maxLength", "minItems", "maxItems"], whole),
        **dict.fromkeys(["minProperties", "maxProperties"], whole),
        "pattern": st.sampled_from(["a", "b"]),
        "uniqueItems": st.booleans(),
        "items": inner,
        "prefixItems": some,
        "properties": st.dictionaries(NAMES, inner, max_size=2),
        "patternProperties": st.dictionaries(st.sampled_from(["p", "."]), inner),
        "additionalProperties": inner,
        "required": st.lists(st.sampled_from(["p", "q"]), unique=True),
        **dict.fromkeys(["anyOf", "oneOf", "allOf"], some),
        **dict.fromkeys(["not", "if", "then", "else"], inner),
        "$ref": st.just("#/$defs/d"),
    }
    names = st.lists(st.sampled_from(sorted(options)), max_size=3, unique=True)
    return names.flatmap(
        lambda chosen: st.fixed_dictionaries({name: options[name] for name in chosen})
    )


PARTS = st.recursive(st.booleans(), rules, max_leaves=4)
SCHEMAS = st.builds(
    lambda schema, inner: {**schema, "$defs": {"d": inner}}, rules(PARTS), PARTS
)


def is_valid(schema: Any, value: Any) -> bool:
    try:
        return Draft202012Validator(schema).is_valid(value)
    except RecursionError:
        assume(False)
        raise


@settings(max_examples=25, deadline=None)
@given(SCHEMAS, SCHEMAS, st.lists(VALUES, min_size=10, max_size=20))
def test_what_is_said_of_all_values_holds_for_each(
    one: Any, other: Any, values: list[Any]
) -> None:
    comparison = compare(without_references(one), without_references(other))
    if comparison.fit is Fit.CANNOT_FIT:
        for value in values:
            assert not (is_valid(one, value) and is_valid(other, value))
    if comparison.fit is Fit.MAY_NOT_FIT:
        assert is_valid(one, comparison.example)
        assert not is_valid(other, comparison.example)
    union = {"anyOf": [without_references(one), without_references(other)]}
    assert compare(without_references(one), union).fit is Fit.UNKNOWN
