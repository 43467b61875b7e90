"""Texts and numbers of what is stored, which may not have been written by this engine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def number_of(raw: bytes) -> int:
    """Read a number, -1 for what is none."""
    if raw.isdigit() and len(raw) < 20:
        return int(raw)
    return -1


def text_of(raw: bytes) -> str:
    """Read a text; what is none was not written by this engine, and still has to be named by who checks it."""
    try:
        return raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return "\ufffd" + raw.decode("utf-8", "backslashreplace")


def raw_of(text: str) -> bytes:
    """Return a text as it is stored."""
    return text.encode("utf-8", "surrogatepass")


def pairs_of(reply: Any) -> Iterable[tuple[Any, Any]]:
    """Return the fields of a hash with their values; the reply is a mapping or a flat list, as the protocol has it."""
    if isinstance(reply, dict):
        return reply.items()
    return zip(reply[::2], reply[1::2], strict=True)


def texts_of(reply: Any) -> dict[str, bytes]:
    """Read a hash whose fields are texts."""
    return {text_of(name): value for name, value in pairs_of(reply)}
