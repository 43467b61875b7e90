"""The null of what did not run."""

from __future__ import annotations

from typing import Final


class Null:
    """The value of a skipped step: null, and so is whatever one looks up in it."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return other is None or isinstance(other, Null)

    def __hash__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        return ""


NULL: Final = Null()
