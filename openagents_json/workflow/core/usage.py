"""What attempts use, and what a run may use: tokens, and money in billionths, so that sums are exact whole numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from openagents_json.workflow.types import Json

NANOS: Final = 1_000_000_000
MOST_COST: Final = 1_000_000
"""The most that an attempt may cost, in whole units of money."""

MOST_TOKENS: Final = 1_000_000_000
MOST_BUDGET_TOKENS: Final = 1_000_000_000_000_000
"""A budget of more is none: whole numbers up to there are exact in JSON, wherever it is read."""


ByModel = Mapping[str, Mapping[str, int]]
"""What was used of each model: `input_tokens`, `output_tokens` and `cost_nanos`; what is 0 may be left out."""


class Used(NamedTuple):
    """An amount of tokens and money."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_nanos: int = 0

    def plus(self, other: Used) -> Used:
        """Return the sum of two amounts."""
        return Used(*(mine + its for mine, its in zip(self, other, strict=True)))

    def minus(self, other: Used) -> Used:
        """Return what one amount is more than another."""
        return Used(*(mine - its for mine, its in zip(self, other, strict=True)))

    @property
    def tokens(self) -> int:
        """Return the tokens that went in and came out."""
        return self.input_tokens + self.output_tokens


NOTHING: Final = Used()

OTHERS: Final = "(others)"
"""What stands for the models that are more than may be told apart."""


def used_of(row: Mapping[str, int]) -> Used:
    """Return an amount as it stands on the log."""
    return Used(*(int(row.get(name, 0)) for name in Used._fields))


def total(by_model: ByModel) -> Used:
    """Return what was used of all models together."""
    amount = NOTHING
    for row in by_model.values():
        amount = amount.plus(used_of(row))
    return amount


def on_log(used: Used) -> dict[str, int]:
    """Return an amount as it stands on the log: what is 0 is left out."""
    return {name: value for name, value in used._asdict().items() if value}


def nanos_of(amount: object) -> int:
    """Return money in billionths, rounded half to even; a float counts as it is written.

    Raises ValueError.
    """
    try:
        units = Decimal(_written(amount))
    except InvalidOperation:
        raise ValueError(f"{amount!r} is no amount of money") from None
    # What is no number compares with nothing.
    if units.is_nan() or not 0 <= units <= MOST_COST:
        raise ValueError(f"{amount!r} is not between 0 and {MOST_COST:,}")
    nanos = units * NANOS
    whole = nanos.to_integral_value(ROUND_HALF_EVEN)
    return int(whole)


def _written(amount: object) -> str:
    """Return a number as it is written; nothing for what is none, as true and false are not."""
    is_number = isinstance(amount, int | float | str | Decimal)
    return str(amount) if is_number else ""


def money(nanos: int) -> str:
    """Return billionths as people write money: 1500000000 is "1.5"."""
    whole, rest = divmod(nanos, NANOS)
    return f"{whole}.{rest:09}".rstrip("0").rstrip(".")


FAIL: Final = "fail"
PAUSE: Final = "pause"
ASK: Final = "ask"

ANSWER: Final = "budget"
"""The signal by which a run that asks is answered: {"approve": true}, or false to let it fail."""


class Budget(Struct, frozen=True, gc=False):
    """How much a run may use, None where that does not matter, and what happens when it has used more."""

    cost_nanos: int | None = None
    tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    on_exceeded: str = FAIL


def budget_of(budget: Mapping[str, Json]) -> dict[str, Json]:
    """Return a budget, as documents and callers say it, by the fields of `Budget`.

    Raises ValueError.
    """
    fields: dict[str, Json] = {}
    for name, value in budget.items():
        option = _OPTIONS.get(name)
        if option is None:
            names = ", ".join(_OPTIONS)
            raise ValueError(f"a budget has no {name!r}; it has {names}")
        field, read = option
        fields[field] = read(value)
    return fields


def _count(value: Json) -> int:
    """Read a number of tokens.

    Raises ValueError: infinity is no number, and what is larger than a store counts is never reached.
    """
    is_number = type(value) in (int, float) and 0 <= value <= MOST_BUDGET_TOKENS
    if not is_number or value != int(value):
        raise ValueError(
            f"{value!r} is no number of tokens from 0 to {MOST_BUDGET_TOKENS:,}"
        )
    return int(value)


def _action(value: Json) -> str:
    actions = (FAIL, PAUSE, ASK)
    if value not in actions:
        names = ", ".join(actions)
        raise ValueError(f"on_exceeded is {value!r}: take one of {names}")
    return str(value)


_TOKENS: Final = ("tokens", "input_tokens", "output_tokens")
_OPTIONS: Final[Mapping[str, tuple[str, Callable[[Json], Json]]]] = {
    "cost": ("cost_nanos", nanos_of),
    **{name: (name, _count) for name in _TOKENS},
    "on_exceeded": ("on_exceeded", _action),
}
"""An option of a budget -> the field that it becomes, and what reads it."""


def together(
    document: Budget | None, at_start: Mapping[str, Json] | None
) -> Budget | None:
    """Return the budget of a run: what its start says goes before what its document says."""
    return replace(document or Budget(), **at_start) if at_start else document


def excess(budget: Budget, used: Used) -> Sequence[str]:
    """Say of each limit that is gone over what was used of it."""
    return [
        f"{name} {shown(amount)} of {shown(limit)}"
        for name, shown, limit, amount in _limits(budget, used)
        if limit is not None and amount > limit
    ]


def _limits(
    budget: Budget, used: Used
) -> Sequence[tuple[str, Callable[[int], str], int | None, int]]:
    """Return name, form, limit and amount of all that a budget may limit."""
    return (
        ("cost", money, budget.cost_nanos, used.cost_nanos),
        ("tokens", _grouped, budget.tokens, used.tokens),
        ("input tokens", _grouped, budget.input_tokens, used.input_tokens),
        ("output tokens", _grouped, budget.output_tokens, used.output_tokens),
    )


def _grouped(count: int) -> str:
    return f"{count:,}"
