"""The keys of an identity provider: kept, fetched again when they are old or one is missing, and not more often."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

import jwt

from openagents_json.server.oidc.errors import IssuerUnreachable

log = logging.getLogger(__name__)

FRESH_MS: Final = 300_000
"""So old may keys be before they are fetched again: so long counts one that was taken back."""

STALE_MS: Final = 3_600_000
"""So long do keys count of a provider that does not answer."""

AGAIN_MS: Final = 10_000
"""Not more often is a provider asked, whatever tokens name: one that is made up names a key that nobody has."""

_PATIENCE_SECONDS: Final = {True: 0.0, False: 5.0}
"""How long somebody waits while another asks, by whether his key is there."""

ALGORITHMS: Final = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
}
"""What a key of a kind may sign by: never by a secret, and never by nothing."""

Fetch = Callable[[], Sequence[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A public key of a provider, and by what it may have signed."""

    id: str
    key: Any
    algorithms: tuple[str, ...]


class SigningKeys:
    """The keys of a provider by their ids; safe for threads."""

    def __init__(self, fetch: Fetch, steady_ms: Callable[[], float]) -> None:
        self._fetch = fetch
        self._steady_ms = steady_ms
        self._lock = Lock()
        self._keys: Mapping[str, SigningKey] = {}
        self._fetched_ms = float("-inf")
        self._asked_ms = float("-inf")

    def find(self, key_id: str) -> SigningKey | None:
        """Return the key of an id, None where the provider has none.

        Raises IssuerUnreachable.
        """
        if not self._is_due(key_id):
            return self._there(key_id)
        # Of those who come at once, one asks; who has its key does not wait for that.
        patience = _PATIENCE_SECONDS[key_id in self._keys]
        if self._lock.acquire(timeout=patience):
            try:
                self._ask(key_id)
            finally:
                self._lock.release()
        return self._there(key_id)

    def _is_due(self, key_id: str) -> bool:
        now_ms = self._steady_ms()
        is_old = now_ms - self._fetched_ms > FRESH_MS
        is_allowed = now_ms - self._asked_ms > AGAIN_MS
        return is_allowed and (is_old or key_id not in self._keys)

    def _ask(self, key_id: str) -> None:
        if not self._is_due(key_id):
            return  # somebody else has asked meanwhile
        self._asked_ms = self._steady_ms()
        try:
            self._keys = {key.id: key for key in _usable(self._fetch())}
            self._fetched_ms = self._steady_ms()
        except IssuerUnreachable as error:
            log.warning("keys of the identity provider: %s", error.reason)

    def _there(self, key_id: str) -> SigningKey | None:
        if self._steady_ms() - self._fetched_ms > STALE_MS:
            raise IssuerUnreachable("it has not answered for long")
        return self._keys.get(key_id)


def _usable(published: Sequence[Mapping[str, Any]]) -> Iterator[SigningKey]:
    """Return the keys that sign, and that we can check by; others are passed over, as RFC 7517 asks."""
    for described in published:
        kind = str(described.get("kty"))
        algorithms = tuple(
            name
            for name in ALGORITHMS.get(kind, ())
            if described.get("alg", name) == name
        )
        signs = described.get("use", "sig") == "sig"
        if not (signs and algorithms):
            continue
        try:
            key = jwt.PyJWK(dict(described)).key
        except (jwt.PyJWTError, AttributeError, TypeError, ValueError, KeyError):
            continue
        yield SigningKey(str(described.get("kid", "")), key, algorithms)
