"""What an attempt reports to have used, added up by model until somebody takes it along to the log."""

from __future__ import annotations

import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Final

from openagents_json.components.errors import InvalidUsage
from openagents_json.workflow.core.usage import (
    MOST_COST,
    MOST_TOKENS,
    NANOS,
    NOTHING,
    OTHERS,
    ByModel,
    Used,
    nanos_of,
    on_log,
)

MOST_MODELS: Final = 20
LONGEST_NAME: Final = 100

Money = int | float | str | Decimal


class UsageMeter:
    """Adds up what one attempt uses; safe for threads. `named` takes secrets out of the names of models."""

    __slots__ = ("_by_model", "_lock", "_named")

    def __init__(self, named: Callable[[str], str] | None = None) -> None:
        self._by_model: dict[str, Used] = {}
        self._lock = threading.Lock()
        self._named = named

    def add(self, model: str, used: Used) -> None:
        """Add what was used of a model; what is more than an attempt may use is counted as the most."""
        if self._named is not None:
            model = self._named(model)
        model = model[:LONGEST_NAME]
        with self._lock:
            if model not in self._by_model and len(self._by_model) >= MOST_MODELS:
                model = OTHERS
            before = self._by_model.get(model, NOTHING)
            self._by_model[model] = _bounded(before.plus(used))

    def take(self) -> ByModel | None:
        """Return what was used and not taken yet, None for nothing: so it stands on the log once."""
        with self._lock:
            taken, self._by_model = self._by_model, {}
        return {model: on_log(used) for model, used in taken.items()} or None


def _bounded(used: Used) -> Used:
    return Used(
        min(used.input_tokens, MOST_TOKENS),
        min(used.output_tokens, MOST_TOKENS),
        min(used.cost_nanos, MOST_COST * NANOS),
    )


def reported(
    model: str, input_tokens: int, output_tokens: int, cost: Money
) -> tuple[str, Used]:
    """Return a report of a component, checked.

    Raises InvalidUsage, which is a ValueError.
    """
    if not isinstance(model, str):
        raise InvalidUsage(f"the model is {model!r}, which is no text")
    tokens_in = _tokens("input_tokens", input_tokens)
    tokens_out = _tokens("output_tokens", output_tokens)
    try:
        return model, Used(tokens_in, tokens_out, nanos_of(cost))
    except ValueError as error:
        raise InvalidUsage(f"the cost: {error}") from None


def _tokens(name: str, count: object) -> int:
    if isinstance(count, bool) or not isinstance(count, int):
        raise InvalidUsage(f"{name} is {count!r}, which is no whole number")
    if not 0 <= count <= MOST_TOKENS:
        raise InvalidUsage(f"{name} is {count}, not between 0 and {MOST_TOKENS:,}")
    return count
