"""`text.template`: a text with values put in, by the expressions that documents have."""

from __future__ import annotations

from typing import Any, Final

from openagents_json.components.decorators import tool
from openagents_json.components.errors import NonRetryableError

MAX_TEMPLATE: Final = 1_000_000


@tool("text.template", effect="pure", version="1.0.0", tags=("text",))
def template(template: str, values: dict[str, Any] | None = None) -> str:
    """Fill in a text: each `{{ expression }}` in it is evaluated with the given values."""
    if len(template) > MAX_TEMPLATE:
        raise NonRetryableError(
            f"the template is longer than {MAX_TEMPLATE:,} characters"
        )
    from openagents_json.workflow.errors import (
        ExpressionError,
        ExpressionFailed,
        OverBound,
    )

    try:
        return _filled(template, values or {})
    except (ExpressionError, ExpressionFailed) as error:
        raise NonRetryableError(f"the template cannot be filled in: {error}") from error
    except OverBound as error:
        raise NonRetryableError(f"the template gives too much: {error}") from error


def _filled(template: str, values: dict[str, Any]) -> str:
    """Put a text together; all of its expressions have one budget together."""
    from openagents_json.workflow.expressions.budget import MAX_TEXT, Budget
    from openagents_json.workflow.expressions.grammar import Expression
    from openagents_json.workflow.expressions.pieces import split
    from openagents_json.workflow.expressions.templates import render

    budget = Budget()
    texts = []
    size = 0
    for kind, piece in split(template):
        text = piece
        if kind == "expression":
            expression = Expression(piece.strip())
            _refuse_unknown(expression.names, values)
            value = expression.evaluate(values.__getitem__, budget=budget)
            text = render(value, budget)
        size += len(text)
        budget.text(size if size > MAX_TEXT else len(text))
        texts.append(text)
    return "".join(texts)


def _refuse_unknown(names: tuple[str, ...], values: dict[str, Any]) -> None:
    unknown = [name for name in names if name not in values]
    if unknown:
        there = ", ".join(sorted(values)[:20]) or "none"
        raise NonRetryableError(
            f"the template names {unknown[0]!r}, which is not among its values (there are: {there})"
        )
