"""Tables from the type of an event or of a command to the function that takes it, one typed entry at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

S = TypeVar("S")
K = TypeVar("K")
R = TypeVar("R")


def entry(
    kind: type[K], function: Callable[[S, K], R]
) -> tuple[Any, Callable[[S, Any], R]]:
    """Return an entry of a table; a function that does not take that kind fails type-checking here."""
    return kind, function
