"""What a word without quotes stands for: what it is in JSON, or a text; one that can be read in two ways is refused.

The words that are refused are those that YAML 1.1 or the core schema of YAML 1.2 read as something else than a text.
"""

from __future__ import annotations

import json
import re
from typing import Final

from openagents_json.workflow.types import Json

_CONSTANTS: Final[dict[str, Json]] = {"true": True, "false": False, "null": None}
_JSON_NUMBER: Final = re.compile(
    r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"
)

_LONGEST: Final = 100
"""Words that are longer are texts: no number or date that somebody writes has so many characters."""

_AS_TEXT: Final = 'write "{word}" for the text'
_READINGS: Final = tuple(
    (re.compile(pattern), advice)
    for pattern, advice in (
        (f"true|false|null|{_JSON_NUMBER.pattern}", ""),
        (r"(?i:y|yes|on|true)", f"write true, or {_AS_TEXT.removeprefix('write ')}"),
        (r"(?i:n|no|off|false)", f"write false, or {_AS_TEXT.removeprefix('write ')}"),
        (r"~|(?i:null)", f"write null, or {_AS_TEXT.removeprefix('write ')}"),
        (r"<<|=", f"YAML has a meaning of its own for it; {_AS_TEXT}"),
        (r"", 'write null, or "" for an empty text'),
        (r"[-+]?\.(?i:inf|nan)", f"JSON has no such number; {_AS_TEXT}"),
        (
            r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt \t].*)?",
            f"a date is a text: {_AS_TEXT}",
        ),
        (
            r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?",
            f"a time is a text: {_AS_TEXT}",
        ),
        (
            r"[-+]?(?:0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*\.?[0-9_]*(?:[eE][-+]?[0-9]+)?"
            r"|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?)",
            f"write the number as JSON has it, in decimal digits as 1000 or 0.5, or {_AS_TEXT.removeprefix('write ')}",
        ),
    )
)
"""Words by their patterns, the first that fits counts: what to write instead of them, nothing for those of JSON."""


def meaning(word: str) -> Json:
    """Return the value of a word.

    Raises ValueError for a number with more digits than can be read.
    """
    if word in _CONSTANTS:
        return _CONSTANTS[word]
    if _JSON_NUMBER.fullmatch(word):
        number: Json = json.loads(word)
        return number
    return word


def advice_for(word: str) -> str:
    """Say what to write in the place of a word that can be read in two ways, empty for any other."""
    if len(word) > _LONGEST:
        return ""
    for pattern, advice in _READINGS:
        if pattern.fullmatch(word):
            return advice.format(word=word)
    return ""
