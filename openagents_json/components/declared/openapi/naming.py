"""Names of components and of their inputs, from what a document calls its operations and parameters."""

from __future__ import annotations

import re
from collections.abc import Container
from itertools import chain, count, filterfalse
from typing import Final

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]+")
_NUMBER: Final = re.compile(r"[0-9]+")
_LONGEST: Final = 100


def word(text: str, otherwise: str = "") -> str:
    """Return a text as one word of letters, digits, - and _."""
    return _UNSAFE.sub("_", text).strip("_")[:_LONGEST] or otherwise


def name_of_path(method: str, path: str) -> str:
    """Return a name for an operation that has none of its own, such as `get_pets_id`."""
    return word(f"{method}{path}")


def free_name(names: Container[str], *candidates: str) -> str:
    """Return the first of some names that is free, or the last one with the first number that makes it so."""
    last = candidates[-1]
    numbered = map(f"{last}_{{}}".format, count(2))
    return next(filterfalse(names.__contains__, chain(candidates, numbered)))


def version_of(text: str) -> str:
    """Return the version of a document as a semantic version: its first three numbers, 1.0.0 when it has none."""
    numbers = [str(int(number)) for number in _NUMBER.findall(text)[:3]]
    return ".".join([*numbers, "0", "0"][:3]) if numbers else "1.0.0"
