"""What a condition is whatever the run does, where that can be told without one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from functools import lru_cache
from typing import Any, Final

from openagents_json.statuses import ENDS, OPEN_STEP
from openagents_json.workflow.core.evaluate import truth
from openagents_json.workflow.errors import ExpressionError, ExpressionFailed
from openagents_json.workflow.expressions.budget import Budget
from openagents_json.workflow.expressions.grammar import Expression
from openagents_json.workflow.expressions.pieces import split
from openagents_json.workflow.language.checks.shapes import array_of, object_of

_OPERATIONS: Final = 10_000
_COMPARED: Final = re.compile(
    r"(?:inputs?\.(?P<input>\w+)|(?P<step>[\w-]+)\.status)\s*==\s*(?P<quote>['\"])(?P<text>[^'\"\\]*)(?P=quote)"
)
"""A comparison of an input, or of a fact of a step, with a text."""

STATUSES: Final = OPEN_STEP | {*ENDS, "skipped"}
"""What the status of a step can be."""

_NO_TEXTS: Final = frozenset({"integer", "number", "boolean", "array", "object"})


def is_never_true(condition: Any, inputs: Mapping[str, Any], steps: Set[str]) -> bool:
    """Tell whether a condition surely never holds; `inputs` and `steps` are those that the document declares."""
    if condition is False:
        return True
    if not isinstance(condition, str):
        return False
    source = _source_of(condition)
    return _is_false(source) or _compares_in_vain(source, inputs, steps)


def _source_of(condition: str) -> str:
    """Return the one expression that a condition is, "true" for any other text."""
    try:
        pieces = [*split(condition)]
    except ExpressionError:
        return "true"
    if len(pieces) > 1:
        return "true"
    return pieces[0][1].strip()


@lru_cache(maxsize=1024)
def _is_false(source: str) -> bool:
    """Tell whether an expression that refers to nothing does not hold."""
    try:
        expression = Expression(source)
        if expression.names:
            return False
        value = expression.evaluate(_nothing, budget=Budget(_OPERATIONS))
    except (ExpressionError, ExpressionFailed):
        return False
    return not truth(value)


def _nothing(_: str) -> None:
    return None


def _compares_in_vain(source: str, inputs: Mapping[str, Any], steps: Set[str]) -> bool:
    """Tell whether an expression is a comparison with a text that the other side never is."""
    match = _COMPARED.fullmatch(source)
    if match is None:
        return False
    text = match["text"]
    if match["input"] is None:
        return match["step"] in steps and text not in STATUSES
    declared = object_of(inputs.get(match["input"]))
    choices = array_of(declared.get("enum"))
    return declared.get("type") in _NO_TEXTS or bool(choices and text not in choices)
