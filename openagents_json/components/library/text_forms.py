"""Bytes as a document sees them: text, JSON, or base64."""

from __future__ import annotations

import base64
import json
from typing import Any, Literal

from openagents_json.components.errors import NonRetryableError
from openagents_json.components.library.json_text import json_of

Encoding = Literal["text", "json", "base64"]


def decoded(what: str, content: bytes, encoding: Encoding) -> Any:
    """Return bytes as they are asked for; `what` names them in errors.

    Raises NonRetryableError.
    """
    if encoding == "base64":
        return base64.b64encode(content).decode()
    try:
        text = content.decode()
        if encoding == "text":
            return text
        return json_of(text)
    except (ValueError, RecursionError):
        raise NonRetryableError(
            f"{what} is not {'UTF-8' if encoding == 'text' else 'JSON'}; read it as base64"
        ) from None


def encoded(what: str, content: Any, encoding: Encoding) -> bytes:
    """Return the bytes of a content; `what` names it in errors.

    Raises NonRetryableError.
    """
    text = content
    if encoding == "json":
        text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
    if not isinstance(text, str):
        raise NonRetryableError(f"{what} is no text; write it with the encoding json")
    try:
        if encoding == "base64":
            return base64.b64decode(text, validate=True)
        return text.encode()
    except ValueError:  # a half of a surrogate pair, or what is not base64
        raise NonRetryableError(f"{what} cannot be written as {encoding}") from None
