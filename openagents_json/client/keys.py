"""Idempotency keys of a client's own: every start gets one, so that it begins one run however often it is sent."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

NewKey = Callable[[], str]


def random_key() -> str:
    """Return a key that nobody else has."""
    return f"client-{secrets.token_hex(16)}"


def keys_of(
    keys: Sequence[str | None] | None, count: int, new_key: NewKey
) -> list[str]:
    """Return the keys of several starts, those that are not given made here."""
    return [key or new_key() for key in keys or [None] * count]
