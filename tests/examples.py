"""How many examples a property is tried with: the same few in the suite, many new ones by `make fuzz-properties`."""

from __future__ import annotations

import os

TIMES = int(os.environ.get("EXAMPLES_TIMES", "1"))
"""What multiplies the examples of each property; 1 tries the same ones each time, so that no landing hangs on luck."""


def examples(count: int) -> int:
    """Return how many examples to try, where the suite tries `count`."""
    return count * TIMES
