"""What failures have in common: a fingerprint of the error without what differs each time."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

_CHANGING: Final = (
    (
        re.compile(
            r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
        ),
        "<id>",
    ),
    (
        re.compile(r"\b(?=[0-9a-f]*\d)(?=\d*[a-f])[0-9a-f]{7,}\b|0x[0-9a-fA-F]+"),
        "<hex>",
    ),
    (re.compile(r"'[^']{0,200}'|\"[^\"]{0,200}\""), "<text>"),
    (re.compile(r"\d+(?:[.,:]\d+)*"), "<n>"),
)
"""Ids, addresses, quoted values and numbers; those in quotes last but numbers, so that a quoted id is one thing."""

_INSTANCE: Final = re.compile(r"\[\d+\]")


def essence(message: str) -> str:
    """Return a message without what changes from one failure to the next."""
    text = message.splitlines()[0][:500] if message else ""
    for pattern, word in _CHANGING:
        text = pattern.sub(word, text)
    return text


def fingerprint(
    workflow: str, step: str | None, error: Mapping[str, Any] | None
) -> str:
    """Name a class of failures: the same workflow, step, type of error and message but for ids and numbers."""
    details = error or {}
    where = _INSTANCE.sub("", str(details.get("at") or step or ""))
    message = essence(str(details.get("message") or ""))
    parts = (workflow, where, str(details.get("type")), message)
    text = "\0".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()[:12]
