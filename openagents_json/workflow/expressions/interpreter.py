"""From the tree of an expression to what evaluates it: each node is visited once, nothing is computed before.

Jinja2 parses; its compiler is left out, because it folds constants while it compiles, and because what it makes calls
operators that nobody counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from jinja2 import nodes

from openagents_json.workflow.errors import NotAvailable
from openagents_json.workflow.expressions.budget import Budget
from openagents_json.workflow.expressions.functions.filters import FILTERS
from openagents_json.workflow.expressions.functions.members import (
    call,
    find_member,
    undefined,
)
from openagents_json.workflow.expressions.functions.operators import (
    BINARY,
    COMPARE,
    concatenate,
)
from openagents_json.workflow.expressions.functions.predicates import TESTS

Names = Callable[[str], Any]
Run = Callable[[Names, Budget], Any]


def make(node: nodes.Node) -> Run:
    """Return what evaluates a node.

    Raises NotAvailable.
    """
    maker = _MAKERS.get(type(node))
    if maker is None:
        raise NotAvailable(f"{type(node).__name__} is not available")
    return maker(node)


def _const(node: Any) -> Run:
    value = node.value
    return lambda *_: value


def _name(node: Any) -> Run:
    name = node.name
    return lambda names, _: names(name)


def _getattr(node: Any) -> Run:
    of = make(node.node)
    key = node.attr
    return lambda names, budget: find_member(budget, of(names, budget), key)


def _getitem(node: Any) -> Run:
    of = make(node.node)
    key = make(node.arg)
    return lambda names, budget: find_member(
        budget, of(names, budget), key(names, budget)
    )


def _slice(node: Any) -> Run:
    ends = [
        None if part is None else make(part)
        for part in (node.start, node.stop, node.step)
    ]
    return lambda names, budget: slice(
        *(None if end is None else end(names, budget) for end in ends)
    )


def _arguments(
    node: Any,
) -> Callable[[Names, Budget], tuple[list[Any], dict[str, Any]]]:
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        raise NotAvailable("* and ** arguments are not available")
    args = [make(arg) for arg in node.args]
    kwargs = [(pair.key, make(pair.value)) for pair in node.kwargs]

    def run(names: Names, budget: Budget) -> tuple[list[Any], dict[str, Any]]:
        return [arg(names, budget) for arg in args], {
            key: value(names, budget) for key, value in kwargs
        }

    return run


def _call(node: Any) -> Run:
    of = make(node.node)
    arguments = _arguments(node)

    def run(names: Names, budget: Budget) -> Any:
        method = of(names, budget)
        args, kwargs = arguments(names, budget)
        return call(budget, method, args, kwargs)

    return run


def _applied(kind: str, functions: Any) -> Callable[[Any], Run]:
    def maker(node: Any) -> Run:
        if node.name not in functions:
            raise NotAvailable(f"No {kind} named {node.name!r}.")
        of = make(node.node)
        arguments = _arguments(node)
        function = functions[node.name]

        def run(names: Names, budget: Budget) -> Any:
            value = of(names, budget)
            args, kwargs = arguments(names, budget)
            return function(budget, value, *args, **kwargs)

        return run

    return maker


def _binary(node: Any) -> Run:
    left = make(node.left)
    right = make(node.right)
    function = BINARY[node.operator]
    return lambda names, budget: function(
        budget, left(names, budget), right(names, budget)
    )


def _compare(node: Any) -> Run:
    first = make(node.expr)
    rest = [(COMPARE[operand.op], make(operand.expr)) for operand in node.ops]

    def run(names: Names, budget: Budget) -> Any:
        left = first(names, budget)
        result = True
        for function, operand in rest:
            right = operand(names, budget)
            result = function(budget, left, right)
            if not result:
                break
            left = right
        return result

    return run


def _and(node: Any) -> Run:
    left = make(node.left)
    right = make(node.right)
    return lambda names, budget: left(names, budget) and right(names, budget)


def _or(node: Any) -> Run:
    left = make(node.left)
    right = make(node.right)
    return lambda names, budget: left(names, budget) or right(names, budget)


def _not(node: Any) -> Run:
    of = make(node.node)
    return lambda names, budget: not of(names, budget)


def _neg(node: Any) -> Run:
    of = make(node.node)
    return lambda names, budget: -of(names, budget)


def _pos(node: Any) -> Run:
    of = make(node.node)
    return lambda names, budget: +of(names, budget)


def _condition(node: Any) -> Run:
    test = make(node.test)
    one = make(node.expr1)
    other = None if node.expr2 is None else make(node.expr2)

    def run(names: Names, budget: Budget) -> Any:
        if test(names, budget):
            return one(names, budget)
        if other is None:
            return undefined("the condition is false and there is no else")
        return other(names, budget)

    return run


def _all_of(expressions: Sequence[nodes.Node]) -> Callable[[Names, Budget], list[Any]]:
    runs = [make(node) for node in expressions]
    return lambda names, budget: [run(names, budget) for run in runs]


def _concat(node: Any) -> Run:
    values = _all_of(node.nodes)
    return lambda names, budget: concatenate(budget, values(names, budget))


def _list(node: Any) -> Run:
    return _all_of(node.items)


def _tuple(node: Any) -> Run:
    values = _all_of(node.items)
    return lambda names, budget: tuple(values(names, budget))


def _dict(node: Any) -> Run:
    pairs = [(make(pair.key), make(pair.value)) for pair in node.items]
    return lambda names, budget: {
        key(names, budget): value(names, budget) for key, value in pairs
    }


_MAKERS: Final[dict[type[nodes.Node], Callable[[Any], Run]]] = {
    nodes.Const: _const,
    nodes.Name: _name,
    nodes.Getattr: _getattr,
    nodes.Getitem: _getitem,
    nodes.Slice: _slice,
    nodes.Call: _call,
    nodes.Filter: _applied("filter", FILTERS),
    nodes.Test: _applied("test", TESTS),
    nodes.Compare: _compare,
    nodes.And: _and,
    nodes.Or: _or,
    nodes.Not: _not,
    nodes.Neg: _neg,
    nodes.Pos: _pos,
    nodes.CondExpr: _condition,
    nodes.Concat: _concat,
    nodes.List: _list,
    nodes.Tuple: _tuple,
    nodes.Dict: _dict,
    **dict.fromkeys(
        (
            nodes.Add,
            nodes.Sub,
            nodes.Mul,
            nodes.Div,
            nodes.FloorDiv,
            nodes.Mod,
            nodes.Pow,
        ),
        _binary,
    ),
}
