"""Components that are always there."""

from __future__ import annotations

import ast
import asyncio
import operator
from collections.abc import Callable
from typing import Any, Final

from openagents_json.components.decorators import tool
from openagents_json.components.errors import ComponentError, NonRetryableError
from openagents_json.components.library.email import send
from openagents_json.components.library.files import list_files, read, write
from openagents_json.components.library.http import request
from openagents_json.components.library.process import run
from openagents_json.components.library.sql import execute, query
from openagents_json.components.library.template import template
from openagents_json.components.library.transform import transform
from openagents_json.components.library.webhook import deliver

__all__ = [
    "deliver",
    "echo",
    "evaluate",
    "execute",
    "fail",
    "list_files",
    "noop",
    "query",
    "read",
    "request",
    "run",
    "send",
    "sleep",
    "template",
    "transform",
    "write",
]

_OPERATORS: Final[dict[type[ast.AST], Callable[..., Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}


@tool("noop", effect="pure", version="1.0.0")
def noop() -> None:
    """Do nothing."""


@tool("echo", effect="pure", version="1.0.0")
def echo(**values: Any) -> dict[str, Any]:
    """Return the inputs back."""
    return values


@tool("sleep", effect="pure", version="1.0.0")
async def sleep(seconds: float) -> float:
    """Wait, without holding a thread; gives the seconds."""
    if not 0 <= seconds <= 3600:
        raise NonRetryableError("seconds must be between 0 and 3600")
    await asyncio.sleep(seconds)
    return seconds


@tool("fail", effect="pure", version="1.0.0")
def fail(
    message: str = "failed on purpose",
    error: str = "ComponentError",
    retryable: bool = True,
) -> None:
    """Raise an error of a given type name, to see how a workflow handles it."""
    name = error if error.isidentifier() else "ComponentError"
    raised: type[Exception] = type(name, (ComponentError,), {"retryable": retryable})
    raise raised(message)


@tool("math.evaluate", effect="pure", version="1.0.0")
def evaluate(expression: str) -> float:
    """Calculate a sum, product or quotient of numbers."""
    if len(expression) > 1000:
        raise NonRetryableError("the expression is longer than 1000 characters")
    try:
        value: float = _value(ast.parse(expression, mode="eval").body)
    except (
        SyntaxError,
        ValueError,
        ZeroDivisionError,
        OverflowError,
        RecursionError,
        MemoryError,
    ) as error:
        raise NonRetryableError(
            f"{expression!r} cannot be calculated: {error}"
        ) from error
    return value


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return node.value
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.left), _value(node.right))
    if isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.operand))
    raise ValueError(f"{type(node).__name__} is not arithmetic")
