"""Schemas compared: what is said of all values that are valid under a schema holds for each of them."""

from __future__ import annotations

from typing import Any, Literal, Union

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from openagents_json.catalog.registry import Registry
from openagents_json.components.errors import InvalidComponentInput
from openagents_json.workflow.validation.schemas.callees import Callees
from openagents_json.workflow.validation.schemas.comparison import Fit, compare
from openagents_json.workflow.validation.schemas.members import any_item, at_path
from openagents_json.workflow.validation.schemas.references import without_references
from tests.examples import examples

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


def is_something(value: Any) -> bool:
    return value is not None


@settings(max_examples=examples(25), deadline=None)
@given(SCHEMAS, SCHEMAS, st.lists(VALUES, min_size=10, max_size=20))
def test_what_is_said_of_all_values_holds_for_each(
    one: Any, other: Any, values: list[Any]
) -> None:
    comparison = compare(without_references(one), without_references(other))
    if comparison.fit is Fit.CANNOT_FIT:
        for value in filter(is_something, values):
            assert not (is_valid(one, value) and is_valid(other, value))
    if comparison.fit is Fit.MAY_NOT_FIT:
        assert is_valid(one, comparison.example)
        assert not is_valid(other, comparison.example)
    union = {"anyOf": [without_references(one), without_references(other)]}
    assert compare(without_references(one), union).fit is Fit.UNKNOWN


@settings(max_examples=examples(25), deadline=None)
@given(SCHEMAS, st.lists(VALUES, min_size=10, max_size=20))
def test_what_is_said_of_a_part_holds_for_that_part_of_each_value(
    schema: Any, values: list[Any]
) -> None:
    """References lead into results by keys, and foreach takes their items."""
    whole = without_references(schema)
    for value in values:
        if not is_valid(schema, value):
            continue
        if isinstance(value, dict):
            for name, member in value.items():
                assert is_valid(at_path(whole, [name]), member)
        if isinstance(value, list):
            for index, item in enumerate(value):
                assert is_valid(at_path(whole, [index]), item)
                assert is_valid(any_item(whole), item)


@settings(max_examples=examples(25), deadline=None)
@given(SCHEMAS, SCHEMAS, st.lists(VALUES, min_size=10, max_size=20))
def test_that_null_is_taken_too_hides_nothing_of_other_values(
    one: Any, other: Any, values: list[Any]
) -> None:
    """Inputs that need not be given take null: whoever gives something else is compared all the same."""
    optional = {"anyOf": [without_references(other), {"type": "null"}]}
    if compare(without_references(one), optional).fit is Fit.CANNOT_FIT:
        for value in filter(is_something, values):
            assert not (is_valid(one, value) and is_valid(optional, value))


NUMERALS = st.sampled_from(["1", " -2 ", "1_0", "1.0", "0.5", "1e3", "nan", "true"])
GIVEN = st.recursive(
    SCALARS | NUMERALS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner),
    max_leaves=3,
)
HINTS = st.recursive(
    st.sampled_from([int, str, bool, float, None, Literal["a", "b"], Literal[1, "a"]]),
    lambda inner: st.one_of(
        inner.map(lambda hint: list[hint]),  # type: ignore[valid-type]
        inner.map(lambda hint: dict[str, hint]),  # type: ignore[valid-type]
        st.tuples(inner, inner).map(lambda hints: tuple[hints]),  # type: ignore[valid-type]
        st.lists(inner, min_size=1, max_size=3).map(
            lambda hints: Union[(*hints, None)]
        ),
    ),
    max_leaves=4,
)


@settings(max_examples=examples(25), deadline=None)
@given(HINTS, st.lists(GIVEN, min_size=10, max_size=20))
def test_what_a_component_takes_at_a_run_fits_what_is_said_of_it(
    hint: Any, values: list[Any]
) -> None:
    def take(x: Any) -> None:
        del x

    take.__annotations__ = {"x": hint}
    registry = Registry()
    registry.tool(take)
    component = registry.resolve("take")
    taken = Callees(registry).parameter(component.spec, "x").schema
    for value in values:
        try:
            component.signature.bind({"x": value})
        except InvalidComponentInput:
            continue
        assert compare({"const": value}, taken).fit is Fit.UNKNOWN
