"""What one evaluation may cost: operations and sizes are counted, so that it ends alike wherever it is done again.

Nothing here looks at a clock: a decision is derived again when runs are replayed, and has to be the same. An
operation is a bounded amount of work (a node of the expression, an element, 64 characters), so counting bounds time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from openagents_json.workflow.errors import OverBound

MAX_OPERATIONS: Final = 2_000_000
MAX_TOGETHER: Final = 50_000_000
"""What all evaluations of one decision may cost: 10,000 items of a foreach have 5,000 operations each."""

TOGETHER: Final = (
    "with what was evaluated before it in the same decision, it needs more than"
)
"""How the reason begins of an evaluation that had to end because of those before it."""

MAX_TEXT: Final = 8_000_000
MAX_ITEMS: Final = 1_000_000
MAX_BITS: Final = 14_000
"""A larger number could not be written: Python writes and reads no more than 4300 digits."""

_CHARACTERS: Final = 6
"""Characters of an operation that copies or compares, as a power of two: 64."""


class Budget:
    """Counts the operations of an evaluation; lives for that one evaluation.

    `together` is the bound of a decision when it leaves this evaluation less than its own.
    """

    __slots__ = ("_seen", "left", "most", "together")

    def __init__(self, operations: int = MAX_OPERATIONS, together: int = 0) -> None:
        self.left = self.most = operations
        self.together = together
        self._seen: set[int] | None = None

    @property
    def spent(self) -> int:
        """Return what has been done; what was too much was not."""
        return self.most - max(self.left, 0)

    def spend(self, operations: int) -> None:
        """Count operations before they are done.

        Raises OverBound.
        """
        self.left -= operations
        if self.left < 0:
            raise OverBound(self._reason())

    def _reason(self) -> str:
        begins = f"it needs more than {self.most:,}"
        if self.together:
            begins = f"{TOGETHER} {self.together:,}"
        return f"{begins} operations; do such work in a component"

    def copy(self, characters: int) -> None:
        """Count a pass over a text."""
        self.spend(1 + (characters >> _CHARACTERS))

    def text(self, characters: int) -> None:
        """Count a text that is about to be made.

        Raises OverBound.
        """
        if characters > MAX_TEXT:
            reason = f"a text would be too long: more than {MAX_TEXT:,} characters"
            raise OverBound(reason)
        self.copy(characters)

    def items(self, count: int) -> None:
        """Count an array that is about to be made.

        Raises OverBound.
        """
        if count > MAX_ITEMS:
            reason = f"an array would be too long: more than {MAX_ITEMS:,} elements"
            raise OverBound(reason)
        self.spend(1 + (count >> 3))

    def used(self, value: Any) -> None:
        """Count a value that is handed on as it is: the first time is free, again it makes the result larger."""
        if not isinstance(value, str | list | Mapping) or not value:
            return
        if self._seen is None:
            self._seen = set()
        if id(value) in self._seen:
            weigh(self, value)
        else:
            self._seen.add(id(value))


class Together:
    """Counts what the evaluations of one decision cost together: each of many may be just within its own budget."""

    __slots__ = ("_last", "_left", "_most")

    def __init__(self, operations: int = MAX_TOGETHER) -> None:
        self._most = self._left = operations
        self._last: Budget | None = None

    def next(self) -> Budget:
        """Return the budget of the next evaluation: its own one, or what is left if that is less."""
        if self._last is not None:
            self._left -= self._last.spent
        scarce = self._left < MAX_OPERATIONS
        self._last = Budget(self._left, self._most) if scarce else Budget()
        return self._last

    def renew(self) -> None:
        """Begin again, as the run takes another way: what undoes its work is not to fail for what came before."""
        self._left = self._most
        self._last = None


def weigh(budget: Budget, value: Any) -> int:
    """Count all that is in a value, without recursion; gives the number of characters of its texts."""
    characters = 0
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            characters += len(item)
            budget.spend(len(item) >> _CHARACTERS)
        elif isinstance(item, Mapping):
            budget.spend(1 + len(item))
            todo.extend(item.values())
            texts = [key for key in item if isinstance(key, str)]
            in_keys = sum(map(len, texts))
            budget.copy(in_keys)
            characters += in_keys
        elif isinstance(item, list | tuple):
            budget.spend(1 + len(item))
            todo.extend(item)
    return characters
