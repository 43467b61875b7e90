"""Words by which names of the catalog are found: those of the name, and those of what is said of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

MOST: Final = 64
"""So many words of a version count: what says more is found by the first of them."""

LONGEST: Final = 32

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, each once: parts of names such as `textTools.summarize_all` too."""
    parts = (match[0].lower()[:LONGEST] for match in _WORD.finditer(text))
    return list(dict.fromkeys(parts))


def described(spec: Mapping[str, Any]) -> list[str]:
    """Return the words of what a spec says of itself beside its name."""
    parameters = [str(x.get("name", "")) for x in spec.get("inputs", ())]
    tags = map(str, spec.get("tags", ()))
    texts = (*tags, spec.get("description", ""), spec.get("author", ""), *parameters)
    return words(" ".join(map(str, texts)))[:MOST]
