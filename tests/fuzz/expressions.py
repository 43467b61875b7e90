"""Expressions and templates: a value or an error that says so, alike each time, and Jinja2's value where it has one."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from random import Random
from typing import Any

from jinja2 import StrictUndefined
from jinja2.nativetypes import NativeEnvironment

from openagents_json.catalog.registry import Registry
from openagents_json.simulation.stubs import Stubs
from openagents_json.simulation.world import World
from openagents_json.workflow.errors import (
    ExpressionError,
    ExpressionFailed,
    InvalidDefinition,
)
from openagents_json.workflow.expressions.budget import Budget
from openagents_json.workflow.expressions.functions.filters import FILTERS
from openagents_json.workflow.expressions.functions.predicates import TESTS
from openagents_json.workflow.expressions.grammar import METHODS, Expression
from openagents_json.workflow.expressions.pieces import split
from openagents_json.workflow.language.bind import bind
from openagents_json.workflow.language.compile import compile_plan
from tests.fuzz.expression_words import (
    ARGUMENTS,
    ATOMS,
    BINARY,
    LAZY,
    MEMBERS,
    NAMES,
    WORDS,
)
from tests.fuzz.mutations import mutate_json, mutate_text
from tests.fuzz.shrinking import smaller_json
from tests.fuzz.stand_ins import AnyComponent, Anything
from tests.property.runs.test_expressions import as_arrays, at_once

COMPARED = 3_000
"""What takes more operations than this is not given to Jinja2, which has no bounds."""

WORDS += tuple(f".{name}()" for name in sorted(METHODS))
ARGUMENTS += (
    "('a', 'b')",
    "(0, true)",
    "(n, l)",
    "(l)",
    "(t)",
    "('upper')",
    "('default', 1)",
    "(attribute='q', default=9)",
)


class Expressions:
    """The target; an input is JSON: `source` is an expression or a template, `values` are those of its names."""

    name = folder = "expressions"
    extension = ".json"

    def mutate(self, raw: bytes, others: Sequence[bytes], random: Random) -> bytes:
        """Change the expression, or now and then the values; mostly to something that has a value."""
        for _ in range(random.choice((1, 6, 6))):
            mutated = self._mutated(
                _parsed(raw),
                [_parsed(other) for other in random.choices(others, k=4)],
                random,
            )
            if _has_a_value(mutated):
                break
        return json.dumps(mutated).encode()

    def _mutated(self, expression: Any, donors: Sequence[Any], random: Random) -> Any:
        if random.random() < 0.2:
            values = mutate_json(
                expression["values"],
                [donor["values"] for donor in donors],
                NAMES,
                random,
            )
            return {
                **expression,
                "values": values if isinstance(values, dict) else expression["values"],
            }
        sources = [donor["source"] for donor in donors]
        source = (
            _grown(expression["source"], random.choice(sources), random)
            if random.random() < 0.6
            else ""
        )
        return {
            **expression,
            "source": source
            or mutate_text(expression["source"], sources, WORDS, random),
        }

    def smaller(self, raw: bytes) -> Iterator[bytes]:
        """Return smaller expressions and values."""
        for less in smaller_json(raw):
            value = json.loads(less)
            if (
                isinstance(value, dict)
                and isinstance(value.get("source"), str)
                and "values" in value
            ):
                yield less

    def check(self, raw: bytes) -> str:
        """Evaluate it by itself, and as what stands in a document."""
        parsed = _parsed(raw)
        source, values = parsed["source"], parsed["values"]
        _check_in_a_document(source, values)
        if "{{" in source or "${" in source:
            return _split(source)
        try:
            expression = Expression(source)
        except ExpressionError as error:
            return f"refused {_masked(error.reason)}"
        return _check_evaluation(expression, values)


def _has_a_value(expression: Any) -> bool:
    try:
        Expression(expression["source"]).evaluate(
            expression["values"].get, budget=Budget(COMPARED)
        )
    except (ExpressionError, ExpressionFailed):
        return False
    return True


def _grown(source: str, other: str, random: Random) -> str:
    """Make a larger expression of one, or put something else in the place of a name of it; else ""."""
    if len(source) > 300 or "{{" in source or "{{" in other:
        return ""
    other = random.choice((other, *random.choices(ATOMS, k=4)))
    arguments = random.choice(ARGUMENTS)
    match random.randrange(7):
        case 0:
            return f"({source}) {random.choice(BINARY)} ({other})"
        case 1:
            return f"({other}) {random.choice(BINARY)} ({source})"
        case 2:
            return f"({source}) | {random.choice(sorted(FILTERS))}{arguments}"
        case 3:
            return f"({source}) is {random.choice(sorted(TESTS))}{arguments}"
        case 4:
            return f"({source}){random.choice(MEMBERS)}"
        case 5:
            return f"({source}).{random.choice(sorted(METHODS))}{arguments or '()'}"
        case _:
            words = list(re.finditer(r"\b[a-z]\b|\b\d+\b", source))
            word = random.choice(words) if words else None
            return (
                f"{source[: word.start()]}({other}){source[word.end() :]}"
                if word
                else ""
            )


@lru_cache(maxsize=5_000)
def _parsed(raw: bytes) -> Any:
    return json.loads(raw)


def _masked(reason: str) -> str:
    return re.sub(r"'[^']*'|\"[^\"]*\"|[0-9]+", "_", reason)[:60]


def _split(source: str) -> str:
    try:
        return "template " + " ".join(kind for kind, _ in split(source))
    except ExpressionError as error:
        return f"template refused {_masked(error.reason)}"


def _check_evaluation(expression: Expression, values: Mapping[str, Any]) -> str:
    before = json.dumps(values)
    ends, costs = [], []
    for _ in range(2):
        budget = Budget()
        try:
            ends.append(
                (
                    "value",
                    json.dumps(
                        expression.evaluate(values.get, "/x", budget), allow_nan=False
                    ),
                )
            )
        except ExpressionFailed as error:
            ends.append(
                (
                    "failed",
                    error.reason
                    if error.expression == expression.source
                    else "of another expression",
                )
            )
        costs.append(budget.most - budget.left)
    assert json.dumps(values) == before, "the values stay as they are"
    assert ends[0] == ends[1], "it comes to the same each time"
    assert ends[0][1] != "of another expression", "an error names its expression"
    assert costs[0] == costs[1], "it costs the same each time"
    kind, outcome = ends[0]
    if kind == "value" and costs[0] < COMPARED:
        _check_jinja(expression, values, json.loads(outcome))
    return (
        f"failed {_masked(outcome)}"
        if kind == "failed"
        else f"{_shape(expression.source)} {_kind(json.loads(outcome))}"
    )


def _shape(source: str) -> str:
    """Tell what is used in an expression, so that new combinations are kept."""
    used = re.findall(
        r"\| *\w+|\bis +\w+|\.\w+\(|//|\*\*|[-+*/%~]|[<>=!]=?|\bin\b|\bif\b", source
    )
    return " ".join(sorted(set(used)))


def _kind(value: Any) -> str:
    return type(value).__name__


def _check_jinja(expression: Expression, values: Mapping[str, Any], value: Any) -> None:
    """What Jinja2 makes of it, and puts into JSON, is the same."""
    if any(name not in values for name in expression.names):
        return
    try:
        expected = _native(expression.source, values)
    except Exception:  # what Jinja2 cannot do may well have a value here: a member of what is not there is null
        return
    if "dict_" in str(expected) or "<" in str(
        expected
    ):  # Python's name for something got into a text
        return
    if value != expected and as_arrays(value) != as_arrays(expected):
        raise AssertionError(
            f"jinja gives {expected!r} for {expression.source!r} and we {value!r}"
        )


class _Jinja(NativeEnvironment):
    """Jinja2, for which true is no number of an element, as it is none in JSON."""

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(argument, bool) and not isinstance(obj, dict):
            return self.undefined(obj=obj, name=str(argument))
        return super().getitem(obj, argument)


@lru_cache(maxsize=1)
def _environment() -> NativeEnvironment:
    environment = _Jinja(undefined=StrictUndefined, optimized=False)
    environment.filters |= {name: at_once(environment.filters[name]) for name in LAZY}
    return environment


def _native(source: str, values: Mapping[str, Any]) -> Any:
    given = json.loads(json.dumps(values))
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", SyntaxWarning
        )  # Python looks at what Jinja2 makes of it
        value = _environment().compile_expression(source, undefined_to_none=False)(
            given
        )
    return json.loads(json.dumps(value, allow_nan=False))


def _check_in_a_document(source: str, values: Mapping[str, Any]) -> None:
    """In a document, `validate` takes it or says why not, and a run of it ends."""
    steps = [{"id": name, "component": "c"} for name in NAMES]
    call = {
        "id": "call",
        "component": "c",
        "inputs": {"x": source},
        "condition": source,
    }
    document = {
        "id": "w",
        "execution": "graph",
        "steps": [*steps, call],
        "output": {"y": source},
    }
    try:
        plan = compile_plan(bind(document, AnyComponent()))
    except InvalidDefinition:
        return
    world = World(Stubs(_Values(values), Registry()), {}, 0, most=100)
    life = world.start("0-r", plan, {})
    world.go_on()
    assert life.state.closed, "a run of it ends"


class _Values(Anything):
    """Components that give the values in turn."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = list(values.values()) or [None]
        self._at = 0

    def __getitem__(self, name: str) -> object:
        self._at += 1
        return self._values[self._at % len(self._values)]
