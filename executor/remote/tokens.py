"""Tokens of leases: all that an instance needs to know of one, sealed, so that no instance has to remember it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from typing import Final, NamedTuple

from eventstore.run_model import Lease
from executor.remote.errors import UnknownLease

_TAG_BYTES: Final = 16
LONGEST: Final = 16_384
"""Longer tokens than these are none of ours: the path of a step is bounded."""


class RemoteLease(NamedTuple):
    """A lease that was handed out: who has it, for which caller, and how long it lasts from each heartbeat on."""

    lease: Lease
    worker: str
    caller: str
    lease_ms: int


class LeaseTokens:
    """Seals leases, and opens them; the same in all instances, as their secret is the store's."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def seal(self, held: RemoteLease) -> str:
        """Return the token of a lease, in letters, digits, and the characters `-`, `_` and `.`."""
        body = json.dumps([*held.lease, *held[1:]], separators=(",", ":")).encode()
        return f"{_text(body)}.{_text(self._tag(body))}"

    def open(self, token: str) -> RemoteLease:
        """Return the lease of a token that was sealed here, or by another instance on this store.

        Raises UnknownLease.
        """
        if len(token) > LONGEST:
            raise UnknownLease
        text, _, tag = token.partition(".")
        try:
            body, given = _raw(text), _raw(tag)
        except (binascii.Error, ValueError):
            raise UnknownLease from None
        if not hmac.compare_digest(given, self._tag(body)):
            raise UnknownLease
        run, step, fence, attempt, deadline_ms, *who = json.loads(body)
        return RemoteLease(Lease(run, step, fence, attempt, deadline_ms), *who)

    def _tag(self, body: bytes) -> bytes:
        return hmac.digest(self._secret, body, hashlib.sha256)[:_TAG_BYTES]


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _raw(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
