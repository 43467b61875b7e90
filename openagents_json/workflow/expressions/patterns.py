"""Regular expressions from documents: RE2's, whose matching takes time in proportion to the text, whatever they are.

Patterns are searched for, not matched as a whole, and `$` is the end of the text, as in JSON Schema. What cannot be
done in linear time (references to groups, looking ahead or behind) is refused when a document is validated.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from openagents_json.workflow.errors import InvalidPattern

MAX_PATTERN: Final = 4096
_MEMORY: Final = 8 << 20
_END_OF_TEXT: Final = re.compile(r"(\\.)", re.DOTALL)


@lru_cache(maxsize=1024)
def compile_pattern(pattern: str) -> Any:
    """Return a compiled pattern, for `finds`.

    Raises InvalidPattern.
    """
    import re2  # imported for documents that have a pattern

    if len(pattern) > MAX_PATTERN:
        raise InvalidPattern(f"it is longer than {MAX_PATTERN} characters")
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = _MEMORY
    try:
        return re2.compile(_END_OF_TEXT.sub(_as_re2, pattern), options)
    except re2.error as error:
        raise InvalidPattern(_why(error)) from None
    except UnicodeEncodeError:
        raise InvalidPattern("it has characters that are no text") from None


def finds(pattern: str, text: str) -> bool:
    """Tell whether a pattern is somewhere in a text.

    Raises InvalidPattern.
    """
    compiled = compile_pattern(pattern)
    try:
        return compiled.search(text) is not None
    except UnicodeEncodeError:  # half a character, which no pattern can name
        return False


def _as_re2(escape: re.Match[str]) -> str:
    # Python's and RE2's word for the end of the text.
    if escape[0] == r"\Z":
        return r"\z"
    return escape[0]


def _why(error: Exception) -> str:
    reason = error.args[0] if error.args else ""
    if isinstance(reason, bytes):
        reason = reason.decode("utf-8", "replace")
    return f"{reason} (RE2, which has no references to groups and no looking ahead or behind)"
