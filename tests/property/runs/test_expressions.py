"""What expressions give: Jinja2's own results, and nothing that is over a bound."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import wraps
from typing import Any

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as s
from jinja2 import StrictUndefined
from jinja2.nativetypes import NativeEnvironment

from openagents_json.workflow.errors import ExpressionError, ExpressionFailed
from openagents_json.workflow.expressions.budget import MAX_ITEMS as MAX_SIZE
from openagents_json.workflow.expressions.budget import MAX_TEXT
from openagents_json.workflow.expressions.functions.filters import FILTERS
from openagents_json.workflow.expressions.functions.predicates import TESTS
from openagents_json.workflow.expressions.grammar import Expression
from tests.examples import examples
from tests.fuzz.expression_words import LITERALS

VALUES: Mapping[str, Any] = {
    "n": 7,
    "f": 2.5,
    "t": "One two,  three-four",
    "e": "",
    "z": None,
    "y": True,
    "l": [3, 1, 2, 1],
    "w": ["b", "A", "a", "C"],
    "o": {"k": 1, "items": [1], "B": "x", "a": {"k": 2}},
    "r": [{"k": 2, "g": "x"}, {"k": 1, "g": "Y"}, {"k": 3, "g": "x"}],
}

atoms = s.sampled_from([*VALUES, *LITERALS])
FILTERED = [name for name in sorted(FILTERS) if name not in ("tojson", "map")]
ARGUMENTS = [
    "",
    "(2)",
    "('k')",
    "(attribute='k')",
    "('g', 'equalto', 'x')",
    "('equalto', 1)",
    "(true)",
    "(',')",
    "('a', 'b')",
]
MAPPED = [
    "('upper')",
    "(attribute='k')",
    "(attribute='q', default=9)",
    "('default', 1)",
    "('length')",
]
CALLED = [
    "upper()",
    "split()",
    "split(',')",
    "replace('o', '0')",
    "strip('On')",
    "get('k')",
    "get('q', 4)",
    "keys()",
]
CALLED += [
    "items()",
    "values()",
    "find('t')",
    "count('t')",
    "startswith('O')",
    "isdigit()",
    "title()",
    "lstrip()",
]


def grown(inner: s.SearchStrategy[str]) -> s.SearchStrategy[str]:
    operators = s.sampled_from(
        [
            "+",
            "-",
            "*",
            "/",
            "//",
            "%",
            "~",
            "==",
            "!=",
            "<",
            ">=",
            "in",
            "not in",
            "and",
            "or",
        ]
    )
    return (
        s.builds(lambda a, o, b: f"({a} {o} {b})", inner, operators, inner)
        | s.builds(
            lambda a, f, g: f"{a} | {f}{g}",
            inner,
            s.sampled_from(FILTERED),
            s.sampled_from(ARGUMENTS),
        )
        | s.builds(lambda a, g: f"{a} | map{g}", inner, s.sampled_from(MAPPED))
        | s.builds(
            lambda a, t: f"({a} is {t})",
            inner,
            s.sampled_from([name for name in TESTS if name.isalpha()]),
        )
        | s.builds(lambda a, m: f"({a}).{m}", inner, s.sampled_from(CALLED))
        | s.builds(
            lambda a, k: f"({a}){k}",
            inner,
            s.sampled_from([".k", "['k']", "[0]", "[-1]", "[1:]", "[::2]", ".g"]),
        )
        | s.builds(lambda a, b, c: f"({a} if {b} else {c})", inner, inner, inner)
        | s.builds(lambda a: f"(not {a})", inner)
    )


def native(source: str) -> Any:
    """Return what Jinja2 makes of an expression, as JSON; raises whatever it raises."""
    environment = NativeEnvironment(undefined=StrictUndefined)
    environment.filters |= {name: at_once(environment.filters[name]) for name in LAZY}
    value = environment.compile_expression(source, undefined_to_none=False)(
        dict(VALUES)
    )
    return json.loads(json.dumps(value, allow_nan=False))


LAZY = (
    "map",
    "select",
    "reject",
    "selectattr",
    "rejectattr",
    "unique",
    "reverse",
    "items",
)


def at_once(filtered: Any) -> Any:
    """Return a filter of Jinja2 that gives an array where that one gives an iterator."""

    @wraps(filtered)
    def run(*args: Any, **kwargs: Any) -> Any:
        value = filtered(*args, **kwargs)
        return value if isinstance(value, str) else list(value)

    return run


@settings(max_examples=examples(150))
@given(s.recursive(atoms, grown, max_leaves=4))
def test_an_expression_gives_what_jinja_gives(source: str) -> None:
    try:
        expected = native(source)
    except Exception:
        reject()  # what Jinja2 cannot do may be an error here, or null: a member of what is not there
    if "dict_" in str(expected):
        reject()  # Python's name for the keys of an object got into a text
    reason = ""
    try:
        result = Expression(source).evaluate(VALUES.__getitem__)
    except (ExpressionError, ExpressionFailed) as error:
        reason, result = error.reason, None
    if reason:
        assert any(word in reason for word in STRICTER), source
    else:
        assert result == expected or as_arrays(result) == as_arrays(expected), source


def as_arrays(value: Any) -> str:
    """Return JSON in which a tuple that was put into a text looks like an array, as it does here."""
    return json.dumps(value).translate(str.maketrans("()", "[]")).replace(",]", "]")


STRICTER = (
    "text formatting is not available",  # %
    "is no method",
    "has no",  # a method that is not offered, of a number or an array
    "write ",  # a method that is not called
    "only an object has members",
    "a required argument",
    "too many positional arguments",
    "unexpected keyword argument",
)


# -- bounds: harmless values that are just over them --------------------------------------------------------

LONG = "x" * (MAX_TEXT // 2 + 1)
WIDE = list(range(MAX_SIZE // 2 + 1))
DEEP: list[Any] = [1]
for _ in range(22):
    DEEP = [DEEP, DEEP]
"""Twenty-two arrays in memory; whoever passes over them all meets more than four million."""

OVER = {
    "long ~ long": {"long": LONG},
    "long + long": {"long": LONG},
    "long * 3": {"long": LONG},
    "[long, long] | join": {"long": LONG},
    "'aa' | replace('a', long)": {"long": LONG},
    "'aa'.replace('a', long)": {"long": LONG},
    "wide + wide": {"wide": WIDE},
    "wide * 2": {"wide": WIDE},
    "[0] * 1000001": {},
    "wide | map('string') | map('list') | map('sort') | map('sum') | list": {
        "wide": WIDE
    },
    "wide | map('in', wide) | list": {"wide": WIDE},
    "[[1]] | map('sum', start=wide) | map('sum', start=wide) | list": {"wide": WIDE},
    "deep == other": {"deep": DEEP, "other": [*DEEP]},
    "deep < other": {"deep": DEEP, "other": [*DEEP]},
    "deep in [other, other]": {"deep": DEEP, "other": [*DEEP]},
    "deep": {"deep": DEEP},
    "deep | tojson": {"deep": DEEP},
    "deep | string": {"deep": DEEP},
    "'' ~ deep": {"deep": DEEP},
    "[deep, other] | sort": {"deep": DEEP, "other": [*DEEP]},
    "[deep, other] | max": {"deep": DEEP, "other": [*DEEP]},
    "[deep] | unique": {"deep": DEEP},
    "rows | select('in', wide) | list": {"rows": list(range(100)), "wide": WIDE},
    "texts | select('in', long) | list": {"texts": ["y"] * 100, "long": LONG},
    "2 ** 10001": {},
    "7.5 | round(401)": {},
    "7 | round(-401, 'floor')": {},
    "[1] | tojson(17)": {},
    "[[1]] * 1000 | sum(start=wide)": {"wide": WIDE},
}


@pytest.mark.parametrize("source", OVER)
def test_what_would_go_over_a_bound_is_not_begun(source: str) -> None:
    values: Any = OVER[source]
    with pytest.raises(ExpressionFailed) as failed:
        Expression(source).evaluate(values.__getitem__)
    assert repr(source) in str(failed.value)


@pytest.mark.parametrize(
    "source",
    [
        "'x' * 1000001",
        "10 ** 10001",
        "[0] * 1000001 * 1000000",
        "('x' * 999999) | list",
    ],
)
def test_constants_are_not_worked_on_before_there_is_a_budget(source: str) -> None:
    assert Expression(source).names == ()
