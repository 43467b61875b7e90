"""The expression around the cursor, and the reference in it that is being written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from openagents_json.engine.editing.outline import Cursor
from openagents_json.engine.editing.tokens import VALUE

_BARE: Final = ("condition", "while", "until")
"""Members whose text is an expression also without braces."""

_BEFORE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")
_AFTER: Final = re.compile(r"[A-Za-z0-9_-]*")
_INSIDE: Final = re.compile(r"(?:\{\{|\$\{)(?:(?!\}\}).)*\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference such as `fetch.output.name`: what stands before its last part, that part, and where that stands."""

    owner: tuple[str, ...]
    name: str
    start: int
    end: int


def reference_at(cursor: Cursor) -> Reference | None:
    """Return the reference at the cursor, an empty one where one could begin; None outside of expressions."""
    if cursor.kind != VALUE:
        return None
    is_bare = cursor.path[-1:] in [(word,) for word in _BARE] and "{" not in cursor.text
    if not is_bare and not _INSIDE.search(cursor.before):
        return None
    match = _BEFORE.search(cursor.before)
    written = "" if match is None else match[0]
    *owner, last = written.split(".")
    offset = cursor.start + len(cursor.before)
    after = _AFTER.match(cursor.text, len(cursor.before))
    rest = "" if after is None else after[0]
    return Reference(tuple(owner), last + rest, offset - len(last), offset + len(rest))
