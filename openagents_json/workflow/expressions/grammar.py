"""Expressions: Jinja2's expression grammar with native values; pure, total and bounded.

There is no way from an expression to Python: attributes are keys of mappings only, calls are limited to listed
filters, tests and pure methods, and all that is done counts against the budget of its evaluation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

from jinja2 import Environment, TemplateError, nodes
from jinja2.parser import Parser

from openagents_json.workflow.errors import (
    ExpressionError,
    ExpressionFailed,
    NotAvailable,
    OverBound,
)
from openagents_json.workflow.expressions.budget import Budget
from openagents_json.workflow.expressions.functions.filters import FILTERS
from openagents_json.workflow.expressions.functions.members import METHODS, missing
from openagents_json.workflow.expressions.functions.predicates import TESTS
from openagents_json.workflow.expressions.interpreter import make
from openagents_json.workflow.expressions.null import NULL, Null
from openagents_json.workflow.expressions.results import to_json
from openagents_json.workflow.types import Json

__all__ = [
    "FILTERS",
    "IDENTIFIER",
    "METHODS",
    "NULL",
    "TESTS",
    "Expression",
    "Null",
    "Path",
    "missing",
    "reason_of",
]

MAX_SOURCE: Final = 4096
MAX_DEPTH: Final = 40
MAX_TREE: Final = 200
"""The deepest tree: a chain of operators or filters nests without brackets."""

Path = tuple[str, ...]

_JSON_TYPES: Final = {
    **dict.fromkeys(("dict", "StepNames", "StepsView", "StepView"), "object"),
    **{"list": "array", "tuple": "array", "str": "string", "bool": "boolean"},
    **{"int": "integer", "float": "number", "NoneType": "null", "Null": "null"},
}
"""How the types that Python names in its errors are called where values are JSON."""

_QUOTED: Final = re.compile(r"(?<=['\"])\w+(?=['\"])")


class Expression:
    """A compiled expression; `names` are the roots that it refers to, `paths` those with their first keys."""

    __slots__ = ("_run", "names", "paths", "source")

    def __init__(self, source: str) -> None:
        """Compile; raises ExpressionError."""
        self.source = source
        self._run, self.names, self.paths = _compile(source)

    def evaluate(
        self,
        lookup: Callable[[str], Json],
        pointer: str = "",
        budget: Budget | None = None,
    ) -> Json:
        """Evaluate with the values of names.

        Raises ExpressionFailed.
        """
        return self._run(lookup, pointer, budget or Budget())


Evaluate = Callable[[Callable[[str], Json], str, Budget], Json]


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(autoescape=False, cache_size=0)


@lru_cache(maxsize=16_384)
def _compile(source: str) -> tuple[Evaluate, tuple[str, ...], tuple[Path, ...]]:
    if len(source) > MAX_SOURCE:
        raise ExpressionError(source, f"it is longer than {MAX_SOURCE} characters")
    _check_nesting(source)
    try:
        parser = Parser(_environment(), source, state="variable")
        tree = parser.parse_expression()
        if not parser.stream.eos:
            raise NotAvailable(f"{parser.stream.current.value!r} is not expected here")
        tree_nodes = list(_walk(tree))
        names, paths = _references(tree_nodes)
        run = make(tree)
    except _COMPILE_ERRORS as error:
        raise ExpressionError(source, reason_of(error)) from error
    cost = len(tree_nodes)

    def evaluate(lookup: Callable[[str], Json], pointer: str, budget: Budget) -> Json:
        try:
            budget.spend(cost)  # each node is visited once at most
            return to_json(budget, run(lookup, budget), 0)
        except Exception as error:
            raise ExpressionFailed(source, reason_of(error), pointer) from error

    return evaluate, names, paths


_COMPILE_ERRORS = (
    TemplateError,
    SyntaxError,
    RecursionError,
    ValueError,
    OverflowError,
    MemoryError,
    TypeError,
    AttributeError,
    KeyError,
    IndexError,
    AssertionError,
    NotAvailable,
    OverBound,
)


def _check_nesting(source: str) -> None:
    depth = 0
    for character in source:
        depth += (character in "([{") - (character in ")]}")
        if depth > MAX_DEPTH:
            raise ExpressionError(source, f"it is nested deeper than {MAX_DEPTH}")


def reason_of(error: BaseException) -> str:
    """Say in one line why an expression cannot be compiled or evaluated."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    reason = (str(error) or type(error).__name__).split("\n")[0]
    if isinstance(error, TypeError):
        reason = _QUOTED.sub(lambda match: _JSON_TYPES.get(match[0], match[0]), reason)
    return reason[:300]


def _walk(tree: nodes.Node) -> Iterator[nodes.Node]:
    """Return the nodes of a tree in the order of the text, without recursion.

    Raises NotAvailable.
    """
    todo = [(tree, 0)]
    while todo:
        node, depth = todo.pop()
        if depth > MAX_TREE:
            raise NotAvailable(f"it has more than {MAX_TREE} operators in each other")
        yield node
        todo += [
            (inner, depth + 1) for inner in reversed(list(node.iter_child_nodes()))
        ]


def _references(
    tree_nodes: list[nodes.Node],
) -> tuple[tuple[str, ...], tuple[Path, ...]]:
    """Find the names of an expression, and the constant keys behind each."""
    names: dict[str, None] = {}
    paths: dict[Path, None] = {}
    for node in tree_nodes:
        if isinstance(node, nodes.Name) and node.ctx == "load":
            names[node.name] = None
            paths[(node.name,)] = None
    for node in tree_nodes:
        path = _path(node) if isinstance(node, nodes.Getattr | nodes.Getitem) else None
        if path is not None:
            paths[path] = None
    return tuple(names), tuple(paths)


def _path(node: nodes.Node) -> Path | None:
    keys: list[str] = []
    while not isinstance(node, nodes.Name):
        key: Any = node.attr if isinstance(node, nodes.Getattr) else None
        if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
            key = _as_key(node.arg.value)
        if not isinstance(key, str) or not isinstance(
            node, nodes.Getattr | nodes.Getitem
        ):
            return None
        keys.append(key)
        node = node.node
    return (node.name, *reversed(keys))


def _as_key(value: Any) -> Any:
    """Return a constant between brackets as the name of a member, which an index may be, too."""
    is_index = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_index else value


IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
