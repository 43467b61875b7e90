"""What an expression may cost: harmless data just over a bound, counted in operations."""

from __future__ import annotations

from typing import Any

import pytest

from openagents_json.testing import play
from openagents_json.workflow.errors import ExpressionError, ExpressionFailed
from openagents_json.workflow.expressions.budget import MAX_ITEMS, MAX_TEXT, Budget
from openagents_json.workflow.expressions.functions.members import OF_TEXTS
from openagents_json.workflow.expressions.grammar import FILTERS, TESTS, Expression
from openagents_json.workflow.language.validate import validate

WIDE = "".join(map(chr, range(0x4E00, 0x4E00 + 1001)))
DATA: dict[str, Any] = {
    "text": "x" * 100_000,
    "words": "x " * 50_000,
    "list": list(range(100_000)),
    "texts": ["x" * 10_000] * 200,
    "nested": [["x"] * 1000 for _ in range(1001)],
    "same": [["x"] * 1000 for _ in range(1001)],
    "format": "%1000000000d",
    "wide": WIDE,
    "digits": "1" * 4301,
    "one": 1,
}


def value_of(source: str, budget: Budget | None = None) -> Any:
    return Expression(source).evaluate(DATA.get, "/steps/0/inputs/x", budget)


@pytest.mark.parametrize(
    "source",
    [
        "text * 81",
        "list * 11",
        "([list] * 30) | sum(start=[])",
        "10 ** 10001",
        "(2 ** 9000) * (2 ** 9000)",
        "format % one",
        "format is odd",
        "format is even",
        "format is divisibleby(2)",
        "[format] | select('odd')",
        "([text] * 81) | join",
        "([1, 2] * 90) | join(text)",
        "([text] * 81) | string",
        "([text] * 81) ~ ''",
        "text | replace('x', 'x' * 81)",
        "text.replace('x', 'x' * 81)",
        "text.replace('', 'x' * 81)",
        "text | trim(wide)",
        "text.strip(wide)",
        "text.lstrip(wide)",
        "digits | int",
        "digits | int(0, 36)",
        "digits | float",
        "one | round(401, 'ceil')",
        "one | round(1000000000, 'floor')",
        "one | tojson(17)",
        "([text] * 1300) | tojson",
        "([nested] * 3) | sort",
        "[nested, nested, nested] | max",
        "[nested] * 3 == [same] * 3",
        "[nested, nested, nested] | map('string') | list",
        "[nested, nested, nested] in [[same, same, same]]",
        "[nested] * 3",
        "{'a': [nested] * 3}",
        "(list * 10) | map('string') | map('int') | list",
        "(list * 9) | select('odd') | map('string') | join | length",
        "(words * 20) | list",
        "text.split('x') * 11",
        "(text * 80).split('x')",
        "-" * 201 + "1",
        "1" + " + 1" * 201,
    ],
)
def test_what_would_grow_is_stopped_with_an_error_that_names_it(source: str) -> None:
    with pytest.raises((ExpressionFailed, ExpressionError)) as failed:
        value_of(source)
    error: Any = failed.value
    assert error.expression == source
    assert any(
        word in error.reason
        for word in (
            "operations",
            "too l",
            "not available",
            "more than",
            "places",
            "indent",
        )
    ), error.reason


@pytest.mark.parametrize(
    ("source", "size"),
    [
        ("text * 80", MAX_TEXT),
        ("(list * 10) | length", MAX_ITEMS),
        ("([text] * 79) | join | length", 79 * 100_000),
        ("text | replace('x', 'xx') | length", 200_000),
        ("list | map('string') | join | length", 488_890),
        ("nested == same", None),
        ("list | sum", None),
        ("list | sort | first", None),
    ],
)
def test_what_is_within_the_bounds_is_done(source: str, size: int | None) -> None:
    result = value_of(source)
    assert size is None or (len(result) if isinstance(result, str) else result) == size


def test_the_same_data_cost_the_same_each_time() -> None:
    left = []
    for _ in range(2):
        budget = Budget()
        value_of(
            "list | select('odd') | map('string') | sort | join(',') | length", budget
        )
        left.append(budget.left)
    assert left[0] == left[1] < Budget().left


def test_numbers_that_python_puts_in_one_place_are_told_apart_in_passing() -> None:
    """Multiples of 2**61 - 1 all have the hash 0: a set of them would compare each with all others."""
    numbers = [factor * (2**61 - 1) for factor in range(20_000)]
    count = Expression("xs | unique | length").evaluate(
        {"xs": [*numbers, *numbers, float(2**61)]}.get
    )
    assert count == 20_001


def test_nothing_is_computed_when_a_document_is_validated() -> None:
    for source in (
        "'x' * 8000001",
        "1 | round(1000000000, 'ceil')",
        "10 ** 10001",
        "'%1000000000d' is odd",
    ):
        document = {
            "id": "w",
            "steps": [
                {"id": "a", "component": "c", "inputs": {"x": f"{{{{ {source} }}}}"}}
            ],
        }
        assert validate(document).valid, source
        done = play(document, components={"c": lambda x: x}).assert_failed(
            "ExpressionError"
        )
        assert done.error is not None
        assert (done.error["expression"], done.error["pointer"]) == (
            source,
            "/steps/0/inputs/x",
        )


def test_a_run_goes_its_way_when_an_evaluation_is_stopped() -> None:
    step = {"id": "a", "component": "c", "inputs": {"x": "{{ input.n * 'x' }}"}}
    document = {
        "id": "w",
        "steps": [
            {**step, "on_error": [{"errors": ["ExpressionError"], "then": "continue"}]}
        ],
    }
    play(document, {"n": MAX_TEXT + 1}, components={"c": len}).assert_completed(
        {"a": None}
    )


def test_the_inputs_of_a_step_have_one_budget() -> None:
    """Each text alone is small; a document repeats it until the result is not."""
    data = {"x": "x" * 1_000_000}
    for text in (
        "{{input.x}}",
        "{{ input.x ~ '' }}",
        "{{input.x}}{{input.x}}{{input.x}}",
    ):
        inputs = {f"i{number}": text for number in range(150)}
        document = {
            "id": "w",
            "steps": [{"id": "a", "component": "c", "inputs": inputs}],
        }
        play(document, data, components={"c": lambda **_: 1}).assert_failed(
            "ExpressionError"
        )


def test_a_text_is_not_put_together_beyond_the_bound() -> None:
    document = {
        "id": "w",
        "steps": [{"id": "a", "component": "c"}],
        "output": "{{input.x}}" * 9,
    }
    play(document, {"x": "x" * 1_000_000}, components={"c": 1}).assert_failed(
        "ExpressionError"
    )


def test_only_what_is_listed_can_be_reached() -> None:
    for name in (
        "center",
        "indent",
        "wordwrap",
        "format",
        "xmlattr",
        "batch",
        "slice",
        "pprint",
        "urlize",
        "random",
    ):
        assert name not in FILTERS
        with pytest.raises(ExpressionError, match="No filter"):
            Expression(f"one | {name}")
    for name in (
        "ljust",
        "zfill",
        "expandtabs",
        "translate",
        "format",
        "format_map",
        "join",
        "encode",
    ):
        assert name not in OF_TEXTS
        with pytest.raises(ExpressionFailed, match="no"):
            value_of(f"text.{name}(1)")
    assert "callable" not in TESTS
