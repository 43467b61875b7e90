"""JMESPath with bounds: what an expression does is counted, so that it ends whatever it says.

A few characters can ask for a value of any size (`[@, @] | [@, @] | ...` doubles it each time). What shares its parts
looks small in memory and is not small once it is written: so each array and object that an expression makes is
weighed with all that is in it, at once, and all values stay of a size that was counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions
from jmespath.parser import Parser
from jmespath.visitor import Options, TreeInterpreter

from openagents_json.components.errors import NonRetryableError
from openagents_json.workflow.errors import OverBound
from openagents_json.workflow.expressions.budget import Budget, weigh

MAX_EXPRESSION: Final = 4096
MAX_OPERATIONS: Final = 5_000_000
_MAKES_A_VALUE: Final = ("multi_select_list", "multi_select_dict")


def search(expression: str, data: Any) -> Any:
    """Return what an expression gives.

    Raises NonRetryableError.
    """
    if len(expression) > MAX_EXPRESSION:
        raise NonRetryableError(
            f"the expression is longer than {MAX_EXPRESSION} characters"
        )
    budget = Budget(MAX_OPERATIONS)
    try:
        tree = Parser().parse(expression).parsed
        return _Interpreter(budget).visit(tree, data)
    except OverBound as error:
        raise NonRetryableError(
            f"the expression {expression!r} is too dear: {error}"
        ) from error
    except RecursionError:
        raise NonRetryableError(
            f"the expression {expression!r} is nested too deeply"
        ) from None
    except (JMESPathError, ValueError, TypeError, OverflowError) as error:
        raise NonRetryableError(
            f"the expression {expression!r} gives nothing: {error}"
        ) from error


class _Interpreter(TreeInterpreter):
    """Counts each node that it visits, and weighs what is made."""

    def __init__(self, budget: Budget) -> None:
        super().__init__(Options(custom_functions=_Functions(budget)))
        self._budget = budget

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the value of a node."""
        self._budget.spend(1)
        value = super().visit(node, *args, **kwargs)
        if node["type"] in _MAKES_A_VALUE:
            weigh(self._budget, value)
        return value


class _Functions(Functions):
    """Weighs what a function is about to read, and the text that `join` is about to make."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    def call_function(self, function_name: str, resolved_args: Iterable[Any]) -> Any:
        """Return what a function gives."""
        given = list(resolved_args)
        characters = weigh(self._budget, given)
        if function_name == "join" and len(given) == 2:
            glue, texts = given
            between = len(glue) * len(texts) if _joins(glue, texts) else 0
            self._budget.text(characters + between)
        return super().call_function(function_name, given)


def _joins(glue: Any, texts: Any) -> bool:
    return isinstance(glue, str) and isinstance(texts, list)
