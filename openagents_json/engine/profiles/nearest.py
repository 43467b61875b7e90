"""What to say of a name that there is not: which one is near it, or which there are."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def hint(name: str, names: Iterable[str]) -> str:
    """Return the end of a message about a name that is none of some names, empty where there are none."""
    there_are = list(names)
    near = get_close_matches(name, there_are, 1)
    if near:
        return f"; did you mean {near[0]!r}?"
    listed = ", ".join(map(repr, there_are))
    if listed:
        return f"; there are {listed}"
    return ""
