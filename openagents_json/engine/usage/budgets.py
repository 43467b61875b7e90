"""Budgets as programs and commands say them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from openagents_json.workflow.core.usage import budget_of
from openagents_json.workflow.errors import InvalidBudget


def checked_budget(budget: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return a budget as a start takes it; nothing said is no budget.

    Raises InvalidBudget.
    """
    try:
        return budget_of(budget) if budget else None
    except ValueError as error:
        raise InvalidBudget(f"the budget: {error}") from None


def budget_from_texts(texts: Sequence[str]) -> dict[str, Any]:
    """Return a budget of texts such as `cost=2.50` and `tokens=1000`.

    Raises InvalidBudget.
    """
    budget: dict[str, Any] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name in budget:
            raise InvalidBudget(f"the budget: {name!r} is said twice")
        budget[name] = _number_or_text(value)
    return budget


def _number_or_text(text: str) -> int | str:
    """Return a whole number that a budget may have as one, and everything else as it was written."""
    is_whole = text.isdecimal() and len(text) < 19
    return int(text) if is_whole else text
