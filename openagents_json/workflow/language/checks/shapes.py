"""Parts of a document of any shape, read as what they ought to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_OBJECTS: Final = (dict, Mapping)
"""The first is what nearly all are, and asked for faster."""


def object_of(value: Any) -> Mapping[str, Any]:
    """Return an object, an empty one where there is none."""
    return value if isinstance(value, _OBJECTS) else {}


def array_of(value: Any) -> list[Any]:
    """Return an array, an empty one where there is none."""
    if isinstance(value, list | tuple):
        return list(value)
    return []


def is_templated(text: str) -> bool:
    """Tell whether a text has its value from a template only when a run gets there."""
    return "{{" in text or "${" in text
