"""What an append expects of its stream."""

from __future__ import annotations

from enum import Enum
from typing import Final


class Expect(Enum):
    """Expectations with names; a number expects just that version."""

    ANY = "any"
    NO_STREAM = "no stream"
    STREAM_EXISTS = "stream exists"

    def __str__(self) -> str:
        return self.value


ANY: Final = Expect.ANY
NO_STREAM: Final = Expect.NO_STREAM
STREAM_EXISTS: Final = Expect.STREAM_EXISTS

Expected = Expect | int


def matches(current: int, expected: Expected) -> bool:
    """Tell whether a stream at a version (0: it does not exist) is as expected."""
    match expected:
        case Expect.ANY:
            return True
        case Expect.NO_STREAM:
            return current == 0
        case Expect.STREAM_EXISTS:
            return current > 0
        case _:
            return current == expected
